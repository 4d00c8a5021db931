//! One row in the making: a cell for each column, and what is left over.
//!
//! In: members of a finding, with the column that each goes to. Out: the cells, borrowed from the
//! finding where possible, and the text of `unmapped_json`. What can go wrong is a value and never
//! an error: a member of another type than its column, or one that cannot be read, leaves the cell
//! null, is counted by column, and is left over as it was. `null` and blank text are absent. Limit:
//! one row takes about as much memory as the finding's text.

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::finding::columns::{COLUMN_COUNT, Column, Kind};
use crate::finding::json::{Json, Object};
use crate::finding::leftovers::Leftovers;
use crate::finding::tally::{NAME_CHARS_MAX, Tally};
use crate::finding::time;

/// Texts by name, sorted by name; names are unique. A `null` stays `null`, because its name may say
/// something; what is neither text nor `null` stands as its JSON text.
pub(super) type TextMap<'j> = Vec<(Cow<'j, str>, Option<Cow<'j, str>>)>;

/// One cell of a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Cell<'j> {
    #[default]
    Null,
    Text(Cow<'j, str>),
    /// A hash, which stands as its hex digits.
    Id(u128),
    Int(i32),
    Long(i64),
    /// Milliseconds since 1970, UTC.
    Time(i64),
    Bool(bool),
    TextList(Vec<Cow<'j, str>>),
    TextMap(TextMap<'j>),
    Resources(Vec<Resource<'j>>),
    Entities(Vec<Entity<'j>>),
}

/// One element of `resources`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Resource<'j> {
    pub(super) kind: Option<&'j str>,
    pub(super) id: Option<&'j str>,
    pub(super) aws_partition: Option<&'j str>,
    pub(super) region: Option<&'j str>,
    pub(super) tags: Option<TextMap<'j>>,
    pub(super) details_json: Option<String>,
}

/// One element of `entities`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Entity<'j> {
    pub(super) value: Option<&'j str>,
    pub(super) status: Option<&'j str>,
    pub(super) last_updated_at: Option<i64>,
    pub(super) tags: Option<TextMap<'j>>,
}

/// What became of a member of a finding.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reading<T> {
    /// `null` or blank.
    Absent,
    /// Of another type, or not to be read.
    Unreadable,
    /// What it says.
    Value(T),
}

/// One row in the making.
#[derive(Debug)]
pub(super) struct Row<'j, 't> {
    pub(super) cells: [Cell<'j>; COLUMN_COUNT],
    pub(super) leftovers: Leftovers,
    pub(super) tally: &'t mut Tally,
}

impl<'j, 't> Row<'j, 't> {
    /// An empty row; `buffer` is used for what is left over.
    pub(super) fn new(buffer: String, tally: &'t mut Tally) -> Self {
        Self {
            cells: [const { Cell::Null }; COLUMN_COUNT],
            leftovers: Leftovers::new(buffer),
            tally,
        }
    }

    #[expect(clippy::indexing_slicing, reason = "there is one cell for each column")]
    pub(super) fn cell(&self, column: Column) -> &Cell<'j> {
        &self.cells[column as usize]
    }

    /// The text in a column, when there is any.
    pub(super) fn text(&self, column: Column) -> Option<&str> {
        match self.cell(column) {
            Cell::Text(text) => Some(text),
            _ => None,
        }
    }

    #[expect(clippy::indexing_slicing, reason = "there is one cell for each column")]
    pub(super) fn set(&mut self, column: Column, cell: Cell<'j>) {
        self.cells[column as usize] = cell;
    }

    pub(super) fn set_text(&mut self, column: Column, text: impl Into<Cow<'j, str>>) {
        self.set(column, Cell::Text(text.into()));
    }

    /// Sets a text, when there is one.
    pub(super) fn set_some_text(&mut self, column: Column, text: Option<&'j str>) {
        if let Some(text) = text {
            self.set_text(column, text);
        }
    }

    pub(super) fn set_time(&mut self, column: Column, ms: Option<i64>) {
        self.set(column, ms.map_or(Cell::Null, Cell::Time));
    }

    pub(super) fn is_null(&self, column: Column) -> bool {
        matches!(self.cell(column), Cell::Null)
    }

    /// Reads a member into its column. Where the column already has another value, from another
    /// member that comes first, this one is left over.
    pub(super) fn read(&mut self, column: Column, name: &str, value: &'j Json<'j>) {
        match read(column, value) {
            Reading::Absent => {}
            Reading::Unreadable => self.unreadable(column, name, value),
            Reading::Value(cell) => {
                if self.is_null(column) {
                    self.set(column, cell);
                } else if *self.cell(column) != cell {
                    self.leftovers.put(name, value);
                }
            }
        }
    }

    /// Reads a member that the content hash leaves out: what it says may be in no other column than
    /// its own, so it is never left over.
    pub(super) fn read_delivery(&mut self, column: Column, value: &'j Json<'j>) {
        match read(column, value) {
            Reading::Absent => {}
            Reading::Unreadable => self.count_unreadable(column),
            Reading::Value(cell) => {
                if self.is_null(column) {
                    self.set(column, cell);
                }
            }
        }
    }

    /// Counts a value that cannot be read and keeps it as it was.
    pub(super) fn unreadable(&mut self, column: Column, name: &str, value: &Json<'_>) {
        self.count_unreadable(column);
        self.leftovers.put(name, value);
    }

    /// Counts a value that cannot be read.
    pub(super) fn count_unreadable(&mut self, column: Column) {
        self.tally.unreadable_fields.add(column.name(), 1);
    }

    /// Counts a member that its schema is not known to have, and keeps it. `path` is where it
    /// stands, as `asff.Severity`.
    pub(super) fn unknown(&mut self, path: &str, name: &str, value: &Json<'_>) {
        let cut = name.char_indices().nth(NAME_CHARS_MAX).map(|(at, _)| at);
        let name_cut = cut.and_then(|at| name.get(..at)).unwrap_or(name);
        self.tally.unknown_fields.add(&format!("{path}.{name_cut}"), 1);
        self.leftovers.put(name, value);
    }
}

/// Reads a value as a column's kind.
fn read<'j>(column: Column, value: &'j Json<'j>) -> Reading<Cell<'j>> {
    match column.kind() {
        Kind::Text => match read_text(value) {
            Reading::Value(text) => Reading::Value(Cell::Text(Cow::Borrowed(term(column, text)))),
            Reading::Absent => Reading::Absent,
            Reading::Unreadable => Reading::Unreadable,
        },
        Kind::Int => scalar(value, read_int, Cell::Int),
        Kind::Timestamp => scalar(value, time::read, Cell::Time),
        Kind::Bool => scalar(value, read_bool, Cell::Bool),
        Kind::TextList => scalar(value, read_list, Cell::TextList),
        Kind::TextMap => scalar(value, read_map, Cell::TextMap),
        Kind::Long | Kind::Resources | Kind::Entities => {
            unreachable!("{column:?} is not read from one member")
        }
    }
}

fn scalar<'j, T>(
    value: &'j Json<'j>,
    read: impl FnOnce(&'j Json<'j>) -> Option<T>,
    cell: impl FnOnce(T) -> Cell<'j>,
) -> Reading<Cell<'j>> {
    if is_absent(value) {
        return Reading::Absent;
    }
    read(value).map_or(Reading::Unreadable, |value| Reading::Value(cell(value)))
}

