//! A store in a local folder: each object is a file, each key its path below the folder.
//!
//! In: keys and bytes. Out: files that are whole when their name appears, because they are written
//! under a temporary name, synced, and then linked (never renamed) to the final one. Wrong: keys
//! that would leave the folder, links in it that lead out of it (reading follows them, writing does not),
//! a folder that another one took the place of, file systems without hard links, full disks. Blocking work
//! runs on tokio's blocking threads; listing holds one open folder per level.

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio::task::JoinError;

use super::placing::{self, Temporary, in_its_folder, is_missing};
use super::root::{self, Root};
use super::walk::{Walk, emptied, is_temporary};
use super::{
    GetOptions, ObjectMeta, Store, StoreError, StoreErrorKind, StoreResult, clamp_range, disk, uri,
};

/// What a killed run may have left folders in that are empty once its temporary files are gone.
const STAGING: &str = "_healthtrail/staging/";
/// How many entries a listing may be ahead of its reader.
const LIST_AHEAD: usize = 1024;
/// How much is read at once for a hash.
const HASH_CHUNK_BYTES: usize = 1 << 20;

/// The objects below a local folder. Only regular files are objects; symbolic links are followed.
#[derive(Debug, Clone)]
pub struct Folder {
    root: Arc<Root>,
    base_uri: Arc<str>,
}

impl Folder {
    /// Opens the folder; with `create` it is made when it is missing, together with its parents.
    pub async fn open(path: &Path, create: bool) -> StoreResult<Self> {
        let path = path.to_owned();
        blocking("opening", &path.display().to_string(), move || open_now(&path, create)).await
    }

    /// The file that a key names, or why it names none.
    fn path(&self, operation: &'static str, key: &str) -> StoreResult<PathBuf> {
        let wrong = if key.is_empty() || key.ends_with('/') {
            "a file's key has a name at its end"
        } else if key.split('/').any(|name| matches!(name, "" | "." | "..")) {
            "the key would leave the folder or has an empty step"
        } else if key.contains('\0') {
            "the key holds a NUL"
        } else if key.rsplit('/').next().is_some_and(is_temporary) {
            "the key is kept for temporary files"
        } else {
            return Ok(self.root.path.join(key));
        };
        Err(StoreError::new(StoreErrorKind::Other, operation, self.uri(key), wrong))
    }

    async fn write(&self, key: &str, bytes: Bytes, sha256: &str, how: Placing) -> StoreResult<()> {
        let path = self.path("writing", key)?;
        let full = self.uri(key);
        if uri::sha256_bytes(sha256).is_none() {
            let message = "the sha256 is not 64 lower-case hex digits";
            return Err(StoreError::new(StoreErrorKind::Other, "writing", full, message));
        }
        let root = Arc::clone(&self.root);
        io_blocking("writing", full, move || {
            in_its_folder(&root, &path, |folder| {
                let temporary = Temporary::write(folder, &bytes)?;
                match how {
                    Placing::New => disk::link(&temporary.path, &path)?,
                    Placing::Replace => disk::rename(&temporary.path, &path)?,
                }
                drop(temporary);
                disk::sync_folder(folder)
            })
        })
        .await
    }
}

/// What becomes of a file that has the final name already.
#[derive(Debug, Clone, Copy)]
enum Placing {
    New,
    Replace,
}

fn open_now(path: &Path, create: bool) -> StoreResult<Folder> {
    let shown = path.display().to_string();
    let fail = |error: &io::Error| io_error("opening", &shown, error);
    if create {
        placing::make_root(path).map_err(|error| fail(&error))?;
    }
    let root = path.canonicalize().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => StoreError::new(
            StoreErrorKind::NotFound,
            "opening",
            shown.clone(),
            "there is no such folder; hint: check the path, or write s3://bucket/prefix",
        ),
        _ => fail(&error),
    })?;
    if !root.is_dir() {
        let message = "this is a file, not a folder; hint: give the folder it lies in";
        return Err(StoreError::new(StoreErrorKind::Other, "opening", shown, message));
    }
    let Some(text) = root.to_str() else {
        let message = "the folder's path is not UTF-8, so its objects could not be named";
        return Err(StoreError::new(StoreErrorKind::Other, "opening", shown, message));
    };
    let base_uri = format!("file://{}", text.trim_end_matches('/')).into();
    let root = Root::new(root).map_err(|error| fail(&error))?;
    Ok(Folder { root: Arc::new(root), base_uri })
}

