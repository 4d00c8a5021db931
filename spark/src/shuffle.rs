//! The halves of a run for Spark: what the driver plans and commits, what the workers read and reduce.
//!
//! In: the options of `run`, and what Spark carries. Out: batches of parcels. The options come with each task,
//! since a worker knows nothing of the driver's command line; where archives and lake lie is in the context.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::anyhow;
use healthtrail::cli::embed::EmbeddedRun;
use healthtrail::job::options::RunOptions;
use healthtrail::job::shuffle::parcel::{Group, batch, ddl};
use healthtrail::job::shuffle::{self, Committed, Context, Kind, Parcel, read};
use pyo3::exceptions::PyStopIteration;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use tokio::sync::mpsc;

use crate::bridge::{begin, call, exception, wait};
use crate::capsule::RecordBatch;

/// Batches that a task has read ahead of Python.
const AHEAD: usize = 1;

type Row<'py> = (String, String, i32, i32, i64, Bound<'py, PyBytes>);

/// The columns of parcels, in Spark's words.
#[pyfunction]
pub(crate) fn parcel_ddl() -> String {
    ddl()
}

async fn worker(arguments: &[String], context: &Context) -> anyhow::Result<RunOptions> {
    EmbeddedRun::parse(arguments)?.options_at(&context.archives, &context.lake).await
}

/// One wave, for Spark to carry.
#[derive(Debug)]
#[pyclass(frozen, module = "healthtrail")]
pub(crate) struct Wave(shuffle::WavePlan);

#[pymethods]
impl Wave {
    /// What all tasks are told.
    #[getter]
    fn context<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.context)
    }

    /// The objects of each task.
    #[getter]
    fn tasks<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        self.0.tasks.iter().map(|task| PyBytes::new(py, task)).collect()
    }

    /// The files of the lake, as rows of the parcels' columns.
    #[getter]
    fn files<'py>(&self, py: Python<'py>) -> Vec<Row<'py>> {
        let row = |Parcel { group, kind, ordinal, payload }: &Parcel| {
            (
                group.table.name().to_owned(),
                group.partition.to_string(),
                i32::try_from(group.slice).unwrap_or(i32::MAX),
                kind.number(),
                *ordinal,
                PyBytes::new(py, payload),
            )
        };
        self.0.files.iter().map(row).collect()
    }

    /// How many groups there will be, about.
    #[getter]
    fn groups(&self) -> usize {
        self.0.groups
    }

    /// How many objects.
    #[getter]
    fn objects(&self) -> usize {
        self.0.objects
    }

    /// Their bytes as stored.
    #[getter]
    fn bytes(&self) -> u64 {
        self.0.bytes
    }

    /// The commit that is aimed at.
    #[getter]
    fn number(&self) -> u64 {
        self.0.number
    }
}

/// Plans waves and commits them.
#[derive(Debug)]
#[pyclass(frozen, module = "healthtrail")]
pub(crate) struct Driver {
    run: EmbeddedRun,
    driver: Mutex<Option<shuffle::Driver>>,
}

impl Driver {
    /// The driver, for one call at a time.
    fn take(&self) -> anyhow::Result<shuffle::Driver> {
        let mut held = self.driver.lock().unwrap_or_else(PoisonError::into_inner);
        held.take().ok_or_else(|| anyhow!("the run has ended, or is at work in another thread"))
    }

    fn give_back(&self, driver: shuffle::Driver) {
        *self.driver.lock().unwrap_or_else(PoisonError::into_inner) = Some(driver);
    }
}

#[pymethods]
impl Driver {
    /// Opens the lake and plans what it lacks.
    #[new]
    fn new(py: Python<'_>, arguments: Vec<String>) -> PyResult<Self> {
        let (run, driver) = wait(py, move || async move {
            let run = EmbeddedRun::parse(&arguments)?;
            let options = run.options().await?;
            let driver = Box::pin(shuffle::Driver::begin(&options)).await?;
            Ok((run, driver))
        })?;
        Ok(Self { run, driver: Mutex::new(Some(driver)) })
    }

    /// The next wave, or `None` at the end.
    fn next_wave(&self, py: Python<'_>, task_bytes: u64) -> PyResult<Option<Wave>> {
        wait(py, || async {
            let mut driver = self.take()?;
            let wave = Box::pin(driver.next_wave(task_bytes)).await?;
            self.give_back(driver);
            Ok(wave.map(Wave))
        })
    }

    /// Commits the wave whose tasks are all done. `False` when another run has its number: plan again.
    fn commit(&self, py: Python<'_>, told: Vec<(i32, PyBackedBytes)>) -> PyResult<bool> {
        wait(py, || async {
            let kinds =
                told.into_iter().map(|(kind, payload)| Ok((Kind::of_number(kind)?, payload)));
            let told = kinds.collect::<anyhow::Result<Vec<_>>>()?;
            let mut driver = self.take()?;
            let committed = Box::pin(driver.commit(told)).await?;
            self.give_back(driver);
            Ok(committed == Committed::Done)
        })
    }

