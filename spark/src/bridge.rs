//! Between Python's threads and the library's: one runtime for each process, errors as exceptions.
//!
//! In: futures and closures. Out: what they give, as Python takes it. The runtime begins with the first call
//! after a fork, since threads do not survive one: Spark's workers are forked from a daemon that has imported
//! this module. A panic is a defect; it is told by its kind alone, since its text may quote a document.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::anyhow;
use healthtrail::cli::Cli;
use healthtrail::cli::embed::begin_log;
use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use tokio::runtime::Runtime;

create_exception!(
    healthtrail,
    HealthtrailError,
    PyException,
    "What went wrong, where, and what to do next; safe to do again."
);
create_exception!(
    healthtrail,
    UsageError,
    HealthtrailError,
    "What was asked for makes no sense, or the lake refuses it; nothing was changed."
);

/// Threads that move bytes; those that burn cores are the library's own.
const RUNTIME_THREADS: usize = 2;

/// The runtime of this process, made anew after a fork.
fn runtime() -> anyhow::Result<Arc<Runtime>> {
    static RUNTIME: Mutex<Option<(u32, Arc<Runtime>)>> = Mutex::new(None);
    let mut held = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    match &*held {
        Some((of, runtime)) if *of == process => return Ok(Arc::clone(runtime)),
        // Its threads are those of another process: dropping it would wait for them.
        Some(_) => std::mem::forget(held.take()),
        None => {}
    }
    begin_log();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(RUNTIME_THREADS)
        .enable_all()
        .build()?;
    let runtime = Arc::new(runtime);
    *held = Some((process, Arc::clone(&runtime)));
    Ok(runtime)
}

/// Does what takes long, without the interpreter's lock.
pub(crate) fn call<T: Send>(
    py: Python<'_>,
    work: impl FnOnce() -> anyhow::Result<T> + Send,
) -> PyResult<T> {
    let done = py.detach(|| std::panic::catch_unwind(AssertUnwindSafe(work)));
    match done {
        Ok(result) => result.map_err(|error| exception(&error)),
        Err(_) => Err(exception(&anyhow!(
            "the library panicked, which is a defect of healthtrail; hint: what was committed is whole, and \
             the rest is given up; please report it"
        ))),
    }
}

/// The same for a future.
pub(crate) fn wait<T: Send, F: Future<Output = anyhow::Result<T>>>(
    py: Python<'_>,
    work: impl FnOnce() -> F + Send,
) -> PyResult<T> {
    call(py, || runtime()?.block_on(work()))
}

/// Begins a future, and lets it run on a thread of its own beside Python.
pub(crate) fn begin<F: Future<Output = ()>>(
    work: impl FnOnce() -> F + Send + 'static,
) -> anyhow::Result<JoinHandle<()>> {
    let runtime = runtime()?;
    Ok(std::thread::Builder::new().spawn(move || runtime.block_on(work()))?)
}

/// An error with its causes, as the exception that says what to do about it.
pub(crate) fn exception(error: &anyhow::Error) -> PyErr {
    let text = format!("{error:#}");
    if Cli::code(error) == 2 { UsageError::new_err(text) } else { HealthtrailError::new_err(text) }
}