/// `null` and blank text say nothing.
pub(super) fn is_absent(value: &Json<'_>) -> bool {
    match value {
        Json::Null => true,
        Json::String(text) => text.trim_ascii().is_empty(),
        _ => false,
    }
}

/// Reads a text.
pub(super) fn read_text<'j>(value: &'j Json<'j>) -> Reading<&'j str> {
    match value {
        _ if is_absent(value) => Reading::Absent,
        Json::String(text) => Reading::Value(text),
        _ => Reading::Unreadable,
    }
}

/// The text of a member that is there, is a text, and is not blank.
pub(super) fn some_text<'j>(value: Option<&'j Json<'j>>) -> Option<&'j str> {
    match read_text(value?) {
        Reading::Value(text) => Some(text),
        Reading::Absent | Reading::Unreadable => None,
    }
}

/// Reads a whole number, as a number or as text.
pub(super) fn read_int(value: &Json<'_>) -> Option<i32> {
    let text = match value {
        Json::Number(number) => number,
        Json::String(text) => text.trim_ascii(),
        _ => return None,
    };
    // `40.0` is what some writers make of 40.
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    whole.parse().ok().filter(|_| fraction.bytes().all(|digit| digit == b'0'))
}

fn read_bool(value: &Json<'_>) -> Option<bool> {
    match value {
        Json::Bool(value) => Some(*value),
        Json::String(text) if text.trim_ascii().eq_ignore_ascii_case("true") => Some(true),
        Json::String(text) if text.trim_ascii().eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// Reads an array of texts; its `null`s are dropped, what else is no text stands as JSON text.
fn read_list<'j>(value: &'j Json<'j>) -> Option<Vec<Cow<'j, str>>> {
    Some(value.as_array()?.iter().filter_map(as_text).collect())
}

/// Reads an object of texts.
pub(super) fn read_map<'j>(value: &'j Json<'j>) -> Option<TextMap<'j>> {
    let members = value.as_object()?.iter();
    Some(members.map(|(name, value)| (Cow::Borrowed(name), as_text(value))).collect())
}

/// A value as text.
pub(super) fn as_text<'j>(value: &'j Json<'j>) -> Option<Cow<'j, str>> {
    match value {
        Json::Null => None,
        Json::String(text) => Some(Cow::Borrowed(text)),
        Json::Number(number) => Some(Cow::Borrowed(number)),
        Json::Bool(true) => Some(Cow::Borrowed("true")),
        Json::Bool(false) => Some(Cow::Borrowed("false")),
        Json::Array(_) | Json::Object(_) => Some(Cow::Owned(value.to_canonical())),
    }
}

/// The terms of a column whose values are a list: labels and statuses in ASFF's upper case, the
/// category of an event as the Health API spells it.
fn terms(column: Column) -> &'static [&'static str] {
    match column {
        Column::SeverityLabel => &["INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL"],
        Column::WorkflowStatus => &["NEW", "NOTIFIED", "RESOLVED", "SUPPRESSED"],
        Column::RecordState => &["ACTIVE", "ARCHIVED"],
        Column::ComplianceStatus => &["PASSED", "WARNING", "FAILED", "NOT_AVAILABLE"],
        Column::VerificationState => {
            &["UNKNOWN", "TRUE_POSITIVE", "FALSE_POSITIVE", "BENIGN_POSITIVE"]
        }
        Column::EventTypeCategory => {
            &["issue", "accountNotification", "scheduledChange", "investigation"]
        }
        Column::EventScope => &["PUBLIC", "ACCOUNT_SPECIFIC", "NONE"],
        Column::StatusCode => &["OPEN", "CLOSED", "UPCOMING"],
        Column::Actionability => &["ACTION_REQUIRED", "ACTION_MAY_BE_REQUIRED", "INFORMATIONAL"],
        _ => &[],
    }
}

/// The column's own spelling of a term, compared without case; an unknown term as it stands.
pub(super) fn term(column: Column, text: &str) -> &str {
    terms(column).iter().find(|term| term.eq_ignore_ascii_case(text)).copied().unwrap_or(text)
}

/// An order of JSON values that depends on nothing but what they say.
pub(super) fn compare(left: &Json<'_>, right: &Json<'_>) -> Ordering {
    match (left, right) {
        (Json::Bool(left), Json::Bool(right)) => left.cmp(right),
        (Json::Number(left), Json::Number(right)) | (Json::String(left), Json::String(right)) => {
            left.cmp(right)
        }
        (Json::Array(left), Json::Array(right)) => {
            let elements = left.iter().zip(*right).map(|(left, right)| compare(left, right));
            first_difference(elements).then(left.len().cmp(&right.len()))
        }
        (Json::Object(left), Json::Object(right)) => compare_objects(left, right),
        _ => rank(left).cmp(&rank(right)),
    }
}

fn compare_objects(left: &Object<'_>, right: &Object<'_>) -> Ordering {
    let members = left.iter().zip(right.iter()).map(|((left_name, left), (right_name, right))| {
        left_name.cmp(right_name).then_with(|| compare(left, right))
    });
    first_difference(members).then(left.len().cmp(&right.len()))
}

fn first_difference(mut orders: impl Iterator<Item = Ordering>) -> Ordering {
    orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

fn rank(value: &Json<'_>) -> u8 {
    match value {
        Json::Null => 0,
        Json::Bool(_) => 1,
        Json::Number(_) => 2,
        Json::String(_) => 3,
        Json::Array(_) => 4,
        Json::Object(_) => 5,
    }
}
