//! What a folder's changes were, in their order, for tests that play back a loss of power.
//!
//! In: each change, and the variables below, one of them a folder. Out: `journal` in it, a line of
//! JSON for each change, in the numbers of the fail point (`failed` where nothing changed), and the bytes
//! that were written beside it. All changes of a
//! process are made one after the other, so that the order is that of the disk, and whoever is killed at
//! one has noted all before it. Only with the feature `failpoints`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::json;

use super::disk::Step;
use super::fail_point::{FailPoint, kill, reach};

/// Names the journal's folder.
const VARIABLE: &str = "HEALTHTRAIL_FILE_JOURNAL";
/// The change after which the process ends: how it is called, a blank, and a part of the path that it makes. A
/// number would not do for it, since files are published side by side.
const KILL: &str = "HEALTHTRAIL_FILE_JOURNAL_KILL";

static JOURNAL: Mutex<Option<Journal>> = Mutex::new(None);

#[derive(Debug)]
struct Journal {
    folder: PathBuf,
    file: File,
    lines: usize,
}

/// Makes a change, unless the process ends here, and notes it when it took place.
pub(super) fn step<T>(step: Step<'_>, change: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let mut journal = JOURNAL.lock().unwrap_or_else(PoisonError::into_inner);
    if journal.is_none()
        && let Some(folder) = std::env::var_os(VARIABLE)
    {
        *journal = Some(Journal::open(folder.into())?);
    }
    reach(FailPoint::FileOperation);
    let made = change();
    if let Some(journal) = journal.as_mut() {
        match made {
            Ok(_) => journal.note(step)?,
            Err(_) => journal.line(&json!({"step": "failed", "path": ""}))?,
        }
    }
    made
}

impl Journal {
    /// Goes on where an earlier process ended.
    fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        let path = folder.join("journal");
        let lines = File::open(&path).map_or(0, |file| BufReader::new(file).lines().count());
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { folder, file, lines })
    }

    fn note(&mut self, step: Step<'_>) -> io::Result<()> {
        let data = self.folder.join(format!("{}.data", self.lines));
        let (name, path, to) = match step {
            Step::Create(path) => ("create", path, None),
            Step::Write(path, bytes) => {
                fs::write(data, bytes)?;
                ("write", path, None)
            }
            Step::Append(source, path) => {
                fs::copy(source, data)?;
                ("write", path, None)
            }
            Step::Sync(path) => ("sync", path, None),
            Step::Link(path, to) => ("link", path, Some(to)),
            Step::Rename(path, to) => ("rename", path, Some(to)),
            Step::Remove(path) => ("remove", path, None),
            Step::MakeFolder(path) => ("make_folder", path, None),
            Step::RemoveFolder(path) => ("remove_folder", path, None),
            Step::SyncFolder(path) => ("sync_folder", path, None),
        };
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let line = json!({"step": name, "path": text(path), "to": to.map(text)});
        self.line(&line)?;
        let last = std::env::var(KILL).unwrap_or_default();
        let is_last = last
            .split_once(' ')
            .is_some_and(|(step, part)| step == name && text(to.unwrap_or(path)).contains(part));
        if is_last {
            kill();
        }
        Ok(())
    }

    fn line(&mut self, line: &serde_json::Value) -> io::Result<()> {
        writeln!(self.file, "{line}")?;
        self.lines += 1;
        Ok(())
    }
}
