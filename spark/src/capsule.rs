//! Arrow data as Python's capsules: whoever speaks Arrow's protocol for capsules takes it without a copy.
//!
//! In: batches and schemas of the library. Out: objects with `__arrow_c_array__`, `__arrow_c_schema__`. Another
//! schema than the data's own may be asked for, and is not served, as the protocol allows.

use arrow::array::{Array as _, StructArray};
use arrow::datatypes::SchemaRef;
use arrow::ffi::{FFI_ArrowArray, FFI_ArrowSchema, to_ffi};
use arrow::ffi_stream::FFI_ArrowArrayStream;
use arrow::record_batch::RecordBatchIterator;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use crate::bridge::exception;

type ArrayCapsules<'py> = (Bound<'py, PyCapsule>, Bound<'py, PyCapsule>);

/// Rows as Arrow columns.
#[derive(Debug)]
#[pyclass(frozen, module = "healthtrail")]
pub(crate) struct RecordBatch(pub(crate) arrow::record_batch::RecordBatch);

#[pymethods]
impl RecordBatch {
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<ArrayCapsules<'py>> {
        let _ = requested_schema;
        let data = StructArray::from(self.0.clone()).into_data();
        let (array, _) = to_ffi(&data).map_err(|error| exception(&error.into()))?;
        let array = PyCapsule::new_with_value::<FFI_ArrowArray>(py, array, c"arrow_array")?;
        // A record batch is a struct without nulls, with the metadata of its schema.
        Ok((schema_capsule(py, &self.0.schema())?, array))
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        schema_capsule(py, &self.0.schema())
    }

    /// How many rows there are.
    #[getter]
    fn num_rows(&self) -> usize {
        self.0.num_rows()
    }

    /// Its schema.
    #[getter]
    fn schema(&self) -> Schema {
        Schema(self.0.schema())
    }

    fn __len__(&self) -> usize {
        self.0.num_rows()
    }

    fn __repr__(&self) -> String {
        format!("<healthtrail.RecordBatch of {} rows>", self.0.num_rows())
    }
}

/// Batches of findings as one stream.
#[pyfunction]
pub(crate) fn stream<'py>(
    py: Python<'py>,
    batches: Vec<PyRef<'py, RecordBatch>>,
    schema: PyRef<'py, Schema>,
) -> PyResult<Bound<'py, PyCapsule>> {
    let batches: Vec<_> = batches.iter().map(|batch| Ok(batch.0.clone())).collect();
    let reader = RecordBatchIterator::new(batches, schema.0.clone());
    let stream = FFI_ArrowArrayStream::new(Box::new(reader));
    PyCapsule::new_with_value::<FFI_ArrowArrayStream>(py, stream, c"arrow_array_stream")
}

/// Names and types of columns.
#[derive(Debug)]
#[pyclass(frozen, module = "healthtrail")]
pub(crate) struct Schema(pub(crate) SchemaRef);

#[pymethods]
impl Schema {
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        schema_capsule(py, &self.0)
    }

    /// The names of the columns.
    #[getter]
    fn names(&self) -> Vec<String> {
        self.0.fields().iter().map(|field| field.name().clone()).collect()
    }

    fn __len__(&self) -> usize {
        self.0.fields().len()
    }

    fn __repr__(&self) -> String {
        format!("<healthtrail.Schema of {} columns>", self.0.fields().len())
    }
}

fn schema_capsule<'py>(py: Python<'py>, schema: &SchemaRef) -> PyResult<Bound<'py, PyCapsule>> {
    let schema =
        FFI_ArrowSchema::try_from(schema.as_ref()).map_err(|error| exception(&error.into()))?;
    PyCapsule::new_with_value::<FFI_ArrowSchema>(py, schema, c"arrow_schema")
}
