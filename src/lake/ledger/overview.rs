//! What the ledger knows of each arrival hour, for people.
//!
//! In: a ledger, best one that was settled, since what was read twice counts twice before. Out: one
//! [`HourFigures`] for each hour that has something, all archives together. Pure.

use std::collections::BTreeMap;

use super::{Figures, Hour, Ledger, hour_number};
use crate::lake::record::Settings;

/// One arrival hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HourFigures {
    /// When it begins, as the objects' names say it, in milliseconds since 1970.
    pub hour_ms: i64,
    /// What was consumed of it.
    pub figures: Figures,
    /// Objects that came after the hour had been closed.
    pub late: u64,
    /// Whether nothing more is expected of it.
    pub is_closed: bool,
    /// Objects that a run of these settings reads again.
    pub reopened: u64,
    /// Objects that could not be read.
    pub failed: u64,
}

impl Ledger {
    /// Every hour that has consumed or failed objects, in order.
    pub fn hours(&self, settings: &Settings) -> Vec<HourFigures> {
        let mut hours: BTreeMap<i64, HourFigures> = BTreeMap::new();
        for (hour, closed) in &self.closed {
            let sum = at(&mut hours, hour.number);
            sum.figures += closed.figures;
            sum.late = sum.late.saturating_add(closed.late);
            let waiting = closed
                .groups
                .iter()
                .filter(|group| self.reopens(group.commit, group.profile, settings));
            sum.reopened += waiting.map(|group| u64::from(group.count)).sum::<u64>();
        }
        for (hour, ids) in &self.open {
            let is_beside = self.closed.contains_key(hour);
            let sum = at(&mut hours, hour.number);
            sum.is_closed &= is_beside;
            for entry in ids.values() {
                sum.figures.add(entry);
                sum.late += u64::from(is_beside);
                sum.reopened += u64::from(self.is_reopened(entry, settings));
            }
        }
        for (hour, late) in &self.reopened {
            let sum = at(&mut hours, hour.number);
            sum.late = sum.late.saturating_add(*late);
        }
        for hour in self.failed.values().filter_map(|failure| failure.hour) {
            let sum = at(&mut hours, hour.number);
            sum.failed += 1;
            sum.is_closed = false;
        }
        hours.into_values().collect()
    }

    /// The hour that an object is kept under, in milliseconds since 1970.
    pub fn hour_ms(archive: &str, key: &str, last_modified_ms: i64) -> i64 {
        let number = hour_number(&format!("{archive}/{key}"), last_modified_ms);
        Hour { number, root: 0 }.start_ms()
    }

    /// The newest arrival hour that has a consumed object below this URI, in milliseconds since 1970, as
    /// its keys name it.
    pub fn newest_hour_ms(&self, archive: &str) -> Option<i64> {
        let is_of = |hour: &Hour| {
            let root = self.roots.name(hour.root);
            root.is_none_or(|root| root.starts_with(archive) || archive.starts_with(root))
        };
        let open = self.open.iter().filter(|(_, ids)| !ids.is_empty()).map(|(hour, _)| *hour);
        let hours = open.chain(self.closed.keys().copied());
        hours.filter(is_of).map(Hour::start_ms).max()
    }

    /// Objects that could not be read and were not given up, whatever their hour.
    pub fn failed_count(&self) -> u64 {
        self.failed.len() as u64
    }

    /// The newest `LastModified` of any consumed object, by which hours close.
    pub fn newest_ms(&self) -> i64 {
        self.newest_ms
    }
}

fn at(hours: &mut BTreeMap<i64, HourFigures>, number: i64) -> &mut HourFigures {
    let hour_ms = Hour { number, root: 0 }.start_ms();
    hours.entry(number).or_insert(HourFigures {
        hour_ms,
        is_closed: true,
        ..HourFigures::default()
    })
}
