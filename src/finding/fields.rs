//! A schema's fields as tables: for each member of an object, what becomes of it.
//!
//! In: a table and an object. Out: cells and leftovers of a row. A member that its table does not
//! name is unknown: counted, and left over. The tables lie in `from_health`, `from_asff` and
//! `from_ocsf`; they are sorted by name, which a test checks.

use crate::finding::columns::Column;
use crate::finding::json::{Json, Object, start_of};
use crate::finding::row::{Row, is_absent};

/// The fields of one object.
#[derive(Debug)]
pub(super) struct Table {
    /// Where the object stands in its schema, as `asff.Severity`.
    pub(super) path: &'static str,
    /// Whether names are compared without case when no field has exactly that name.
    pub(super) any_case: bool,
    /// The fields, sorted by name.
    pub(super) fields: &'static [Field],
}

/// A field's name, and what becomes of it.
#[derive(Debug)]
pub(super) struct Field {
    start: u64,
    pub(super) name: &'static str,
    pub(super) to: To,
}

/// What becomes of the members of this name.
pub(super) const fn field(name: &'static str, to: To) -> Field {
    Field { start: start_of(name), name, to }
}

/// What becomes of a member.
#[derive(Debug, Clone, Copy)]
pub(super) enum To {
    /// It is a column.
    Column(Column),
    /// It is a delivery column and left out of the content hash.
    Delivery(Column),
    /// It is an object, whose members have a table; when it is no object, that column is
    /// unreadable.
    Nested(&'static Table, Column),
    /// The schema has it, the table of findings does not.
    Keep,
    /// It is read elsewhere, or left out of the content hash and in no column.
    Drop,
    /// It is read by a function of its own.
    Special(Special),
}

/// Reads a member in a way of its own.
pub(super) type Special = for<'j, 't> fn(&mut Row<'j, 't>, &'j str, &'j Json<'j>);

impl Table {
    fn find(&self, name: &str, object: &Object<'_>) -> Option<To> {
        let start = start_of(name);
        let compare = |field: &Field| field.start.cmp(&start).then_with(|| field.name.cmp(name));
        if let Ok(index) = self.fields.binary_search_by(compare) {
            return self.fields.get(index).map(|field| field.to);
        }
        if !self.any_case {
            return None;
        }
        let Field { name: exact, to, .. } =
            self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
        // The content hash leaves out only the right spelling, so no other may be dropped.
        let is_left_out = matches!(to, To::Delivery(_) | To::Drop);
        // The right spelling wins where an object has both.
        (!is_left_out && !object.has(exact)).then_some(*to)
    }
}

/// Puts each member of an object where its table says.
pub(super) fn walk<'j>(row: &mut Row<'j, '_>, table: &Table, object: &'j Object<'j>) {
    for (name, value) in object.iter() {
        match table.find(name, object) {
            Some(To::Column(column)) => row.read(column, name, value),
            Some(To::Delivery(column)) => row.read_delivery(column, value),
            Some(To::Nested(nested, column)) => match value {
                Json::Object(object) => {
                    let mark = row.leftovers.open(name);
                    walk(row, nested, object);
                    row.leftovers.close(mark);
                }
                _ if is_absent(value) => {}
                _ => row.unreadable(column, name, value),
            },
            Some(To::Keep) => row.leftovers.put(name, value),
            Some(To::Drop) => {}
            Some(To::Special(read)) => read(row, name, value),
            None => row.unknown(table.path, name, value),
        }
    }
}

/// Reads each element of an array that is an object; what else there is cannot be read, and is left
/// over where it stands.
pub(super) fn walk_elements<'j, 't, T>(
    row: &mut Row<'j, 't>,
    column: Column,
    name: &str,
    elements: impl IntoIterator<Item = &'j Json<'j>>,
    mut read: impl FnMut(&mut Row<'j, 't>, &'j Object<'j>) -> T,
) -> Vec<T> {
    let array = row.leftovers.open_array(name);
    let mut all = Vec::new();
    for element in elements {
        match element {
            Json::Object(members) => {
                let object = row.leftovers.open_element();
                all.push(read(row, members));
                row.leftovers.close(object);
            }
            _ if is_absent(element) => {}
            _ => {
                row.count_unreadable(column);
                row.leftovers.put_element(element);
            }
        }
    }
    row.leftovers.close(array);
    all
}

/// The member `name`, spelled in any case where it is not spelled right.
pub(super) fn get_any_case<'j>(object: &'j Object<'j>, name: &str) -> Option<&'j Json<'j>> {
    object.get(name).or_else(|| {
        object.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    })
}

/// That a table and the tables in it are sorted, so that fields are found.
#[cfg(test)]
pub(super) fn check_table(table: &Table) {
    assert!(table.fields.is_sorted_by(|a, b| a.name < b.name), "{} is not sorted", table.path);
    for field in table.fields {
        if let To::Nested(nested, _) = &field.to {
            check_table(nested);
        }
    }
}
