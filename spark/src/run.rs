//! The nightly job from Python: the options of `healthtrail run`, and its summary.

use healthtrail::cli::embed::EmbeddedRun;
use pyo3::prelude::*;

use crate::bridge::wait;

/// Runs with these options, and gives the summary as JSON.
#[pyfunction]
pub(crate) fn run(py: Python<'_>, arguments: Vec<String>) -> PyResult<String> {
    wait(py, move || async move {
        let options = EmbeddedRun::parse(&arguments)?.options().await?;
        // Boxed: what the waves keep between their steps would make this future large.
        let summary = Box::pin(healthtrail::job::run::run(&options)).await?;
        Ok(serde_json::to_string(&summary)?)
    })
}
