//! Cells to Arrow arrays: one builder for each column.
//!
//! In: a cell of each row. Out: an array of the kind that the list of columns says. A cell of
//! another kind than its column is a fault of this program and ends it. Limit: Arrow counts a
//! column's text with 32 bits, so the rows of one batch stay below 2 GiB (see `rows`).

use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayBuilder, ArrayRef, BooleanBuilder, Int32Builder, Int64Builder, ListArray,
    ListBuilder, MapBuilder, MapFieldNames, StringBuilder, StructArray,
    TimestampMillisecondBuilder,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field};

use crate::finding::identity;
use crate::finding::kinds::{Kind, entity_fields, map_key, map_value, resource_fields};
use crate::finding::row::{Cell, Entity, Resource, TextMap};

/// Bytes of an offset in a list, a map or a text.
const OFFSET: usize = size_of::<i32>();
/// Bytes of a timestamp.
const TIME: usize = size_of::<i64>();

/// One column as it grows.
#[derive(Debug)]
pub(super) struct ColumnBuilder {
    array: ArrayBuilderOf,
    /// How many rows it has. Nulls are appended only when a value follows: most cells are null.
    rows: usize,
}

/// The array of a column.
#[derive(Debug)]
enum ArrayBuilderOf {
    Text(StringBuilder),
    Int(Int32Builder),
    Long(Int64Builder),
    Timestamp(TimestampMillisecondBuilder),
    Bool(BooleanBuilder),
    TextList(ListBuilder<StringBuilder>),
    TextMap(TextMapBuilder),
    Resources(Box<ResourcesBuilder>),
    Entities(Box<EntitiesBuilder>),
}

impl ColumnBuilder {
    pub(super) fn new(kind: Kind) -> Self {
        Self { array: ArrayBuilderOf::new(kind), rows: 0 }
    }

    /// Sets the cell of row `row`, where it is not null, and says how many bytes of the array it takes
    /// beyond its fixed part.
    pub(super) fn set(&mut self, row: usize, cell: &Cell<'_>) -> usize {
        if matches!(cell, Cell::Null) {
            return 0;
        }
        self.fill(row);
        self.rows += 1;
        self.array.append(cell)
    }

    fn fill(&mut self, rows: usize) {
        let nulls = rows - self.rows;
        if nulls > 0 {
            self.array.append_nulls(nulls);
            self.rows = rows;
        }
    }

    /// The array of so many rows, without spare room; the builder is empty again.
    pub(super) fn finish(&mut self, rows: usize) -> ArrayRef {
        self.fill(rows);
        self.rows = 0;
        let mut array = self.array.build();
        array.shrink_to_fit();
        array
    }
}

