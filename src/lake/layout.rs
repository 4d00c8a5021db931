//! Where everything lies: the lake's key names and its partitions, and how to read them back.
//!
//! In: tables, partitions, commit numbers and content hashes. Out: keys relative to the lake's
//! base. Pure; nothing goes wrong here but a name that does not parse, which is `None`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The prefix of all that is not a table.
pub const STATE: &str = "_healthtrail/";
/// The lake's settings.
pub const CONFIG: &str = "_healthtrail/lake.json";
/// The prefix of commit records and done marks.
pub const LOG: &str = "_healthtrail/log/";
/// The prefix of files that are not published yet.
pub const STAGING: &str = "_healthtrail/staging/";
/// The prefix of long lists of objects.
pub const OBJECTS: &str = "_healthtrail/objects/";
/// The prefix of folded logs.
pub const CHECKPOINTS: &str = "_healthtrail/checkpoints/";

/// The prefix of files that a repair took out of the tables.
pub const QUARANTINE: &str = "_healthtrail/quarantine/";

/// The prefix of what `doctor` writes to try whether it can, and deletes again.
pub const DOCTOR: &str = "_healthtrail/doctor/";

const DAY_MS: i64 = 86_400_000;
/// Days and months are kept inside years 0 to 9999, so that every partition has a name of fixed form.
const DAY_MIN: i64 = -719_528;
const DAY_MAX: i64 = 2_932_896;

/// The two tables of a lake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// One row is one version of one finding.
    Findings,
    /// One row is what could not become a finding.
    Rejects,
}

impl Table {
    /// Both, in the order in which a lake lists them.
    pub const ALL: [Self; 2] = [Self::Findings, Self::Rejects];

    /// The name, which is also the folder's.
    pub fn name(self) -> &'static str {
        match self {
            Self::Findings => "findings",
            Self::Rejects => "rejects",
        }
    }

    /// The column that identifies a row, as 32 lower-case hex digits.
    pub fn id_column(self) -> &'static str {
        match self {
            Self::Findings => "row_id",
            Self::Rejects => "reject_id",
        }
    }

    /// The column that gives the partition, a timestamp in milliseconds.
    pub fn time_column(self) -> &'static str {
        match self {
            Self::Findings => "reported_at",
            Self::Rejects => "arrived_hour",
        }
    }

    /// The table of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name() == name)
    }
}

/// How long a partition's stretch of time is; fixed when the lake is created.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum PartitionBy {
    /// `dt=2026-11-24`
    #[default]
    Day,
    /// `month=2026-11`
    Month,
}

impl PartitionBy {
    /// The name of the partition key.
    pub fn column(self) -> &'static str {
        match self {
            Self::Day => "dt",
            Self::Month => "month",
        }
    }

    /// The name in settings: `day` or `month`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
        }
    }
}

/// One partition of a table: a UTC day or month. Ordered by time within one kind.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    by: PartitionBy,
    /// Days or months since January 1970.
    index: i32,
}

impl Partition {
    /// The partition of this moment, in milliseconds since 1970 UTC. Moments outside the years 0 to
    /// 9999 belong to the first or last of them.
    #[expect(clippy::cast_possible_truncation, reason = "clamped to a few million days")]
    pub fn of(time_ms: i64, by: PartitionBy) -> Self {
        let day = time_ms.div_euclid(DAY_MS).clamp(DAY_MIN, DAY_MAX);
        match by {
            PartitionBy::Day => Self { by, index: day as i32 },
            PartitionBy::Month => {
                let (year, month, _) = civil_of_day(day);
                Self { by, index: ((year - 1970) * 12 + i64::from(month) - 1) as i32 }
            }
        }
    }

    /// The moments that belong to it, in milliseconds since 1970 UTC.
    pub fn times(self) -> std::ops::Range<i64> {
        let start = |index: i32| match self.by {
            PartitionBy::Day => i64::from(index) * DAY_MS,
            PartitionBy::Month => {
                let (years, month) = (i64::from(index.div_euclid(12)), index.rem_euclid(12) + 1);
                day_of_civil(1970 + years, u8::try_from(month).unwrap_or(1), 1) * DAY_MS
            }
        };
        start(self.index)..start(self.index + 1)
    }

    /// Whether it is a day or a month.
    pub fn by(self) -> PartitionBy {
        self.by
    }

    /// How many days or months it lies after another of its kind; below 0 when before.
    pub fn after(self, other: Self) -> i64 {
        i64::from(self.index) - i64::from(other.index)
    }
}

/// `2026-11-24` for a day, `2026-11` for a month.
impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.by {
            PartitionBy::Day => {
                let (year, month, day) = civil_of_day(i64::from(self.index));
                write!(f, "{year:04}-{month:02}-{day:02}")
            }
            PartitionBy::Month => {
                let (years, months) = (self.index.div_euclid(12), self.index.rem_euclid(12));
                write!(f, "{:04}-{:02}", 1970 + years, months + 1)
            }
        }
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={self}", self.by.column())
    }
}

