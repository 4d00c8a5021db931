//! Arrow values as JSON, for `inspect`.
//!
//! In: an array and a row. Out: the value with its nested parts, times as RFC 3339 in UTC. Types that no
//! column of ours has come out as their Arrow name.

use arrow::array::{Array, AsArray as _};
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimeUnit, TimestampMillisecondType};
use serde_json::{Map, Value};

/// The value in a row of an array.
pub(super) fn value(array: &dyn Array, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Utf8 => Value::from(array.as_string::<i32>().value(row)),
        DataType::Boolean => Value::from(array.as_boolean().value(row)),
        DataType::Int32 => Value::from(array.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => Value::from(array.as_primitive::<Int64Type>().value(row)),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            let milliseconds = array.as_primitive::<TimestampMillisecondType>().value(row);
            let time = jiff::Timestamp::from_millisecond(milliseconds);
            time.map_or(Value::Null, |time| Value::from(time.to_string()))
        }
        DataType::List(_) => {
            let elements = array.as_list::<i32>().value(row);
            (0..elements.len()).map(|element| value(elements.as_ref(), element)).collect()
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            let members = fields
                .iter()
                .zip(columns)
                .map(|(field, column)| (field.name().clone(), value(column.as_ref(), row)));
            Value::Object(members.collect())
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            let (keys, values) = (entries.column(0), entries.column(1));
            let members: Map<String, Value> = (0..entries.len())
                .map(|entry| (text(keys.as_ref(), entry), value(values.as_ref(), entry)))
                .collect();
            Value::Object(members)
        }
        other => Value::from(other.to_string()),
    }
}

/// The same as text without quotes; `-` for null.
pub(super) fn text(array: &dyn Array, row: usize) -> String {
    match value(array, row) {
        Value::Null => "-".to_owned(),
        Value::String(text) => text,
        other => other.to_string(),
    }
}
