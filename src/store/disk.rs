//! The changes of files and folders on which the promises of a lake in a folder rest, each in one place.
//!
//! In: paths and bytes. Out: what the system says of them. Nothing is decided here. With the feature
//! `failpoints` each change is a point at which tests end the program, and can be noted down, so that a loss
//! of power after any of them can be played back (see `journal`).

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

#[cfg(feature = "failpoints")]
use super::journal::step;

/// A change that is made next.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(
    not(feature = "failpoints"),
    expect(dead_code, reason = "only what notes changes down looks into them")
)]
pub(super) enum Step<'a> {
    /// A file that was not there.
    Create(&'a Path),
    /// Bytes at the end of a file.
    Write(&'a Path, &'a [u8]),
    /// All bytes of the first file at the end of the second.
    Append(&'a Path, &'a Path),
    /// The bytes of a file become durable.
    Sync(&'a Path),
    /// A second name for a file.
    Link(&'a Path, &'a Path),
    /// Another name for a file, which replaces what had it.
    Rename(&'a Path, &'a Path),
    /// A name goes away.
    Remove(&'a Path),
    /// A folder that was not there.
    MakeFolder(&'a Path),
    /// An empty folder goes away.
    RemoveFolder(&'a Path),
    /// The names in a folder become durable.
    SyncFolder(&'a Path),
}

#[cfg(not(feature = "failpoints"))]
#[inline]
fn step<T>(_: Step<'_>, change: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    change()
}

/// Creates a file that its owner alone can change, as it will never change again; the umask may take more
/// away. One that is there is an error. Temporary files are made so too: they become the final ones by a second
/// name.
pub(super) fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o644);
    step(Step::Create(path), || options.open(path))
}

/// Writes all bytes; `path` is the file's.
pub(super) fn write(file: &mut File, path: &Path, bytes: &[u8]) -> io::Result<()> {
    step(Step::Write(path, bytes), || file.write_all(bytes))
}

/// Copies all bytes of another file; `path` is the file's.
pub(super) fn append(source: &Path, file: &mut File, path: &Path) -> io::Result<()> {
    let mut from = File::open(source)?;
    step(Step::Append(source, path), || io::copy(&mut from, file).map(drop))
}

/// Makes the bytes of a file durable; `path` is the file's.
pub(super) fn sync(file: &File, path: &Path) -> io::Result<()> {
    step(Step::Sync(path), || file.sync_all())
}

/// Gives a file a second name, if nothing has it.
pub(super) fn link(source: &Path, target: &Path) -> io::Result<()> {
    step(Step::Link(source, target), || fs::hard_link(source, target))
}

/// Gives a file another name, whatever has it.
pub(super) fn rename(source: &Path, target: &Path) -> io::Result<()> {
    step(Step::Rename(source, target), || fs::rename(source, target))
}

/// Takes a file's name away.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    step(Step::Remove(path), || fs::remove_file(path))
}

/// Makes a folder in one that is there, which is never open to everybody for writing; the umask may take more
/// away.
pub(super) fn make_folder(path: &Path) -> io::Result<()> {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "only the mode changes it"))]
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o775);
    step(Step::MakeFolder(path), || builder.create(path))
}

/// Removes a folder, if it is empty.
pub(super) fn remove_folder(path: &Path) -> io::Result<()> {
    step(Step::RemoveFolder(path), || fs::remove_dir(path))
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    // Elsewhere a folder cannot be opened as a file, and needs not be.
    if cfg!(unix) { step(Step::SyncFolder(path), || File::open(path)?.sync_all()) } else { Ok(()) }
}
