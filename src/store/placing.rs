//! How files get into a folder and out of it, so that what is there is whole and outlasts a loss of power.
//!
//! In: paths and bytes. Out: files that were synced before their name appears, and names that are synced
//! before anybody is told of them, with those of the folders above. Wrong: full disks, folders that another
//! run removes meanwhile, file systems without hard links. Memory: the names of [`DURABLE_MAX`] folders.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use super::disk;
use super::root::Root;
use super::walk::is_temporary;

/// How often a folder is made again that another run removes at the same moment.
const FOLDER_TRIES: u32 = 20;
/// Folders whose names are known to be durable; when there are more, they are found out again.
const DURABLE_MAX: usize = 10_000;

/// A file under a temporary name, removed when it is dropped.
#[derive(Debug)]
pub(super) struct Temporary {
    pub(super) path: PathBuf,
}

impl Temporary {
    pub(super) fn name() -> String {
        format!(".tmp-{:032x}", rand::random::<u128>())
    }

    /// Writes and syncs the bytes.
    pub(super) fn write(folder: &Path, bytes: &[u8]) -> io::Result<Self> {
        let path = folder.join(Self::name());
        let mut file = disk::create(&path)?;
        let temporary = Self { path };
        disk::write(&mut file, &temporary.path, bytes)?;
        disk::sync(&file, &temporary.path)?;
        Ok(temporary)
    }

    /// Copies and syncs another file.
    fn copy(source: &Path, folder: &Path) -> io::Result<Self> {
        let path = folder.join(Self::name());
        let mut file = disk::create(&path)?;
        let temporary = Self { path };
        disk::append(source, &mut file, &temporary.path)?;
        disk::sync(&file, &temporary.path)?;
        Ok(temporary)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After a rename it is gone; otherwise a name that stays is hidden from every listing.
        let _ = disk::remove(&self.path);
    }
}

/// Objects are immutable, so a second name for the same file is as good as a copy, and durable
/// without writing the bytes again.
pub(super) fn link_or_copy(source: &Path, target: &Path, folder: &Path) -> io::Result<()> {
    match disk::link(source, target) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            let temporary = Temporary::copy(source, folder)?;
            disk::link(&temporary.path, target)?;
        }
        other => other?,
    }
    disk::sync_folder(folder)
}

/// Runs `write` with the folder of `path`, making it first, and again when another run removed it, as
/// empty, or its temporary file, as one that a killed run had left.
pub(super) fn in_its_folder(
    root: &Root,
    path: &Path,
    write: impl Fn(&Path) -> io::Result<()>,
) -> io::Result<()> {
    let folder = path.parent().unwrap_or(&root.path);
    let mut tries = 0;
    loop {
        tries += 1;
        match make_folders(folder, root).and_then(|()| write(folder)) {
            // The root itself is never made here: a disk that is not mounted is not a new lake.
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    && tries < FOLDER_TRIES
                    && root.path.is_dir() => {}
            other => return other,
        }
    }
}

/// Makes the folder that is to be a store, and its missing parents.
pub(super) fn make_root(folder: &Path) -> io::Result<()> {
    let is_there = |path: &&Path| path.as_os_str().is_empty() || path.is_dir();
    let missing: Vec<_> = folder.ancestors().take_while(|path| !is_there(path)).collect();
    // Whoever made the folder that is there may have been killed before its name was synced. One whose
    // parent may not be read was made by somebody else.
    let there = folder.ancestors().find(is_there);
    if let Some(there) = there.filter(|there| !there.as_os_str().is_empty()) {
        match sync_name(there) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            other => other?,
        }
    }
    missing.into_iter().rev().try_for_each(make_durable_folder)
}

/// Makes a folder and its missing parents below the root, and makes their names durable, those of folders
/// that are there among them.
pub(super) fn make_folders(folder: &Path, root: &Root) -> io::Result<()> {
    let there = folder.ancestors().find(|path| path.is_dir());
    root.check(there.unwrap_or(&root.path))?;
    let durable = || root.durable.lock().unwrap_or_else(PoisonError::into_inner);
    let doubtful: Vec<&Path> = {
        let durable = durable();
        let is_known = |path: &&Path| *path == root.path || durable.contains(*path);
        let doubtful = folder.ancestors().take_while(|path| !is_known(path)).collect();
        drop(durable);
        // A folder that was durable may be gone since, as those of the staging are.
        if folder.is_dir() { doubtful } else { below(folder, &root.path) }
    };
    for path in doubtful.into_iter().rev() {
        make_durable_folder(path)?;
        let mut durable = durable();
        if durable.len() >= DURABLE_MAX {
            durable.clear();
        }
        durable.insert(path.to_owned());
    }
    Ok(())
}

/// A folder and its parents below the root.
fn below<'a>(folder: &'a Path, root: &Path) -> Vec<&'a Path> {
    folder.ancestors().take_while(|path| *path != root).collect()
}

/// Makes a folder in one that is there, unless it is there, and its name durable.
fn make_durable_folder(path: &Path) -> io::Result<()> {
    if !path.is_dir() {
        match disk::make_folder(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if !path.is_dir() {
                    return Err(io::ErrorKind::NotADirectory.into());
                }
            }
            other => other?,
        }
    }
    sync_name(path)
}

/// Makes the name of a folder durable.
fn sync_name(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    disk::sync_folder(parent.unwrap_or(Path::new(".")))
}

/// Deletes temporary files below a folder, which only a killed run can have left: one that is still at work
/// writes its file again. Folders that are empty then are removed where `staging` says that they may be.
pub(super) fn clear_unfinished(folder: &Path, staging: Option<&Path>) -> io::Result<u64> {
    let (mut cleared, mut folders, mut next) = (0, Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = next.pop() {
        let entries = match fs::read_dir(&folder) {
            Err(error) if is_missing(&error) => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                next.push(entry.path());
            } else if entry.file_name().to_str().is_some_and(is_temporary) {
                match disk::remove(&entry.path()) {
                    Err(error) if is_missing(&error) => {}
                    removed => {
                        removed?;
                        cleared += 1;
                    }
                }
            }
        }
        folders.push(folder);
    }
    let is_staged =
        |path: &PathBuf| staging.is_some_and(|top| path != top && path.starts_with(top));
    for folder in folders.into_iter().rev().filter(is_staged) {
        // One that is not empty stays.
        let _ = disk::remove_folder(&folder);
    }
    Ok(cleared)
}

/// Deletes a file, and up to `depth` folders above it that are empty then.
pub(super) fn delete(path: &Path, depth: usize) -> io::Result<()> {
    // A folder is no object, so there is nothing to delete.
    let is_folder = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
    match disk::remove(path) {
        _ if is_folder => return Ok(()),
        Err(error) if is_missing(&error) => {}
        other => other?,
    }
    let mut parents = path.ancestors().skip(1);
    for folder in parents.by_ref().take(depth) {
        // One that is not empty, or that another run removed, ends the tidying.
        if disk::remove_folder(folder).is_err() {
            return sync_if_there(folder);
        }
    }
    parents.next().map_or(Ok(()), sync_if_there)
}

fn sync_if_there(folder: &Path) -> io::Result<()> {
    match disk::sync_folder(folder) {
        Err(error) if is_missing(&error) => Ok(()),
        other => other,
    }
}

/// There is no such path.
pub(super) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
