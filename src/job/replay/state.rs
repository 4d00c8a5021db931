//! How far a replay is, in a file, so that one that was killed goes on.
//!
//! In and out: one small JSON file, replaced as a whole. Written after each batch that was taken, so that a
//! kill sends at most one batch twice. Wrong: a file that is no such state, or one of another replay.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use super::Counts;
use super::records::{Cursor, ErrorRecords};
use crate::job::options::UsageError;

const FORMAT: u32 = 1;

/// Which replay it is: what must be the same when it goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    /// What the URIs begin with that are read, or the lake.
    pub(super) from: Vec<String>,
    /// The stream.
    pub(super) to: String,
    pub(super) error_records: ErrorRecords,
    pub(super) since_ms: Option<i64>,
    pub(super) until_ms: Option<i64>,
    pub(super) reasons: Vec<String>,
}

/// What the file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    format: u32,
    pub(super) replay: Identity,
    pub(super) done_until: Cursor,
    pub(super) counts: Counts,
}

impl State {
    pub(super) fn new(replay: Identity, done_until: Cursor, counts: Counts) -> Self {
        Self { format: FORMAT, replay, done_until, counts }
    }

    /// Reads a state of this very replay; none where there is no file.
    pub(super) fn read(file: &Path, replay: &Identity) -> anyhow::Result<Option<Self>> {
        let shown = file.display();
        let text = match fs::read(file) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            read => read.with_context(|| format!("reading the state `{shown}`"))?,
        };
        let state: Self = match serde_json::from_slice(&text) {
            Ok(state) => state,
            Err(error) => bail!(UsageError(format!(
                "`{shown}` is no state of a replay ({error}); name another file"
            ))),
        };
        if state.format != FORMAT {
            bail!(UsageError(format!(
                "the state `{shown}` was written by another version of healthtrail; begin with a new file"
            )));
        }
        if state.replay != *replay {
            bail!(UsageError(format!(
                "the state `{shown}` is that of another replay (from {} to `{}`, or with other options); \
                 name another file",
                state.replay.from.join(", "),
                state.replay.to
            )));
        }
        Ok(Some(state))
    }

    /// Replaces the file as a whole.
    pub(super) fn write(&self, file: &Path) -> anyhow::Result<()> {
        let shown = file.display();
        let name = file.file_name().with_context(|| format!("`{shown}` is no file"))?;
        let mut beside = name.to_owned();
        beside.push(".new");
        let new: PathBuf = file.with_file_name(beside);
        let write = || -> std::io::Result<()> {
            let mut out = File::create(&new)?;
            out.write_all(&serde_json::to_vec_pretty(self)?)?;
            out.sync_all()?;
            fs::rename(&new, file)?;
            let folder = file.parent().filter(|folder| *folder != Path::new(""));
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
        };
        write().with_context(|| format!("writing the state `{shown}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(to: &str) -> Identity {
        Identity {
            from: vec!["s3://b/".to_owned()],
            to: to.to_owned(),
            error_records: ErrorRecords::Original,
            since_ms: None,
            until_ms: Some(5),
            reasons: Vec::new(),
        }
    }

    #[test]
    fn a_state_comes_back_and_that_of_another_replay_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.json");
        let one = identity("firehose://one@r");
        assert_eq!(State::read(&file, &one).unwrap(), None);
        let cursor = Cursor::Lake { version: 3, rejects: 7 };
        let state = State::new(one.clone(), cursor, Counts::default());
        state.write(&file).unwrap();
        state.write(&file).unwrap();
        assert_eq!(State::read(&file, &one).unwrap(), Some(state));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let refused = State::read(&file, &identity("firehose://two@r")).unwrap_err();
        assert!(refused.is::<UsageError>() && refused.to_string().contains("firehose://one@r"));
        for text in ["", "{}", "{\"format\":2}"] {
            fs::write(&file, text).unwrap();
            assert!(State::read(&file, &one).unwrap_err().is::<UsageError>(), "{text}");
        }
    }
}
