//! What stands between the Parquet reader and a damaged file.
//!
//! In: a part's footer, or a call of the reader. Out: the same, or [`LakeError::Damaged`] with the part's
//! key. The reader trusts what a footer says: it was seen to panic on damaged ones (arrow-rs issues
//! 9705, 9742 and 9874), and to set memory aside for as many row groups as a flipped bit claims, which
//! ends a process. So a footer is walked before the reader sees it ([`check_footer`]), what it says is held
//! against the log ([`check_metadata`]), and a panic counts as damage ([`guarded`]). What limits it: the
//! footer, [`FOOTER_BYTES_MAX`] bytes at most, is looked at once.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

use super::error::{LakeError, LakeResult};
use super::ledger::LedgerFile;

/// The longest footer: a part of the most row groups that [`super::part`] writes has a tenth of it.
pub(super) const FOOTER_BYTES_MAX: u64 = 32 << 20;

/// What ends a Parquet file: the footer's length, and this.
const MAGIC: &[u8; 4] = b"PAR1";

/// Bytes behind the footer.
pub(super) const TAIL_BYTES: u64 = 8;

/// How deep structures may lie in each other; Parquet's own are less than ten deep.
const DEPTH_MAX: usize = 32;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is inside of [`guarded`], where a panic is an answer and no defect.
pub fn is_guarded() -> bool {
    GUARDED.get()
}

/// Runs the Parquet reader; what was half read is dropped with the error.
pub(super) fn guarded<T>(
    file: &LedgerFile,
    read: impl FnOnce() -> Result<T, ParquetError>,
) -> LakeResult<T> {
    let was = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(read));
    GUARDED.set(was);
    match result {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(LakeError::damaged(&file.key, format!("is not readable: {error}"))),
        Err(_) => Err(LakeError::damaged(&file.key, "is not readable as Parquet")),
    }
}

/// How long the footer is, by the last bytes of the file.
pub(super) fn footer_bytes(file: &LedgerFile, end: &[u8]) -> LakeResult<u64> {
    let damaged = |message: &str| LakeError::damaged(&file.key, message);
    let tail = end.last_chunk::<8>().ok_or_else(|| damaged("is too short to be Parquet"))?;
    let (length, magic) = tail.split_at(4);
    if magic != MAGIC {
        return Err(damaged("does not end as a Parquet file does"));
    }
    let length = length.first_chunk().map_or(0, |length| u32::from_le_bytes(*length));
    let length = u64::from(length);
    if length > file.bytes.saturating_sub(TAIL_BYTES) || length > FOOTER_BYTES_MAX {
        return Err(damaged("says of its footer that it is longer than it can be"));
    }
    Ok(length)
}

/// Whether a footer is a whole structure, no list in it longer than the bytes that are left for it.
pub(super) fn check_footer(file: &LedgerFile, footer: &[u8]) -> LakeResult<()> {
    let mut walk = Walk { rest: footer };
    walk.structure(0)
        .ok_or_else(|| LakeError::damaged(&file.key, "has a footer that makes no sense"))
}

/// Whether what the footer says of rows and places fits the file that the log knows.
pub(super) fn check_metadata(file: &LedgerFile, metadata: &ParquetMetaData) -> LakeResult<()> {
    let damaged = |message: String| Err(LakeError::damaged(&file.key, message));
    let said = metadata.file_metadata().num_rows();
    if u64::try_from(said) != Ok(file.rows) {
        return damaged(format!("has {said} rows, the log says {}", file.rows));
    }
    let mut rows = 0_u64;
    let mut bytes = 0_u64;
    for group in metadata.row_groups() {
        let Ok(more) = u64::try_from(group.num_rows()) else {
            return damaged("has a row group of less than no rows".to_owned());
        };
        rows = rows.saturating_add(more);
        match chunk_bytes(group, file.bytes) {
            Some(more) => bytes = bytes.saturating_add(more),
            None => return damaged("has a footer that points outside of it".to_owned()),
        }
    }
    if rows != file.rows {
        return damaged(format!("has row groups of {rows} rows, the log says {}", file.rows));
    }
    if bytes > file.bytes {
        return damaged("has a footer that says more bytes than there are".to_owned());
    }
    Ok(())
}

