//! What is carried between the halves of a run: rows of one small schema whose payload is opaque.
//!
//! In and out: [`Parcel`]s as Arrow batches. A carrier that matches columns by position and checks nothing
//! (Spark's `mapInArrow`) is given the schema in its own words by [`ddl`]. Wrong is a batch of another schema.

use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, bail};
use arrow::array::{BinaryArray, Int32Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;

use crate::lake::layout::{Partition, Table};

/// What a payload is. All parcels of a group are taken in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The files that the partition has in the lake.
    Files,
    /// What became of objects that arrived in the partition.
    Objects,
    /// What was counted on the way.
    Counts,
    /// Rows of findings.
    Rows,
    /// Rejects.
    Rejects,
    /// A part that was staged; for the driver, as objects and counts are.
    Part,
}

impl Kind {
    const ALL: [Self; 6] =
        [Self::Files, Self::Objects, Self::Counts, Self::Rows, Self::Rejects, Self::Part];

    /// Its number in a batch.
    pub fn number(self) -> i32 {
        (0..).zip(Self::ALL).find(|(_, kind)| *kind == self).map_or(-1, |(number, _)| number)
    }

    /// The kind of this number.
    ///
    /// # Errors
    /// When there is none.
    pub fn of_number(number: i32) -> anyhow::Result<Self> {
        let kind = usize::try_from(number).ok().and_then(|at| Self::ALL.get(at).copied());
        kind.with_context(|| format!("there is no kind {number} of parcels"))
    }
}

/// Where parcels go that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group {
    /// The table.
    pub table: Table,
    /// The partition.
    pub partition: Partition,
    /// Which slice of the partition's row ids, from 0.
    pub slice: u32,
}

/// A payload on its way to its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    /// Its group.
    pub group: Group,
    /// What it is.
    pub kind: Kind,
    /// Its place among those of its kind and group: the same whoever made it, and whenever it came.
    pub ordinal: i64,
    /// The content.
    pub payload: Vec<u8>,
}

/// The columns of a batch of parcels.
pub fn schema() -> SchemaRef {
    static SCHEMA: OnceLock<SchemaRef> = OnceLock::new();
    let build = || {
        let columns = [
            ("lake_table", DataType::Utf8),
            ("lake_partition", DataType::Utf8),
            ("slice", DataType::Int32),
            ("kind", DataType::Int32),
            ("ordinal", DataType::Int64),
            ("payload", DataType::Binary),
        ];
        let fields = columns.map(|(name, kind)| Field::new(name, kind, false));
        Arc::new(Schema::new(fields.to_vec()))
    };
    Arc::clone(SCHEMA.get_or_init(build))
}

/// The same columns in Spark's words.
pub fn ddl() -> String {
    let schema = schema();
    let columns = schema.fields().iter().map(|field| {
        let kind = match field.data_type() {
            DataType::Int32 => "int",
            DataType::Int64 => "bigint",
            DataType::Binary => "binary",
            _ => "string",
        };
        format!("{} {kind}", field.name())
    });
    columns.collect::<Vec<_>>().join(", ")
}

/// Parcels as one batch.
///
/// # Errors
/// When they hold more than a batch can (2 GiB).
pub fn batch(parcels: &[Parcel]) -> anyhow::Result<RecordBatch> {
    let tables = parcels.iter().map(|parcel| parcel.group.table.name());
    let partitions = parcels.iter().map(|parcel| parcel.group.partition.to_string());
    let slices: Vec<i32> =
        parcels.iter().map(|parcel| i32::try_from(parcel.group.slice)).collect::<Result<_, _>>()?;
    let bytes: usize = parcels.iter().map(|parcel| parcel.payload.len()).sum();
    if i32::try_from(bytes).is_err() {
        bail!("{bytes} bytes of parcels are too many for one batch");
    }
    let columns: Vec<arrow::array::ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(tables)),
        Arc::new(StringArray::from_iter_values(partitions)),
        Arc::new(Int32Array::from(slices)),
        Arc::new(Int32Array::from_iter_values(parcels.iter().map(|parcel| parcel.kind.number()))),
        Arc::new(Int64Array::from_iter_values(parcels.iter().map(|parcel| parcel.ordinal))),
        Arc::new(BinaryArray::from_iter_values(parcels.iter().map(|parcel| &parcel.payload))),
    ];
    Ok(RecordBatch::try_new(schema(), columns)?)
}

impl Group {
    /// The group of these names.
    ///
    /// # Errors
    /// When one of them is none.
    pub fn of_names(table: &str, partition: &str, slice: i32) -> anyhow::Result<Self> {
        let table = Table::parse(table).with_context(|| format!("`{table}` is no table"))?;
        Ok(Self { table, partition: partition.parse()?, slice: u32::try_from(slice)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_numbers_in_their_order() {
        for kind in Kind::ALL {
            assert_eq!(Kind::of_number(kind.number()).unwrap(), kind);
        }
        assert!(Kind::Files < Kind::Objects && Kind::Objects < Kind::Rows);
        assert!(Kind::of_number(6).is_err() && Kind::of_number(-1).is_err());
    }

    #[test]
    fn a_batch_has_the_columns_that_the_carrier_is_told_of() {
        let group = Group::of_names("findings", "2026-11-24", 3).unwrap();
        let parcel = Parcel { group, kind: Kind::Rows, ordinal: 7, payload: vec![1, 2] };
        let batch = batch(&[parcel]).unwrap();
        assert_eq!(batch.num_rows(), 1);
        assert_eq!(
            ddl(),
            "lake_table string, lake_partition string, slice int, kind int, ordinal bigint, payload binary"
        );
        assert!(Group::of_names("other", "2026-11-24", 0).is_err());
        assert!(Group::of_names("rejects", "2026-11-99", 0).is_err());
        assert!(Group::of_names("rejects", "2026-11", -1).is_err());
    }
}