impl Store for Folder {
    fn base_uri(&self) -> &str {
        &self.base_uri
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, StoreResult<ObjectMeta>> {
        let listed = async move {
            let (sender, receiver) = mpsc::channel(LIST_AHEAD);
            let (root, base_uri) = (Arc::clone(&self.root), Arc::clone(&self.base_uri));
            let prefix = prefix.to_owned();
            // A reader that goes away closes the channel, and the walk ends with it.
            let walked = tokio::task::spawn_blocking(move || {
                let mut walk = Walk::new(&root.path, &base_uri, &prefix);
                while let Some(entry) = walk.next_entry() {
                    if sender.blocking_send(entry).is_err() {
                        break;
                    }
                }
            });
            stream::unfold((receiver, Some(walked)), |(mut receiver, walked)| async {
                if let Some(entry) = receiver.recv().await {
                    return Some((entry, (receiver, walked)));
                }
                // A walk that broke off is no listing.
                let error = walked?.await.err()?;
                Some((Err(broken_off("listing", self.base_uri(), error)), (receiver, None)))
            })
        };
        stream::once(listed).flatten().boxed()
    }

    fn head<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Option<ObjectMeta>>> {
        Box::pin(async move {
            let path = self.path("reading", key)?;
            let key = key.to_owned();
            io_blocking("reading", self.uri(&key), move || match open_file(&path)? {
                None => Ok(None),
                Some((mut file, before)) => {
                    let sha256 = hash(&mut file)?;
                    let mut meta = meta(key, &before);
                    meta.sha256 = Some(sha256);
                    Ok(Some(meta))
                }
            })
            .await
        })
    }

    fn get<'a>(&'a self, key: &'a str, options: GetOptions) -> BoxFuture<'a, StoreResult<Bytes>> {
        Box::pin(async move {
            let path = self.path("reading", key)?;
            let full = self.uri(key);
            blocking("reading", &full.clone(), move || get_now(&path, &full, &options)).await
        })
    }

    fn put<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
        sha256: &'a str,
    ) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(self.write(key, bytes, sha256, Placing::Replace))
    }

    fn put_new<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
        sha256: &'a str,
    ) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(self.write(key, bytes, sha256, Placing::New))
    }

    fn copy_new<'a>(&'a self, from: &'a str, to: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            let (source, target) = (self.path("copying", from)?, self.path("copying", to)?);
            let root = Arc::clone(&self.root);
            let (from, to) = (self.uri(from), self.uri(to));
            blocking("copying", &to.clone(), move || {
                // Said apart from a missing target folder, which is made.
                if !source.is_file() {
                    let message = "there is no such file to copy";
                    return Err(StoreError::new(
                        StoreErrorKind::NotFound,
                        "copying",
                        from,
                        message,
                    ));
                }
                in_its_folder(&root, &target, |folder| {
                    placing::link_or_copy(&source, &target, folder)
                })
                .map_err(|error| io_error("copying", &to, &error))
            })
            .await
        })
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            let path = self.path("deleting", key)?;
            let depth = emptied(key);
            let root = Arc::clone(&self.root);
            io_blocking("deleting", self.uri(key), move || {
                let folder = path.parent().unwrap_or(&root.path);
                match root.check(folder) {
                    Err(error) if is_missing(&error) => Ok(()),
                    Err(error) => Err(error),
                    Ok(()) => placing::delete(&path, depth),
                }
            })
            .await
        })
    }

    fn make_durable<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            let path = self.path("writing", key)?;
            let root = Arc::clone(&self.root);
            io_blocking("writing", self.uri(key), move || {
                let folder = path.parent().unwrap_or(&root.path);
                placing::make_folders(folder, &root)?;
                disk::sync_folder(folder)
            })
            .await
        })
    }

    fn clear_unfinished<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, StoreResult<u64>> {
        Box::pin(async move {
            let root = Arc::clone(&self.root);
            let folder = root.path.join(prefix);
            let is_staging = STAGING.starts_with(prefix) || prefix.starts_with(STAGING);
            let staging = is_staging.then(|| root.path.join(STAGING));
            io_blocking("deleting", self.uri(prefix), move || match root.check(&folder) {
                Err(error) if is_missing(&error) => Ok(0),
                Err(error) => Err(error),
                Ok(()) => placing::clear_unfinished(&folder, staging.as_deref()),
            })
            .await
        })
    }

    fn retries(&self) -> u64 {
        0
    }
}