/// The stored bytes of a row group's columns, each of which lies inside of the file.
fn chunk_bytes(group: &RowGroupMetaData, file_bytes: u64) -> Option<u64> {
    let mut sum = 0_u64;
    for column in group.columns() {
        let first = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
        let start = u64::try_from(first.min(column.data_page_offset())).ok()?;
        let length = u64::try_from(column.compressed_size()).ok()?;
        if start.checked_add(length)? > file_bytes {
            return None;
        }
        sum = sum.saturating_add(length);
    }
    Some(sum)
}

/// A walk over Thrift's compact protocol, in which Parquet writes its structures
/// (github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md). `None`: it makes no sense.
struct Walk<'f> {
    rest: &'f [u8],
}

impl Walk<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.rest = self.rest.get(bytes..)?;
        Some(())
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// A count of things that take a byte each at least.
    fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(self.number()?).ok()?;
        (count <= self.rest.len()).then_some(count)
    }

    fn structure(&mut self, depth: usize) -> Option<()> {
        if depth > DEPTH_MAX {
            return None;
        }
        loop {
            let head = self.byte()?;
            let kind = head & 0x0f;
            if kind == 0 {
                return Some(());
            }
            if head >> 4 == 0 {
                self.number()?;
            }
            // A truth value is in its head.
            if !matches!(kind, 1 | 2) {
                self.value(kind, depth)?;
            }
        }
    }

    fn value(&mut self, kind: u8, depth: usize) -> Option<()> {
        match kind {
            1..=3 => self.skip(1),
            4..=6 => self.number().map(|_| ()),
            7 => self.skip(8),
            8 => {
                let length = self.count()?;
                self.skip(length)
            }
            9 | 10 => self.list(depth + 1),
            12 => self.structure(depth + 1),
            // Maps and all else are in no structure of Parquet.
            _ => None,
        }
    }

    fn list(&mut self, depth: usize) -> Option<()> {
        if depth > DEPTH_MAX {
            return None;
        }
        let head = self.byte()?;
        let count = match head >> 4 {
            15 => self.count()?,
            count => usize::from(count),
        };
        if count > self.rest.len() {
            return None;
        }
        // An empty list may name no kind.
        for _ in 0..count {
            self.value(head & 0x0f, depth)?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(rows: u64, bytes: u64) -> LedgerFile {
        LedgerFile {
            commit: 1,
            key: "findings/x.parquet".into(),
            rows,
            bytes,
            sha256: String::new(),
        }
    }

    #[test]
    fn a_panic_is_damage_and_the_hook_can_tell() {
        let file = file(1, 1);
        assert!(!is_guarded());
        let error = guarded(&file, || {
            let broken: Option<u8> = "x".parse().ok();
            Ok(broken.unwrap())
        });
        assert!(error.unwrap_err().to_string().contains("`findings/x.parquet`"));
        assert!(!is_guarded());
        assert!(guarded(&file, || Ok(is_guarded())).unwrap());
    }

    #[test]
    fn footers_are_walked() {
        let cases: [(&str, &[u8], bool); 12] = [
            ("nothing", b"", false),
            ("an empty structure", &[0], true),
            ("a number", &[0x15, 0x02, 0], true),
            ("a number without end", &[0x15, 0xff], false),
            ("a text", &[0x18, 2, b'a', b'b', 0], true),
            ("a text longer than all", &[0x18, 9, b'a', 0], false),
            ("a list of two structures", &[0x19, 0x2c, 0, 0, 0], true),
            ("a list of more than all", &[0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 7, 0, 0], false),
            ("a list of truths", &[0x19, 0x21, 1, 2, 0], true),
            ("a named field", &[0x0c, 0x20, 0, 0], true),
            ("a map", &[0x1b, 0, 0], false),
            ("no end", &[0x1c, 0], false),
        ];
        for (name, footer, expected) in cases {
            assert_eq!(check_footer(&file(0, 9), footer).is_ok(), expected, "{name}");
        }
        // As deep as the bytes allow.
        assert!(check_footer(&file(0, 9), &vec![0x1c; 100_000]).is_err());
    }

    #[test]
    fn the_length_of_a_footer_is_held_against_the_file() {
        let end = |length: u32| [length.to_le_bytes().as_slice(), MAGIC].concat();
        assert_eq!(footer_bytes(&file(0, 20), &end(12)).unwrap(), 12);
        for (bytes, end) in
            [(20, end(13)), (20, b"PAR1".to_vec()), (20, vec![0; 8]), (1 << 40, end(u32::MAX))]
        {
            assert!(footer_bytes(&file(0, bytes), &end).is_err(), "{end:?}");
        }
    }
}
