//! healthtrail as a Python module: the same library, no second implementation of anything.
//!
//! `capsule` hands Arrow data over without a copy, `reading` reads one object, `run` is the nightly job,
//! `shuffle` the halves of a run for Spark; `bridge` is what they share: one runtime for each process, the
//! interpreter's lock given up during long calls, and panics that become exceptions.

mod bridge;
mod capsule;
mod reading;
mod run;
mod shuffle;

use pyo3::prelude::*;

/// The native half of the package `healthtrail`.
#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("HealthtrailError", py.get_type::<bridge::HealthtrailError>())?;
    module.add("UsageError", py.get_type::<bridge::UsageError>())?;
    module.add_class::<capsule::RecordBatch>()?;
    module.add_class::<capsule::Schema>()?;
    module.add_class::<reading::Reading>()?;
    module.add_class::<shuffle::Driver>()?;
    module.add_class::<shuffle::Wave>()?;
    module.add_class::<shuffle::ReadTask>()?;
    module.add_class::<shuffle::Reducer>()?;
    module.add_function(wrap_pyfunction!(capsule::stream, module)?)?;
    module.add_function(wrap_pyfunction!(reading::read_bytes, module)?)?;
    module.add_function(wrap_pyfunction!(reading::schema, module)?)?;
    module.add_function(wrap_pyfunction!(run::run, module)?)?;
    module.add_function(wrap_pyfunction!(shuffle::read_task, module)?)?;
    module.add_function(wrap_pyfunction!(shuffle::parcel_ddl, module)?)?;
    Ok(())
}