/// A text that is no partition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither a day such as `2026-11-24` nor a month such as `2026-11`")]
pub struct NoPartition(pub String);

impl FromStr for Partition {
    type Err = NoPartition;

    fn from_str(text: &str) -> Result<Self, NoPartition> {
        let partition = parse_partition(text).ok_or_else(|| NoPartition(text.to_owned()))?;
        // Only the form that is written: no `2026-02-31`, no signs, no missing zeros.
        if partition.to_string() == text {
            Ok(partition)
        } else {
            Err(NoPartition(text.to_owned()))
        }
    }
}

impl Serialize for Partition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Partition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

fn parse_partition(text: &str) -> Option<Partition> {
    let mut fields = text.split('-');
    let year: i64 = fields.next()?.parse().ok().filter(|year| (0..=9999).contains(year))?;
    let month: u8 = fields.next()?.parse().ok().filter(|month| (1..=12).contains(month))?;
    let (by, index) = match fields.next() {
        None => (PartitionBy::Month, (year - 1970) * 12 + i64::from(month) - 1),
        Some(day) => (PartitionBy::Day, day_of_civil(year, month, day.parse().ok()?)),
    };
    let index = i32::try_from(index).ok()?;
    fields.next().is_none().then_some(Partition { by, index })
}

/// Year, month and day of a day since 1970: the proleptic Gregorian calendar, counted in eras of 400
/// years that begin on 1 March, so that the leap day is the last of its year.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "months and days are small and positive by arithmetic"
)]
fn civil_of_day(day: i64) -> (i64, u8, u8) {
    let day = day - DAY_MIN - 60;
    let era = day.div_euclid(146_097);
    let day_of_era = day.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as u8, day_of_month as u8)
}

/// The inverse of [`civil_of_day`]; a day past its month's end counts on into the next.
fn day_of_civil(year: i64, month: u8, day: u8) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (i64::from(month) + 9) % 12;
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era + DAY_MIN + 60
}

/// The prefix of a partition's files: `findings/dt=2026-11-24/`.
pub fn partition_prefix(table: Table, partition: Partition) -> String {
    format!("{}/{partition:?}/", table.name())
}

/// The final key of a part: `findings/dt=2026-11-24/0000000042-<first 16 digits of its SHA-256>.parquet`.
pub fn part_key(table: Table, partition: Partition, commit: u64, sha256: &str) -> String {
    let short = sha256.get(..16).unwrap_or(sha256);
    format!("{}/{partition:?}/{commit:010}-{short}.parquet", table.name())
}

/// What a part's key tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartName {
    /// The table it belongs to.
    pub table: Table,
    /// Its partition.
    pub partition: Partition,
    /// The commit that published it.
    pub commit: u64,
}

/// Reads a [`part_key`] back; `None` for any other key.
pub fn parse_part_key(key: &str) -> Option<PartName> {
    let mut segments = key.split('/');
    let table = Table::parse(segments.next()?)?;
    let (column, value) = segments.next()?.split_once('=')?;
    let partition: Partition = value.parse().ok()?;
    let (number, hash) = segments.next()?.strip_suffix(".parquet")?.split_once('-')?;
    let whole = segments.next().is_none()
        && column == partition.by().column()
        && hash.len() == 16
        && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    let commit = parse_number(number)?;
    whole.then_some(PartName { table, partition, commit })
}

/// A commit's record: `_healthtrail/log/0000000042.json`.
pub fn record_key(number: u64) -> String {
    format!("{LOG}{number:010}.json")
}

/// A commit's done mark: `_healthtrail/log/0000000042.done`.
pub fn done_key(number: u64) -> String {
    format!("{LOG}{number:010}.done")
}

/// The commit number of a record's or done mark's key; `None` for any other key.
pub fn parse_log_key(key: &str) -> Option<u64> {
    let (number, kind) = key.strip_prefix(LOG)?.split_once('.')?;
    if matches!(kind, "json" | "done") { parse_number(number) } else { None }
}

/// A part's key under which no part ever lies: a repair that reopens a commit without taking a file out
/// names it.
pub fn nowhere_key(table: Table, commit: u64) -> String {
    part_key(table, Partition::of(0, PartitionBy::Day), commit, "0000000000000000")
}

/// Where a repair keeps a file that it takes out of a table.
pub fn quarantine_key(key: &str) -> String {
    format!("{QUARANTINE}{key}")
}

/// The prefix of what all runs stage for one commit number.
pub fn staging_prefix(number: u64) -> String {
    format!("{STAGING}{number}/")
}

/// The prefix of what one run stages for one commit number.
pub fn run_staging_prefix(number: u64, run: &str) -> String {
    format!("{STAGING}{number}/{run}/")
}

/// A staged part: `_healthtrail/staging/42/<run>/<sha256>.parquet`.
pub fn staged_part_key(number: u64, run: &str, sha256: &str) -> String {
    format!("{STAGING}{number}/{run}/{sha256}.parquet")
}

