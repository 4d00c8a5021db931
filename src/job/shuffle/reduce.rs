//! The second half of a run: the rows of a group to parts.
//!
//! In: parcels, those of one group after the other, each group's in the order of [`Kind`] and ordinal. Out: a
//! parcel for each part that is staged, with what was counted; what became of objects is handed through. A
//! group is compared with the files of its partition as the driver named them. What does not fit into memory
//! is staged in pieces. Wrong is what is wrong with the lake or the carrier's order. Memory: that of a wave,
//! and 16 bytes for each row of a group that was staged in pieces.

use std::collections::HashSet;

use anyhow::{Context as _, bail};

use super::parcel::{Group, Kind, Parcel};
use super::payload::{decode_rejects, decode_rows};
use super::read::committer;
use super::task::{Context, Counts, End, Outcome, parse};
use crate::job::commit::{Committer, Staged};
use crate::job::options::RunOptions;
use crate::job::plan::Planned;
use crate::job::wave::{RowPlace, Wave};
use crate::lake::ledger::Ledger;
use crate::lake::ledger::files::PartitionFiles;
use crate::lake::record::FileRecord;

/// The second half, as far as one worker does it.
#[derive(Debug)]
pub struct Reducer {
    context: Context,
    committer: Committer,
    open: Option<Open>,
    /// Groups that are done: one that comes again was not kept together.
    done: HashSet<Group>,
}

/// The group whose parcels are coming.
#[derive(Debug)]
struct Open {
    group: Group,
    last: (Kind, i64),
    wave: Wave,
    staged: Staged,
    /// Objects of the group that the lake may have rejects of.
    plan: Vec<Planned>,
    out: Vec<Parcel>,
}

impl Reducer {
    /// A reducer of the context's wave; the stores are those of the options.
    ///
    /// # Errors
    /// When its threads cannot be started.
    pub fn new(context: Context, options: &RunOptions) -> anyhow::Result<Self> {
        let committer = committer(&context, options)?;
        Ok(Self { context, committer, open: None, done: HashSet::new() })
    }

    /// Takes in the next parcel; gives what became of the group before, when this one is of another.
    ///
    /// # Errors
    /// Trouble of the lake's store, damage in it, or parcels that are not in order.
    pub async fn take(&mut self, parcel: Parcel) -> anyhow::Result<Vec<Parcel>> {
        let is_other = self.open.as_ref().is_none_or(|open| open.group != parcel.group);
        let finished = if is_other { self.finish().await? } else { Vec::new() };
        if is_other {
            self.begin(parcel.group)?;
        }
        let Some(open) = &mut self.open else { return Ok(finished) };
        let place = (parcel.kind, parcel.ordinal);
        if place < open.last {
            bail!("the parcels of {:?} came out of their order", parcel.group);
        }
        open.last = place;
        match parcel.kind {
            Kind::Files => {
                let known: PartitionFiles = parse(&parcel.payload)?;
                self.committer.ledger = self.ledger(parcel.group, known);
            }
            Kind::Objects => {
                open.take_outcomes(parse(&parcel.payload)?);
                open.out.push(parcel);
            }
            Kind::Counts => open.out.push(parcel),
            Kind::Rows => open.wave.add_rows(decode_rows(&parcel.payload)?),
            Kind::Rejects => {
                let rejects = decode_rejects(&parcel.payload)?;
                open.wave.bytes += parcel.payload.len();
                open.wave.rejects.extend(rejects);
            }
            Kind::Part => bail!("a part is no input of the second half"),
        }
        self.stage_piece().await?;
        Ok(finished)
    }

    fn begin(&mut self, group: Group) -> anyhow::Result<()> {
        if !self.done.insert(group) {
            bail!("the parcels of {group:?} were not kept together");
        }
        self.committer.ledger = self.ledger(group, PartitionFiles::default());
        self.open = Some(Open {
            group,
            last: (Kind::Files, i64::MIN),
            wave: Wave::default(),
            staged: Staged::at(self.context.version),
            plan: Vec::new(),
            out: Vec::new(),
        });
        Ok(())
    }

    fn ledger(&self, group: Group, known: PartitionFiles) -> Ledger {
        let tombstones = self.context.tombstones.iter().cloned().collect();
        let place = (group.table, group.partition);
        Ledger::of_partition(self.context.version, place, known, tombstones)
    }

    /// Stages what is held when it is as much as may be.
    async fn stage_piece(&mut self) -> anyhow::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        if open.wave.bytes < self.committer.budget.piece_bytes {
            return Ok(());
        }
        self.committer.stage_held(&mut open.wave, &mut open.staged, &HashSet::new()).await
    }

    /// Stages the rest of the last group, and gives what became of it.
    ///
    /// # Errors
    /// As [`Reducer::take`].
    pub async fn finish(&mut self) -> anyhow::Result<Vec<Parcel>> {
        let Some(mut open) = self.open.take() else { return Ok(Vec::new()) };
        self.committer.reread = Some((0..open.plan.len()).collect());
        self.committer.plan = std::mem::take(&mut open.plan).into();
        self.committer.stage_end(&open.wave, &mut open.staged).await?;
        open.out()
    }
}

impl Open {
    /// Takes note of the objects whose rejects in the lake this group settles.
    fn take_outcomes(&mut self, outcomes: Vec<Outcome>) {
        for outcome in outcomes {
            if let (Some((object, places)), End::Read(tally)) = (outcome.reread, outcome.end) {
                let index = self.plan.len();
                self.plan.push(object.planned());
                self.wave.finished.push((index, *tally));
                // Whether the lake had these rows is for their own groups to find out.
                let place = |(offset, ordinal)| RowPlace { offset, ordinal, in_lake: false };
                self.wave.remember_rows(index, places.into_iter().map(place).collect());
            }
        }
    }

    /// What the driver is to know.
    fn out(mut self) -> anyhow::Result<Vec<Parcel>> {
        let group = self.group;
        let parcel = |kind, payload| Parcel { group, kind, ordinal: 0, payload };
        let states = &self.staged.states;
        let counts = Counts {
            duplicates: self.staged.duplicates,
            rejects_known: self.staged.rejects_known,
            states: states.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
            ..Counts::default()
        };
        if counts != Counts::default() {
            self.out.push(parcel(Kind::Counts, serde_json::to_vec(&counts)?));
        }
        for file in &self.staged.files {
            self.out.push(parcel(Kind::Part, serde_json::to_vec(file)?));
        }
        Ok(self.out)
    }
}

/// Reads what the second half says of a part.
pub(super) fn part(payload: &[u8]) -> anyhow::Result<FileRecord> {
    serde_json::from_slice(payload).context("a part that a worker staged")
}
