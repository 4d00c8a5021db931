//! What stores say of themselves, and places to try them in.
//!
//! In: an opened store, options, or an address. Out: facts for `doctor`, which judges them. Nothing here changes
//! an archive or a lake: a place to try things in is a folder of its own, that is removed again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::uri::{Address, parse};
use super::{Folder, S3Options, Store, StoreError, StoreErrorKind, StoreResult, s3};

/// What a store says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreFacts {
    /// It lies in a bucket; else nothing below is known.
    pub is_s3: bool,
    /// The Region that requests are signed for.
    pub region: Option<String>,
    /// The Region that the environment or the profile names.
    pub configured_region: Option<String>,
    /// The server, where it is not AWS.
    pub endpoint: Option<String>,
    /// How far this machine's clock is ahead of the server's, to a second or so.
    pub clock_ahead_ms: Option<i64>,
}

/// Whose credentials they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The ARN of the user or the role.
    Arn(String),
    /// There are credentials, and the server is not AWS.
    NotAsked,
}

/// Who the credentials of these options belong to.
///
/// # Errors
/// [`StoreErrorKind::Denied`] where there are none or where they are not accepted.
pub async fn identity(options: &S3Options) -> StoreResult<Identity> {
    s3::identity(options).await
}

/// A folder beside one that is not there yet, removed when it is dropped.
#[derive(Debug)]
pub struct Scratch {
    /// The store in it.
    pub store: Arc<dyn Store>,
    /// The folder that it was made in.
    pub parent: String,
    path: PathBuf,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is empty, and its name says whose it was.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// A place on the file system that the folder at `uri` would be made on; `None` for a bucket.
///
/// # Errors
/// Where nothing can be written there.
pub async fn scratch(uri: &str) -> StoreResult<Option<Scratch>> {
    let wrong = |kind, message: String| StoreError::new(kind, "writing", uri, message);
    let folder = match parse(uri).map_err(|message| wrong(StoreErrorKind::Other, message))? {
        Address::S3 { .. } => return Ok(None),
        Address::Folder(folder) => Path::new(folder),
    };
    let absolute = std::path::absolute(folder)
        .map_err(|error| wrong(StoreErrorKind::Other, error.to_string()))?;
    let Some(parent) = absolute.ancestors().find(|path| path.is_dir()) else {
        return Err(wrong(StoreErrorKind::NotFound, "no folder above it is there".to_owned()));
    };
    let path = parent.join(format!(".healthtrail-doctor-{:032x}", rand::random::<u128>()));
    let store = Folder::open(&path, true).await?;
    let parent = parent.display().to_string();
    Ok(Some(Scratch { store: Arc::new(store), parent, path }))
}
