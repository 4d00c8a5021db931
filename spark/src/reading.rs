//! One object's bytes to Arrow: what `healthtrail.read` does.
//!
//! In: bytes, and the name they have in their archive, which tells when they arrived. Out: batches of findings,
//! the rejects as a batch, and the counts. Bad bytes are rejects, never an exception.

use std::io::Cursor;

use anyhow::{anyhow, bail};
use healthtrail::archive::arrival::arrival;
use healthtrail::archive::read::{
    DOCUMENT_BYTES_MAX, OBJECT_BYTES_MAX, ObjectReader, ReadOptions, check,
};
use healthtrail::finding::columns;
use healthtrail::finding::limits::CountLimits;
use healthtrail::finding::place::Place;
use healthtrail::finding::product::Products;
use healthtrail::finding::reject::Reject;
use healthtrail::finding::rows::RowsBuilder;
use healthtrail::job::options::UsageError;
use healthtrail::lake::rejects::{RejectLine, RejectRow, batch};
use jiff::tz::TimeZone;
use pyo3::prelude::*;

use crate::bridge::call;
use crate::capsule::{RecordBatch, Schema};

/// Rows and rejects of one batch.
const BATCH_BYTES: usize = 64 << 20;

/// What an object holds.
#[derive(Debug)]
#[pyclass(frozen, module = "healthtrail")]
pub(crate) struct Reading {
    batches: Vec<arrow::record_batch::RecordBatch>,
    rejects: arrow::record_batch::RecordBatch,
    tally: String,
}

#[pymethods]
impl Reading {
    /// The findings.
    #[getter]
    fn batches(&self) -> Vec<RecordBatch> {
        self.batches.iter().cloned().map(RecordBatch).collect()
    }

    /// What could not become a finding.
    #[getter]
    fn rejects(&self) -> RecordBatch {
        RecordBatch(self.rejects.clone())
    }

    /// The counts, as JSON.
    #[getter]
    fn tally(&self) -> &str {
        &self.tally
    }
}

/// The columns of findings.
#[pyfunction]
pub(crate) fn schema() -> Schema {
    Schema(columns::schema())
}

/// Reads the bytes of one object.
#[pyfunction]
pub(crate) fn read_bytes(
    py: Python<'_>,
    content: &[u8],
    products: &str,
    uri: &str,
    etag: &str,
    last_modified_ms: i64,
) -> PyResult<Reading> {
    let place = Place {
        object: uri.into(),
        etag: etag.into(),
        arrived_hour_ms: arrival(uri, last_modified_ms, &TimeZone::UTC).hour_ms,
    };
    call(py, || read(content, place, parse_products(products)?))
}

fn parse_products(name: &str) -> anyhow::Result<Products> {
    let known = [Products::Health, Products::All].into_iter().find(|one| one.name() == name);
    known.ok_or_else(|| UsageError(format!("products are `health` or `all`, not `{name}`")).into())
}

fn read(content: &[u8], place: Place, products: Products) -> anyhow::Result<Reading> {
    let options = ReadOptions {
        products,
        object_bytes_max: OBJECT_BYTES_MAX,
        document_bytes_max: DOCUMENT_BYTES_MAX,
        counts: CountLimits::DEFAULT,
    };
    let mut reader = ObjectReader::new(Box::new(Cursor::new(content)), place.clone(), &options);
    let (mut batches, mut rejects): (Vec<_>, Vec<Reject>) = (Vec::new(), Vec::new());
    loop {
        let mut rows = RowsBuilder::new();
        let is_end = reader.read_into(&mut rows, &mut rejects, BATCH_BYTES)?;
        let rows = rows.finish();
        if rows.batch.num_rows() > 0 {
            batches.push(rows.batch);
        }
        if is_end {
            break;
        }
    }
    let tally = reader.into_tally();
    if let Err(broken) = check(&tally) {
        bail!("sums of an object differ, a defect: {broken}");
    }
    let rows: Vec<RejectRow> =
        rejects.into_iter().map(|reject| RejectRow { place: place.clone(), reject }).collect();
    let lines: Vec<RejectLine<'_>> = rows.iter().map(RejectRow::line).collect();
    let rejects = batch(&lines).map_err(|error| anyhow!("rejects as columns: {error}"))?;
    Ok(Reading { batches, rejects, tally: serde_json::to_string(&tally)? })
}