    /// Tidies up, and gives the summary: as JSON, and for a person.
    fn finish(&self, py: Python<'_>) -> PyResult<(String, Vec<String>)> {
        wait(py, || async {
            let summary = Box::pin(self.take()?.finish()).await?;
            Ok((serde_json::to_string(&summary)?, self.run.describe(&summary)))
        })
    }
}

/// Reads the objects of one task.
#[pyfunction]
pub(crate) fn read_task(
    py: Python<'_>,
    arguments: Vec<String>,
    context: &[u8],
    task: &[u8],
) -> PyResult<ReadTask> {
    let (context, task) = (context.to_vec(), task.to_vec());
    let (sender, receiver) = mpsc::channel(AHEAD);
    let work = move || async move {
        let told = sender.clone();
        let mut emit = move |parcels: Vec<Parcel>| {
            let batch = batch(&parcels)?;
            // Python may take its time, and this thread does nothing else.
            tokio::task::block_in_place(|| told.blocking_send(Ok(batch)))
                .map_err(|_| anyhow!("nobody takes what is read any more"))
        };
        let read = async {
            let context = Context::parse(&context)?;
            let options = worker(&arguments, &context).await?;
            Box::pin(read::read(&context, &options, &task, &mut emit)).await
        };
        if let Err(error) = read.await {
            drop(sender.send(Err(error)).await);
        }
    };
    let task = call(py, || begin(work))?;
    Ok(ReadTask {
        receiver: Arc::new(tokio::sync::Mutex::new(receiver)),
        task: Mutex::new(Some(task)),
    })
}

type Read = anyhow::Result<arrow::record_batch::RecordBatch>;

/// The batches of a task, as they are read.
#[derive(Debug)]
#[pyclass(frozen, module = "healthtrail")]
pub(crate) struct ReadTask {
    receiver: Arc<tokio::sync::Mutex<mpsc::Receiver<Read>>>,
    task: Mutex<Option<std::thread::JoinHandle<()>>>,
}

#[pymethods]
impl ReadTask {
    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<RecordBatch> {
        let receiver = Arc::clone(&self.receiver);
        let next = wait(py, move || async move { Ok(receiver.lock().await.recv().await) })?;
        match next {
            Some(Ok(batch)) => Ok(RecordBatch(batch)),
            Some(Err(error)) => Err(exception(&error)),
            None => self.end(py),
        }
    }
}

impl ReadTask {
    /// Nothing comes any more: because that was all, or because the task panicked.
    fn end(&self, py: Python<'_>) -> PyResult<RecordBatch> {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            call(py, || {
                task.join().map_err(|_| {
                    anyhow!("reading panicked, which is a defect of healthtrail; please report it")
                })
            })?;
        }
        Err(PyStopIteration::new_err(()))
    }
}

/// Turns the parcels of groups into parts.
#[derive(Debug)]
#[pyclass(frozen, module = "healthtrail")]
pub(crate) struct Reducer(tokio::sync::Mutex<shuffle::reduce::Reducer>);

#[pymethods]
impl Reducer {
    #[new]
    fn new(py: Python<'_>, arguments: Vec<String>, context: &[u8]) -> PyResult<Self> {
        wait(py, move || async move {
            let context = Context::parse(context)?;
            let options = worker(&arguments, &context).await?;
            let reducer = shuffle::reduce::Reducer::new(context, &options)?;
            Ok(Self(tokio::sync::Mutex::new(reducer)))
        })
    }

    /// Takes in one parcel; gives what became of the group before, if that has ended.
    fn take(
        &self,
        py: Python<'_>,
        group: (String, String, i32),
        kind: i32,
        ordinal: i64,
        payload: &[u8],
    ) -> PyResult<Option<RecordBatch>> {
        wait(py, || async {
            let (table, partition, slice) = &group;
            let group = Group::of_names(table, partition, *slice)?;
            let kind = Kind::of_number(kind)?;
            let parcel = Parcel { group, kind, ordinal, payload: payload.to_vec() };
            // Boxed: comparing and staging keep much between their steps.
            told(Box::pin(self.0.lock().await.take(parcel)).await?)
        })
    }

    /// What became of the last group.
    fn finish(&self, py: Python<'_>) -> PyResult<Option<RecordBatch>> {
        wait(py, || async { told(Box::pin(self.0.lock().await.finish()).await?) })
    }
}

fn told(parcels: Vec<Parcel>) -> anyhow::Result<Option<RecordBatch>> {
    if parcels.is_empty() { Ok(None) } else { Ok(Some(RecordBatch(batch(&parcels)?))) }
}