/// A staged list of objects: `_healthtrail/staging/42/<run>/<sha256>.json`.
pub fn staged_objects_key(number: u64, run: &str, sha256: &str) -> String {
    format!("{STAGING}{number}/{run}/{sha256}.json")
}

/// The commit number of a staged key; `None` for any other key.
pub fn parse_staging_key(key: &str) -> Option<u64> {
    let (number, rest) = key.strip_prefix(STAGING)?.split_once('/')?;
    if rest.is_empty() || number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    number.parse().ok()
}

/// A list of objects: `_healthtrail/objects/<sha256>.json`.
pub fn objects_key(sha256: &str) -> String {
    format!("{OBJECTS}{sha256}.json")
}

/// The log folded up to a commit: `_healthtrail/checkpoints/0000000042.json.zst`.
pub fn checkpoint_key(number: u64) -> String {
    format!("{CHECKPOINTS}{number:010}.json.zst")
}

/// Reads a [`checkpoint_key`] back; `None` for any other key.
pub fn parse_checkpoint_key(key: &str) -> Option<u64> {
    parse_number(key.strip_prefix(CHECKPOINTS)?.strip_suffix(".json.zst")?)
}

/// A number of at least ten digits, as file names hold it.
fn parse_number(digits: &str) -> Option<u64> {
    let padded = digits.len() >= 10 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if padded { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOON: i64 = 1_795_521_600_000; // 2026-11-24T12:00:00Z

    #[test]
    fn partitions_have_names() {
        let cases = [
            (NOON, "dt=2026-11-24", "month=2026-11"),
            (0, "dt=1970-01-01", "month=1970-01"),
            (-1, "dt=1969-12-31", "month=1969-12"),
            (951_782_400_000, "dt=2000-02-29", "month=2000-02"),
            (i64::MIN, "dt=0000-01-01", "month=0000-01"),
            (i64::MAX, "dt=9999-12-31", "month=9999-12"),
        ];
        for (time, day, month) in cases {
            assert_eq!(format!("{:?}", Partition::of(time, PartitionBy::Day)), day);
            assert_eq!(format!("{:?}", Partition::of(time, PartitionBy::Month)), month);
        }
    }

    #[test]
    fn only_the_written_form_is_a_partition() {
        for text in ["2026-11-24", "2026-11", "0000-01-01", "9999-12"] {
            assert_eq!(text.parse::<Partition>().unwrap().to_string(), text);
        }
        for text in ["", "2026", "2026-1", "2026-02-29", "2026-13", "+2026-11", "2026-11-24-1"] {
            assert!(text.parse::<Partition>().is_err(), "{text}");
        }
    }

    #[test]
    fn part_keys_are_read_back() {
        let partition = Partition::of(NOON, PartitionBy::Day);
        let key = part_key(Table::Findings, partition, 42, &"3f9a".repeat(16));
        assert_eq!(key, "findings/dt=2026-11-24/0000000042-3f9a3f9a3f9a3f9a.parquet");
        let name = PartName { table: Table::Findings, partition, commit: 42 };
        assert_eq!(parse_part_key(&key), Some(name));
        for key in [
            "findings/month=2026-11-24/0000000042-3f9a3f9a3f9a3f9a.parquet",
            "findings/dt=2026-11-24/42-3f9a3f9a3f9a3f9a.parquet",
            "findings/dt=2026-11-24/0000000042-3f9a.parquet",
            "other/dt=2026-11-24/0000000042-3f9a3f9a3f9a3f9a.parquet",
            "findings/dt=2026-11-24/x/0000000042-3f9a3f9a3f9a3f9a.parquet",
        ] {
            assert_eq!(parse_part_key(key), None, "{key}");
        }
    }

    #[test]
    fn state_keys_are_read_back() {
        assert_eq!(record_key(42), "_healthtrail/log/0000000042.json");
        assert_eq!(done_key(42), "_healthtrail/log/0000000042.done");
        assert_eq!(parse_staging_key(&staged_part_key(42, "run", "ab")), Some(42));
        assert_eq!(parse_staging_key(&staging_prefix(42)), None);
        assert_eq!(parse_staging_key("_healthtrail/staging/x/run/ab.parquet"), None);
        assert_eq!(parse_checkpoint_key(&checkpoint_key(7)), Some(7));
        assert_eq!(parse_checkpoint_key("_healthtrail/checkpoints/7.tmp"), None);
    }

    proptest! {
        #[test]
        fn names_order_as_times_do(a in 0_i64..4_102_444_800_000, b in 0_i64..4_102_444_800_000) {
            for by in [PartitionBy::Day, PartitionBy::Month] {
                let (one, two) = (Partition::of(a, by), Partition::of(b, by));
                prop_assert_eq!(one.cmp(&two), one.to_string().cmp(&two.to_string()));
                prop_assert_eq!(one.to_string().parse::<Partition>().unwrap(), one);
                if a <= b { prop_assert!(one <= two); }
                prop_assert!(one.times().contains(&a));
                prop_assert_eq!(Partition::of(one.times().end - 1, by), one);
                prop_assert_ne!(Partition::of(one.times().end, by), one);
            }
        }
    }
}