impl ArrayBuilderOf {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Text => Self::Text(text_builder()),
            Kind::Int => Self::Int(Int32Builder::with_capacity(0)),
            Kind::Long => Self::Long(Int64Builder::with_capacity(0)),
            Kind::Timestamp => Self::Timestamp(time_builder()),
            Kind::Bool => Self::Bool(BooleanBuilder::with_capacity(0)),
            Kind::TextList => {
                let element = Field::new("element", DataType::Utf8, true);
                Self::TextList(ListBuilder::with_capacity(text_builder(), 0).with_field(element))
            }
            Kind::TextMap => Self::TextMap(TextMapBuilder::new()),
            Kind::Resources => Self::Resources(Box::new(ResourcesBuilder::new())),
            Kind::Entities => Self::Entities(Box::new(EntitiesBuilder::new())),
        }
    }

    /// Appends a cell and says how many bytes of the array it takes beyond its fixed part.
    fn append(&mut self, cell: &Cell<'_>) -> usize {
        match (self, cell) {
            (Self::Text(builder), Cell::Text(text)) => {
                builder.append_value(text);
                text.len()
            }
            (Self::TextList(builder), Cell::TextList(texts)) => {
                for text in texts {
                    builder.values().append_value(text);
                }
                builder.append(true);
                texts.iter().map(|text| OFFSET + text.len()).sum()
            }
            (Self::Text(builder), Cell::Id(id)) => {
                builder.append_value(identity::hex(*id).as_str());
                identity::HEX_DIGITS
            }
            (Self::TextMap(builder), Cell::TextMap(map)) => builder.append(Some(map)),
            (Self::Resources(builder), Cell::Resources(resources)) => builder.append(resources),
            (Self::Entities(builder), Cell::Entities(entities)) => builder.append(entities),
            (builder, cell) => {
                builder.append_fixed(cell);
                0
            }
        }
    }

    /// Appends a cell that has no part of variable length.
    fn append_fixed(&mut self, cell: &Cell<'_>) {
        match (self, cell) {
            (Self::Int(builder), Cell::Int(integer)) => builder.append_value(*integer),
            (Self::Long(builder), Cell::Long(integer)) => builder.append_value(*integer),
            (Self::Timestamp(builder), Cell::Time(ms)) => builder.append_value(*ms),
            (Self::Bool(builder), Cell::Bool(value)) => builder.append_value(*value),
            (builder, cell) => unreachable!("{cell:?} cannot stand in {builder:?}"),
        }
    }

    fn append_nulls(&mut self, nulls: usize) {
        match self {
            Self::Text(builder) => builder.append_nulls(nulls),
            Self::Int(builder) => builder.append_nulls(nulls),
            Self::Long(builder) => builder.append_nulls(nulls),
            Self::Timestamp(builder) => builder.append_nulls(nulls),
            Self::Bool(builder) => builder.append_nulls(nulls),
            Self::TextList(builder) => builder.append_nulls(nulls),
            Self::TextMap(builder) => {
                for _ in 0..nulls {
                    builder.append(None);
                }
            }
            Self::Resources(builder) => builder.lists.append_nulls(nulls, builder.id.len()),
            Self::Entities(builder) => builder.lists.append_nulls(nulls, builder.value.len()),
        }
    }

    fn build(&mut self) -> ArrayRef {
        match self {
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Int(builder) => Arc::new(builder.finish()),
            Self::Long(builder) => Arc::new(builder.finish()),
            Self::Timestamp(builder) => Arc::new(builder.finish()),
            Self::Bool(builder) => Arc::new(builder.finish()),
            Self::TextList(builder) => Arc::new(builder.finish()),
            Self::TextMap(builder) => builder.finish(),
            Self::Resources(builder) => builder.finish(),
            Self::Entities(builder) => builder.finish(),
        }
    }
}

/// Bytes that every row of a column takes, null or not; validity bits are counted by the caller.
pub(super) fn fixed_bytes(kind: Kind) -> usize {
    match kind {
        Kind::Text | Kind::TextList | Kind::TextMap | Kind::Resources | Kind::Entities => OFFSET,
        Kind::Int => size_of::<i32>(),
        Kind::Long | Kind::Timestamp => TIME,
        Kind::Bool => 1,
    }
}

/// Without room in advance: most batches are small, and there are many columns.
fn text_builder() -> StringBuilder {
    StringBuilder::with_capacity(0, 0)
}

fn time_builder() -> TimestampMillisecondBuilder {
    TimestampMillisecondBuilder::with_capacity(0).with_timezone("UTC")
}

/// Builds maps of texts.
#[derive(Debug)]
pub(super) struct TextMapBuilder(MapBuilder<StringBuilder, StringBuilder>);

impl TextMapBuilder {
    fn new() -> Self {
        let names = MapFieldNames {
            entry: "key_value".to_owned(),
            key: "key".to_owned(),
            value: "value".to_owned(),
        };
        let builder = MapBuilder::with_capacity(Some(names), text_builder(), text_builder(), 0);
        Self(builder.with_keys_field(map_key()).with_values_field(map_value()))
    }

    fn append(&mut self, map: Option<&TextMap<'_>>) -> usize {
        let mut bytes = 0;
        for (key, value) in map.into_iter().flatten() {
            self.0.keys().append_value(key);
            self.0.values().append_option(value.as_deref());
            bytes += 2 * OFFSET + key.len() + value.as_ref().map_or(0, |value| value.len());
        }
        let appended = self.0.append(map.is_some());
        debug_assert!(appended.is_ok(), "each key has a value");
        bytes
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(self.0.finish())
    }
}

/// Where the lists of a column begin and end, and which are null.
#[derive(Debug)]
struct Lists {
    offsets: Vec<i32>,
    valid: Vec<bool>,
}