/// Runs blocking work that knows its own errors.
async fn blocking<T: Send + 'static>(
    operation: &'static str,
    uri: &str,
    work: impl FnOnce() -> StoreResult<T> + Send + 'static,
) -> StoreResult<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(broken_off(operation, uri, error)),
    }
}

/// Why a blocking task ended without a result: a panic goes on here, else the program is ending.
fn broken_off(operation: &'static str, uri: &str, error: JoinError) -> StoreError {
    if error.is_panic() {
        std::panic::resume_unwind(error.into_panic());
    }
    let message = "the program is ending; hint: run it again";
    StoreError::new(StoreErrorKind::Unavailable, operation, uri, message)
}

async fn io_blocking<T: Send + 'static>(
    operation: &'static str,
    uri: String,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> StoreResult<T> {
    let shown = uri.clone();
    blocking(operation, &shown, move || work().map_err(|error| io_error(operation, &uri, &error)))
        .await
}

/// Says what a caller can do about an error of the file system.
pub(super) fn io_error(operation: &'static str, uri: &str, error: &io::Error) -> StoreError {
    let (kind, message) = match error.kind() {
        io::ErrorKind::NotFound if operation == "writing" => {
            let hint = "is its disk still mounted?";
            (StoreErrorKind::NotFound, format!("the folder is gone; hint: {hint}"))
        }
        io::ErrorKind::NotFound => {
            (StoreErrorKind::NotFound, "there is no such file or folder".to_owned())
        }
        io::ErrorKind::AlreadyExists => {
            (StoreErrorKind::Precondition, "the file exists already".to_owned())
        }
        io::ErrorKind::PermissionDenied if operation == "writing" || operation == "copying" => {
            let hint = "check the owner and mode of the folder, and that its file system has hard \
                        links";
            (StoreErrorKind::Denied, format!("{error}; hint: {hint}"))
        }
        io::ErrorKind::PermissionDenied => {
            (StoreErrorKind::Denied, format!("{error}; hint: check the owner and mode of the path"))
        }
        io::ErrorKind::Unsupported if operation == "writing" || operation == "copying" => {
            let hint = "the file system has no hard links, which a write without replacing needs; \
                        use another one";
            (StoreErrorKind::Other, format!("{error}; hint: {hint}"))
        }
        _ if root::is_refusal(error) => (StoreErrorKind::Denied, error.to_string()),
        io::ErrorKind::FileTooLarge => {
            let hint = "allow larger files (`ulimit -f`) and run again";
            (StoreErrorKind::Other, format!("{error}; hint: {hint}"))
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            (StoreErrorKind::Other, format!("{error}; hint: free some space and run again"))
        }
        _ => (StoreErrorKind::Other, error.to_string()),
    };
    StoreError::new(kind, operation, uri, message)
}

/// What a file's metadata tells; the etag is `<size>-<mtime in ns>`.
pub(super) fn meta(key: String, metadata: &Metadata) -> ObjectMeta {
    let nanoseconds = metadata.modified().map_or(0, |time| match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i128::try_from(after.as_nanos()).unwrap_or(i128::MAX),
        Err(before) => i128::try_from(before.duration().as_nanos()).map_or(i128::MIN, |ns| -ns),
    });
    let milliseconds = nanoseconds.div_euclid(1_000_000);
    ObjectMeta {
        key,
        size: metadata.len(),
        etag: format!("{}-{nanoseconds}", metadata.len()),
        last_modified_ms: i64::try_from(milliseconds).unwrap_or(i64::MAX),
        archived: false,
        sha256: None,
    }
}

