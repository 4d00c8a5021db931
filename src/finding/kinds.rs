//! What a column can hold, as Arrow and Athena call it.
//!
//! In: a kind of the list of columns. Out: its types. Nothing can go wrong. Limits: no unsigned
//! types, no nanoseconds, because Athena reads both wrongly; nested names as Parquet spells them.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// UTF-8 text.
    Text,
    /// A 32-bit signed integer.
    Int,
    /// A 64-bit signed integer.
    Long,
    /// Milliseconds since 1970, UTC.
    Timestamp,
    /// True or false.
    Bool,
    /// A list of texts.
    TextList,
    /// Texts by name, sorted by name; names are unique.
    TextMap,
    /// A list of resources.
    Resources,
    /// A list of affected entities.
    Entities,
}

impl Kind {
    /// The Arrow type, with the nested names that Parquet wants: `element`, `key_value`, `key`,
    /// `value`.
    pub fn arrow(self) -> DataType {
        match self {
            Kind::Text => DataType::Utf8,
            Kind::Int => DataType::Int32,
            Kind::Long => DataType::Int64,
            Kind::Timestamp => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
            Kind::Bool => DataType::Boolean,
            Kind::TextList => list_of(DataType::Utf8),
            Kind::TextMap => {
                let entry = DataType::Struct(Fields::from(vec![map_key(), map_value()]));
                DataType::Map(Arc::new(Field::new("key_value", entry, false)), false)
            }
            Kind::Resources => list_of(DataType::Struct(resource_fields())),
            Kind::Entities => list_of(DataType::Struct(entity_fields())),
        }
    }

    /// The type in Athena's DDL.
    pub fn athena(self) -> &'static str {
        match self {
            Kind::Text => "string",
            Kind::Int => "int",
            Kind::Long => "bigint",
            Kind::Timestamp => "timestamp",
            Kind::Bool => "boolean",
            Kind::TextList => "array<string>",
            Kind::TextMap => "map<string,string>",
            Kind::Resources => {
                "array<struct<type:string,id:string,aws_partition:string,region:string,\
                 tags:map<string,string>,details_json:string>>"
            }
            Kind::Entities => {
                "array<struct<value:string,status:string,last_updated_at:timestamp,\
                 tags:map<string,string>>>"
            }
        }
    }
}

fn list_of(element: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("element", element, true)))
}

/// The name of a map's entry.
pub(super) fn map_key() -> Field {
    Field::new("key", DataType::Utf8, false)
}

/// The value of a map's entry.
pub(super) fn map_value() -> Field {
    Field::new("value", DataType::Utf8, true)
}

/// The fields of one element of `resources`.
pub(super) fn resource_fields() -> Fields {
    Fields::from(vec![
        Field::new("type", Kind::Text.arrow(), true),
        Field::new("id", Kind::Text.arrow(), true),
        Field::new("aws_partition", Kind::Text.arrow(), true),
        Field::new("region", Kind::Text.arrow(), true),
        Field::new("tags", Kind::TextMap.arrow(), true),
        Field::new("details_json", Kind::Text.arrow(), true),
    ])
}

/// The fields of one element of `entities`.
pub(super) fn entity_fields() -> Fields {
    Fields::from(vec![
        Field::new("value", Kind::Text.arrow(), true),
        Field::new("status", Kind::Text.arrow(), true),
        Field::new("last_updated_at", Kind::Timestamp.arrow(), true),
        Field::new("tags", Kind::TextMap.arrow(), true),
    ])
}
