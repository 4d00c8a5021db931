//! The folder that a store lies in: that it is still the same one, and what leads out of it.
//!
//! In: paths below it. Out: leave to write or delete there. Wrong: a link on the way that leads out of the
//! folder, another folder in its place (a disk that was unmounted, a parent that was moved). Whoever may write
//! to the folder is trusted with it: the look comes before the write, and somebody quick could come between.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The folder of a store, as it was when the store was opened.
#[derive(Debug)]
pub(super) struct Root {
    /// Canonical: without links.
    pub(super) path: PathBuf,
    identity: Identity,
    /// Folders below it whose names are durable. That a folder is there does not say so: who made it may have
    /// been killed before it was synced.
    pub(super) durable: Mutex<HashSet<PathBuf>>,
}

/// What tells a folder from another one of the same path: its device and its number there.
type Identity = Option<(u64, u64)>;

/// Why something is not written or deleted.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(
        "a link leads out of the folder, to `{0}`; hint: make it a folder of its own, or mount the other place there"
    )]
    LeadsOut(String),
    #[error(
        "another folder lies in the place of the one that was opened; hint: is its disk still mounted? then run again"
    )]
    Replaced,
}

impl Root {
    /// This folder, whose path is canonical.
    pub(super) fn new(path: PathBuf) -> io::Result<Self> {
        let identity = identity(&path)?;
        Ok(Self { path, identity, durable: Mutex::default() })
    }

    /// Whether the folder is still the one that was opened; one that is gone is told as such.
    fn check_identity(&self) -> io::Result<()> {
        if identity(&self.path)? == self.identity {
            return Ok(());
        }
        Err(io::Error::other(Refusal::Replaced))
    }

    /// Whether a folder below it, which is there, may be written to.
    pub(super) fn check(&self, folder: &Path) -> io::Result<()> {
        self.check_identity()?;
        let real = folder.canonicalize()?;
        if real.starts_with(&self.path) {
            return Ok(());
        }
        Err(io::Error::other(Refusal::LeadsOut(real.display().to_string())))
    }
}

/// Whether an error says that something is refused here.
pub(super) fn is_refusal(error: &io::Error) -> bool {
    error.get_ref().and_then(|inner| inner.downcast_ref::<Refusal>()).is_some()
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it is not known")]
fn identity_of(metadata: &fs::Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt as _;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity_of(_: &fs::Metadata) -> Identity {
    None
}

fn identity(path: &Path) -> io::Result<Identity> {
    Ok(identity_of(&fs::metadata(path)?))
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use bytes::Bytes;

    use super::*;
    use crate::store::{Folder, GetOptions, Store as _, StoreErrorKind, sha256_hex};

    async fn put(store: &Folder, key: &str) -> crate::store::StoreResult<()> {
        store.put_new(key, Bytes::from_static(b"x"), &sha256_hex(b"x")).await
    }

    fn all(folder: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path.clone());
                }
                found.push(path);
            }
        }
        found
    }

    #[tokio::test]
    async fn nothing_is_open_to_everybody_for_writing() {
        let parent = tempfile::tempdir().unwrap();
        let store = Folder::open(&parent.path().join("new/lake"), true).await.unwrap();
        put(&store, "a/b").await.unwrap();
        store.copy_new("a/b", "c/d").await.unwrap();
        store.put("e", Bytes::from_static(b"x"), &sha256_hex(b"x")).await.unwrap();
        let made = all(parent.path());
        assert_eq!(made.len(), 7, "{made:?}");
        for path in made {
            let bits = fs::metadata(&path).unwrap().permissions().mode();
            let forbidden = if path.is_dir() { 0o002 } else { 0o133 };
            assert_eq!(bits & forbidden, 0, "{bits:o} {}", path.display());
        }
    }

    #[tokio::test]
    async fn what_leads_out_is_read_and_never_written() {
        let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(outside.path().join("old"), "o").unwrap();
        symlink(outside.path(), folder.path().join("link")).unwrap();
        fs::create_dir(folder.path().join("own")).unwrap();
        symlink("own", folder.path().join("inner")).unwrap();
        let store = Folder::open(folder.path(), false).await.unwrap();
        assert_eq!(store.get("link/old", GetOptions::default()).await.unwrap(), "o");
        put(&store, "here").await.unwrap();
        for refused in [
            put(&store, "link/new").await,
            put(&store, "link/deep/new").await,
            store.put("link/old", Bytes::from_static(b"x"), &sha256_hex(b"x")).await,
            store.copy_new("here", "link/new").await,
            store.delete("link/old").await,
        ] {
            let error = refused.unwrap_err();
            assert_eq!(error.kind, StoreErrorKind::Denied, "{error}");
            assert!(error.message.contains("leads out of the folder"), "{error}");
        }
        assert_eq!(fs::read(outside.path().join("old")).unwrap(), b"o");
        assert_eq!(all(outside.path()).len(), 1);
        put(&store, "inner/new").await.unwrap();
        assert!(folder.path().join("own/new").exists());
        store.delete("none/such").await.unwrap();
        // The link itself is a name in the folder.
        symlink("/nowhere", folder.path().join("dangling")).unwrap();
        store.delete("dangling").await.unwrap();
    }

    #[tokio::test]
    async fn another_folder_of_the_same_path_is_not_written_to() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("disk/lake");
        let store = Folder::open(&path, true).await.unwrap();
        put(&store, "a").await.unwrap();
        fs::rename(parent.path().join("disk"), parent.path().join("moved")).unwrap();
        // Gone, and not made anew.
        assert_eq!(put(&store, "b").await.unwrap_err().kind, StoreErrorKind::NotFound);
        fs::create_dir_all(&path).unwrap();
        for refused in [put(&store, "b").await, store.delete("a").await] {
            let error = refused.unwrap_err();
            assert!(error.message.contains("another folder lies in the place"), "{error}");
        }
        fs::remove_dir(&path).unwrap();
        symlink(parent.path().join("moved/lake"), &path).unwrap();
        // The same folder by another way: its links are not followed.
        let error = put(&store, "b").await.unwrap_err();
        assert!(error.message.contains("leads out of the folder"), "{error}");
        assert_eq!(all(&parent.path().join("moved")).len(), 2);
    }
}