impl Lists {
    fn new() -> Self {
        Self { offsets: vec![0], valid: Vec::new() }
    }

    /// Ends a list at `end` elements.
    #[expect(clippy::expect_used, reason = "the rows of a batch stay below 2 GiB")]
    fn append(&mut self, valid: bool, end: usize) {
        self.offsets.push(i32::try_from(end).expect("a column has less than 2^31 elements"));
        self.valid.push(valid);
    }

    fn append_nulls(&mut self, nulls: usize, end: usize) {
        for _ in 0..nulls {
            self.append(false, end);
        }
    }

    fn finish(&mut self, elements: StructArray) -> ArrayRef {
        let lists = std::mem::replace(self, Self::new());
        let offsets = OffsetBuffer::new(lists.offsets.into());
        let nulls = lists.valid.contains(&false).then(|| NullBuffer::from(lists.valid));
        let element = Field::new("element", DataType::Struct(elements.fields().clone()), true);
        Arc::new(ListArray::new(Arc::new(element), offsets, Arc::new(elements), nulls))
    }
}

/// Builds lists of resources.
#[derive(Debug)]
pub(super) struct ResourcesBuilder {
    lists: Lists,
    kind: StringBuilder,
    id: StringBuilder,
    aws_partition: StringBuilder,
    region: StringBuilder,
    tags: TextMapBuilder,
    details_json: StringBuilder,
}

impl ResourcesBuilder {
    fn new() -> Self {
        Self {
            lists: Lists::new(),
            kind: text_builder(),
            id: text_builder(),
            aws_partition: text_builder(),
            region: text_builder(),
            tags: TextMapBuilder::new(),
            details_json: text_builder(),
        }
    }

    fn append(&mut self, resources: &[Resource<'_>]) -> usize {
        let mut bytes = 0;
        for resource in resources {
            bytes += append_text(&mut self.kind, resource.kind);
            bytes += append_text(&mut self.id, resource.id);
            bytes += append_text(&mut self.aws_partition, resource.aws_partition);
            bytes += append_text(&mut self.region, resource.region);
            bytes += OFFSET + self.tags.append(resource.tags.as_ref());
            bytes += append_text(&mut self.details_json, resource.details_json.as_deref());
        }
        self.lists.append(true, self.id.len());
        bytes
    }

    fn finish(&mut self) -> ArrayRef {
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(self.kind.finish()),
            Arc::new(self.id.finish()),
            Arc::new(self.aws_partition.finish()),
            Arc::new(self.region.finish()),
            self.tags.finish(),
            Arc::new(self.details_json.finish()),
        ];
        self.lists.finish(StructArray::new(resource_fields(), arrays, None))
    }
}

/// Builds lists of entities.
#[derive(Debug)]
pub(super) struct EntitiesBuilder {
    lists: Lists,
    value: StringBuilder,
    status: StringBuilder,
    last_updated_at: TimestampMillisecondBuilder,
    tags: TextMapBuilder,
}

impl EntitiesBuilder {
    fn new() -> Self {
        Self {
            lists: Lists::new(),
            value: text_builder(),
            status: text_builder(),
            last_updated_at: time_builder(),
            tags: TextMapBuilder::new(),
        }
    }

    fn append(&mut self, entities: &[Entity<'_>]) -> usize {
        let mut bytes = 0;
        for entity in entities {
            bytes += append_text(&mut self.value, entity.value);
            bytes += append_text(&mut self.status, entity.status);
            self.last_updated_at.append_option(entity.last_updated_at);
            bytes += TIME + OFFSET + self.tags.append(entity.tags.as_ref());
        }
        self.lists.append(true, self.value.len());
        bytes
    }

    fn finish(&mut self) -> ArrayRef {
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(self.value.finish()),
            Arc::new(self.status.finish()),
            Arc::new(self.last_updated_at.finish()),
            self.tags.finish(),
        ];
        self.lists.finish(StructArray::new(entity_fields(), arrays, None))
    }
}

fn append_text(builder: &mut StringBuilder, text: Option<&str>) -> usize {
    builder.append_option(text);
    OFFSET + text.map_or(0, str::len)
}
