//! One part against what its record says: size and content, and on the full pass every column.
//!
//! In: a [`Part`]. Out: what is wrong with it, or nothing. A part that is gone, cut or altered is a
//! finding; `Err` is trouble of the store. Memory: one range of its bytes, or one row group of it.

use sha2::{Digest, Sha256};

use super::{Depth, Finding, Kind, Note, Part};
use crate::lake::error::{LakeError, LakeResult};
use crate::lake::ids::hex;
use crate::lake::part_rows::{RowReader, schema};
use crate::store::{GetOptions, ObjectMeta, Store, StoreErrorKind};

/// Bytes hashed at a time.
const RANGE_BYTES: u64 = 8 << 20;
/// Rows decoded at a time with all their columns; a reject may have 1 MiB of bytes.
const BATCH_ROWS: usize = 256;

/// What a look at a part gave.
#[derive(Debug, Default)]
pub struct Checked {
    /// What is wrong with it.
    pub finding: Option<Finding>,
    /// What is worth knowing.
    pub note: Option<Note>,
}

/// Checks one part.
pub async fn check_part(store: &dyn Store, part: &Part, depth: Depth) -> LakeResult<Checked> {
    let file = &part.file;
    let mut checked = Checked::default();
    let finding = |kind, message: String| Finding::new(kind, &file.key, file.commit, message);
    let Some(meta) = store.head(&file.key).await? else {
        checked.finding = Some(finding(Kind::PartMissing, "is gone".to_owned()));
        return Ok(checked);
    };
    if let Some(message) = differs(part, &meta) {
        checked.finding = Some(finding(Kind::PartAltered, message));
        return Ok(checked);
    }
    // A folder's hash is that of the bytes; a bucket's was written with them.
    let is_folder = store.base_uri().starts_with("file://");
    if meta.sha256.is_none() || (depth == Depth::Full && !is_folder) {
        match hash(store, &file.key, file.bytes).await? {
            None => {
                checked.finding = Some(finding(Kind::PartMissing, "is gone".to_owned()));
                return Ok(checked);
            }
            Some(sha256) if sha256 != file.sha256 => {
                let message = format!("has the SHA-256 {sha256}, the log says {}", file.sha256);
                checked.finding = Some(finding(Kind::PartAltered, message));
                return Ok(checked);
            }
            Some(_) => {}
        }
    }
    if meta.sha256.is_none() {
        let message = "has no `sha256` in its metadata, as if a tool had written it again; its \
                       content is right";
        checked.note = Some(Note::new("metadata_missing", &file.key, message));
    }
    if depth == Depth::Full
        && let Some(message) = read_all(store, part).await?
    {
        checked.finding = Some(finding(Kind::PartAltered, message));
    }
    Ok(checked)
}

fn differs(part: &Part, meta: &ObjectMeta) -> Option<String> {
    let file = &part.file;
    if meta.size != file.bytes {
        return Some(format!("has {} bytes, the log says {}", meta.size, file.bytes));
    }
    let sha256 = meta.sha256.as_ref().filter(|sha256| **sha256 != file.sha256)?;
    Some(format!("has the SHA-256 {sha256}, the log says {}", file.sha256))
}

/// The SHA-256 of an object, read in ranges; `None` when it is gone.
async fn hash(store: &dyn Store, key: &str, size: u64) -> LakeResult<Option<String>> {
    let mut hasher = Sha256::new();
    let mut start = 0;
    while start < size {
        let end = size.min(start + RANGE_BYTES);
        let options = GetOptions::default().range(start..end);
        match store.get(key, options).await {
            Ok(bytes) => hasher.update(&bytes),
            Err(error) if error.kind == StoreErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        start = end;
    }
    Ok(Some(hex(&hasher.finalize())))
}

/// Decodes every column of every row; what is wrong, if something is.
async fn read_all(store: &dyn Store, part: &Part) -> LakeResult<Option<String>> {
    let schema = schema(part.table);
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let opened = RowReader::open_in(
        store,
        part.table,
        &part.file,
        &names,
        &(i64::MIN..i64::MAX),
        BATCH_ROWS,
    )
    .await;
    let drained = async {
        let mut reader = opened?;
        while reader.next().await?.is_some() {}
        Ok(())
    };
    damage(drained.await)
}

/// Damage in words; other trouble goes on.
pub(super) fn damage(result: LakeResult<()>) -> LakeResult<Option<String>> {
    match result {
        Ok(()) => Ok(None),
        Err(LakeError::Damaged { message, .. }) => Ok(Some(message)),
        Err(error) => Err(error),
    }
}
