//! The recursive listing of a folder, one entry at a time.
//!
//! In: a folder and a key prefix. Out: every regular file below it whose key begins with that prefix,
//! in no order. Wrong: an entry that cannot be read is an error that names it, and the listing
//! goes on. Limits: one open folder per level; a folder that holds itself by a link is entered once.

use std::collections::VecDeque;
use std::fs::{self, DirEntry, ReadDir};
use std::io;
use std::path::{Path, PathBuf};

use super::folder::{io_error, meta};
use super::{ObjectMeta, StoreError, StoreErrorKind, StoreResult};

/// A name that only this program's own unfinished files have: `.tmp-` and 32 hex digits.
pub(super) fn is_temporary(name: &str) -> bool {
    name.strip_prefix(".tmp-").is_some_and(|rest| {
        rest.len() == 32 && rest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// A listing under way.
#[derive(Debug)]
pub(super) struct Walk {
    base_uri: String,
    prefix: String,
    levels: Vec<Level>,
    /// Errors met where no entry could be given.
    waiting: VecDeque<StoreError>,
}

/// A folder that is being read.
#[derive(Debug)]
struct Level {
    entries: ReadDir,
    /// The keys' beginning, `""` or ending with `/`.
    key: String,
    /// Without links: two levels with one path are a loop.
    real_path: PathBuf,
}

impl Walk {
    /// A walk that begins when its first entry is asked for; `root` is canonical.
    pub(super) fn new(root: &Path, base_uri: &str, prefix: &str) -> Self {
        let mut walk = Self {
            base_uri: base_uri.to_owned(),
            prefix: prefix.to_owned(),
            levels: Vec::new(),
            waiting: VecDeque::new(),
        };
        if let Err(error) = walk.enter(root, String::new(), root.to_owned()) {
            walk.waiting.push_back(walk.error("", &error));
        }
        walk
    }

    /// The next file, or the next entry that could not be read; `None` at the end.
    pub(super) fn next_entry(&mut self) -> Option<StoreResult<ObjectMeta>> {
        loop {
            if let Some(error) = self.waiting.pop_front() {
                return Some(Err(error));
            }
            let level = self.levels.last_mut()?;
            match level.entries.next() {
                None => {
                    self.levels.pop();
                }
                Some(Err(error)) => {
                    let error = io_error("listing", &uri(&self.base_uri, &level.key), &error);
                    // The folder's other entries cannot be told any more.
                    self.levels.pop();
                    return Some(Err(error));
                }
                Some(Ok(entry)) => {
                    if let Some(listed) = self.visit(&entry) {
                        return Some(listed);
                    }
                }
            }
        }
    }

    /// A file's entry; `None` for what is no object or lies outside the prefix.
    fn visit(&mut self, entry: &DirEntry) -> Option<StoreResult<ObjectMeta>> {
        let level = self.levels.last()?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            let key = format!("{}{}", level.key, name.to_string_lossy());
            let message = "the name is not UTF-8; hint: rename it";
            let uri = uri(&self.base_uri, &key);
            return Some(Err(StoreError::new(StoreErrorKind::Other, "listing", uri, message)));
        };
        let key = format!("{}{name}", level.key);
        if !key.starts_with(&self.prefix) && !self.prefix.starts_with(&key) {
            return None;
        }
        let real_parent = level.real_path.clone();
        match self.look(entry, name, key.clone(), &real_parent) {
            Ok(listed) => listed.map(Ok),
            // Deleted since its folder was read: a bucket's listing would not have it either. A
            // link that leads nowhere is told.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !is_link(entry) => None,
            Err(error) => Some(Err(self.error(&key, &error))),
        }
    }

    fn look(
        &mut self,
        entry: &DirEntry,
        name: &str,
        key: String,
        real_parent: &Path,
    ) -> io::Result<Option<ObjectMeta>> {
        let path = entry.path();
        let linked = entry.file_type()?.is_symlink();
        let metadata = if linked { fs::metadata(&path)? } else { entry.metadata()? };
        if metadata.is_dir() {
            let real_path = if linked { path.canonicalize()? } else { real_parent.join(name) };
            let is_loop = self.levels.iter().any(|level| level.real_path == real_path);
            let folder_key = key + "/";
            let is_wanted =
                folder_key.starts_with(&self.prefix) || self.prefix.starts_with(&folder_key);
            if is_wanted && !is_loop {
                self.enter(&path, folder_key, real_path)?;
            }
            return Ok(None);
        }
        let is_object = metadata.is_file() && key.starts_with(&self.prefix) && !is_temporary(name);
        Ok(is_object.then(|| meta(key, &metadata)))
    }

    fn enter(&mut self, path: &Path, key: String, real_path: PathBuf) -> io::Result<()> {
        let entries = fs::read_dir(path)?;
        self.levels.push(Level { entries, key, real_path });
        Ok(())
    }

    fn error(&self, key: &str, error: &io::Error) -> StoreError {
        io_error("listing", &uri(&self.base_uri, key), error)
    }
}

fn is_link(entry: &DirEntry) -> bool {
    entry.file_type().is_ok_and(|kind| kind.is_symlink())
}

fn uri(base_uri: &str, key: &str) -> String {
    format!("{base_uri}/{key}")
}

/// How many folders above a file are removed with it when they are empty: those of a staging, and of what was
/// only tried. All others stay.
pub(super) fn emptied(key: &str) -> usize {
    let below = |folder: &str| Some(key.strip_prefix(folder)?.matches('/').count());
    let staged = below("_healthtrail/staging/");
    staged.or_else(|| Some(below("_healthtrail/doctor/")? + 1)).unwrap_or(0)
}