/// Opens a regular file. `None` when there is none: a folder is no object, nor is a path through a
/// file.
fn open_file(path: &Path) -> io::Result<Option<(File, Metadata)>> {
    // Asked before opening, because opening a pipe would wait for its writer.
    let opened = fs::metadata(path).and_then(|metadata| {
        if metadata.is_file() { File::open(path).map(Some) } else { Ok(None) }
    });
    match opened {
        Ok(Some(file)) => {
            let metadata = file.metadata()?;
            Ok(Some((file, metadata)))
        }
        Ok(None) => Ok(None),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn get_now(path: &Path, uri: &str, options: &GetOptions) -> StoreResult<Bytes> {
    let io = |error: io::Error| io_error("reading", uri, &error);
    let fail = |kind, message| Err(StoreError::new(kind, "reading", uri, message));
    let Some((mut file, before)) = open_file(path).map_err(io)? else {
        return match options.if_match {
            Some(_) => fail(StoreErrorKind::Precondition, "the file is gone"),
            None => fail(StoreErrorKind::NotFound, "there is no such file"),
        };
    };
    let is_wanted = |metadata: &Metadata| {
        options.if_match.as_ref().is_none_or(|etag| *etag == meta(String::new(), metadata).etag)
    };
    if !is_wanted(&before) {
        return fail(StoreErrorKind::Precondition, "the file was changed since it was listed");
    }
    let (start, length) = clamp_range(options.range.as_ref(), before.len());
    let bytes = read_part(&mut file, start, length).map_err(io)?;
    // A file that is replaced keeps its bytes for this handle; one written in place does not.
    if !is_wanted(&file.metadata().map_err(io)?) {
        return fail(StoreErrorKind::Precondition, "the file was changed while it was read");
    }
    Ok(bytes.into())
}

fn read_part(file: &mut File, start: u64, length: u64) -> io::Result<Vec<u8>> {
    let capacity = usize::try_from(length).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(capacity).map_err(|_| io::ErrorKind::OutOfMemory)?;
    if start > 0 {
        file.seek(SeekFrom::Start(start))?;
    }
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn hash(file: &mut File) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; HASH_CHUNK_BYTES];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => hasher.update(chunk.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(uri::hex(&hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt as _;

    use super::super::sha256_hex;
    use super::*;

    async fn open_new() -> (tempfile::TempDir, Folder) {
        let folder = tempfile::tempdir().unwrap();
        let store = Folder::open(folder.path(), false).await.unwrap();
        (folder, store)
    }

    async fn put_new(store: &Folder, key: &str, text: &'static str) -> StoreResult<()> {
        store.put_new(key, Bytes::from(text), &sha256_hex(text.as_bytes())).await
    }

    async fn keys(store: &Folder, prefix: &str) -> Vec<String> {
        let listed = store.list(prefix).map_ok(|meta| meta.key);
        let mut keys: Vec<_> = listed.try_collect().await.unwrap();
        keys.sort();
        keys
    }

    #[tokio::test]
    async fn keys_stay_inside_the_folder() {
        let (folder, store) = open_new().await;
        std::fs::write(folder.path().join("file"), "x").unwrap();
        let temporary = Temporary::name();
        for key in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "../x",
            "a/../../x",
            "a/./x",
            "a//x",
            "a/",
            "a\0",
            &temporary,
        ] {
            let refused = put_new(&store, key, "x").await.unwrap_err();
            assert_eq!(refused.kind, StoreErrorKind::Other, "{key}");
            assert!(store.head(key).await.is_err(), "{key}");
            assert!(store.get(key, GetOptions::default()).await.is_err(), "{key}");
            assert!(store.delete(key).await.is_err(), "{key}");
            assert!(store.copy_new("file", key).await.is_err(), "{key}");
            assert!(store.copy_new(key, "other").await.is_err(), "{key}");
        }
        assert_eq!(keys(&store, "").await, ["file"]);
        assert_eq!(keys(&store, "../").await, [""; 0]);
    }

    #[tokio::test]
    async fn the_base_is_canonical() {
        let (folder, _) = open_new().await;
        let real = folder.path().canonicalize().unwrap();
        std::fs::create_dir(real.join("a b+c%20ü")).unwrap();
        let store =
            Folder::open(&folder.path().join("a b+c%20ü/../a b+c%20ü/"), false).await.unwrap();
        assert_eq!(store.base_uri(), format!("file://{}/a b+c%20ü", real.display()));
    }

    #[tokio::test]
    async fn no_temporary_file_is_listed_or_left() {
        let (folder, store) = open_new().await;
        put_new(&store, "a/b", "1").await.unwrap();
        store.put("a/b", Bytes::from("2"), &sha256_hex(b"2")).await.unwrap();
        assert_eq!(
            put_new(&store, "a/b", "3").await.unwrap_err().kind,
            StoreErrorKind::Precondition
        );
        let names = || std::fs::read_dir(folder.path().join("a")).unwrap().count();
        assert_eq!(names(), 1);
        // What a killed run leaves behind.
        std::fs::write(folder.path().join("a").join(Temporary::name()), "half").unwrap();
        assert_eq!(names(), 2);
        assert_eq!(keys(&store, "").await, ["a/b"]);
    }

    #[tokio::test]
    async fn a_write_that_fails_leaves_nothing() {
        let (folder, store) = open_new().await;
        put_new(&store, "file", "x").await.unwrap();
        let error = put_new(&store, "file/below", "x").await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Other, "{error}");
        std::fs::create_dir(folder.path().join("taken")).unwrap();
        assert!(store.put("taken", Bytes::new(), &sha256_hex(b"")).await.is_err());
        assert_eq!(keys(&store, "").await, ["file"]);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[tokio::test]
    async fn a_folder_that_vanished_is_not_made_anew() {
        let (folder, store) = open_new().await;
        folder.close().unwrap();
        assert_eq!(put_new(&store, "a/b", "x").await.unwrap_err().kind, StoreErrorKind::NotFound);
        let listed: Result<Vec<_>, _> = store.list("").try_collect().await;
        assert_eq!(listed.unwrap_err().kind, StoreErrorKind::NotFound);
    }

    #[tokio::test]
    async fn emptied_staging_is_tidied_and_nothing_else() {
        let (folder, store) = open_new().await;
        let there = |path: &str| folder.path().join(path).exists();
        for key in ["_healthtrail/staging/7/r/a", "_healthtrail/staging/7/s/b", "findings/dt=1/c"] {
            put_new(&store, key, "x").await.unwrap();
            store.delete(key).await.unwrap();
        }
        assert!(!there("_healthtrail/staging/7"));
        assert!(there("_healthtrail/staging"));
        assert!(there("findings/dt=1"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn writing_and_tidying_at_once_lose_nothing() {
        let (_folder, store) = open_new().await;
        let task = |name: u32| {
            let store = store.clone();
            tokio::spawn(async move {
                for round in 0..50 {
                    let key = format!("_healthtrail/staging/1/r/{name}-{round}");
                    put_new(&store, &key, "x").await.unwrap();
                    store.delete(&key).await.unwrap();
                }
            })
        };
        for ended in futures::future::join_all((0..4).map(task)).await {
            ended.unwrap();
        }
        assert_eq!(keys(&store, "").await, [""; 0]);
    }

    #[tokio::test]
    async fn etags_are_size_and_nanoseconds() {
        let (folder, store) = open_new().await;
        let path = folder.path().join("a");
        std::fs::write(&path, "12345").unwrap();
        let time = UNIX_EPOCH + std::time::Duration::from_nanos(1_764_000_000_123_456_789);
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(time).unwrap();
        let head = store.head("a").await.unwrap().unwrap();
        assert_eq!(head.etag, "5-1764000000123456789");
        assert_eq!(head.last_modified_ms, 1_764_000_000_123);
        file.set_modified(UNIX_EPOCH - std::time::Duration::from_nanos(1)).unwrap();
        let head = store.head("a").await.unwrap().unwrap();
        assert_eq!((&*head.etag, head.last_modified_ms), ("5--1", -1));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn odd_names_are_listed_or_named() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt as _;
        use std::os::unix::fs::symlink;

        let (folder, store) = open_new().await;
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(path("d/e")).unwrap();
        std::fs::write(path("d/e/back\\slash"), "").unwrap();
        std::fs::write(path("d/line\nbreak"), "x").unwrap();
        std::fs::write(path(".hidden"), "x").unwrap();
        symlink("d/line\nbreak", path("link")).unwrap();
        symlink(folder.path(), path("d/e/loop")).unwrap();
        symlink("e", path("d/again")).unwrap();
        symlink("nowhere", path("dangling")).unwrap();
        let (mut keys, mut errors) = (Vec::new(), Vec::new());
        let mut listed = store.list("");
        while let Some(entry) = listed.next().await {
            match entry {
                Ok(meta) => keys.push(meta.key),
                Err(error) => errors.push(error.uri),
            }
        }
        keys.sort();
        let expected =
            [".hidden", "d/again/back\\slash", "d/e/back\\slash", "d/line\nbreak", "link"];
        assert_eq!(keys, expected);
        assert_eq!(errors, [store.uri("dangling")]);
        let name = folder.path().join(OsStr::from_bytes(b"bad\xff"));
        // Some file systems take only UTF-8.
        if std::fs::write(name, "x").is_ok() {
            let listed: Vec<_> = store.list("bad").collect().await;
            assert!(listed[0].as_ref().unwrap_err().message.contains("UTF-8"), "{listed:?}");
        }
    }
}
