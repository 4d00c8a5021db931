//! What an archive holds, counted while it was made: the truth that tests compare with.
//!
//! In: the tallies of objects. Out: a [`GenerateReport`].

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;

use serde::Serialize;

use super::story::{Copy, Delivery, PRODUCTS, Product};

/// Messages of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Messages {
    /// With all copies: pages count each, redeliveries and copies by way of another Region too.
    pub sent: u64,
    /// Without copies: for findings, the rows that a lake has of them.
    pub distinct: u64,
}

/// What a generated archive holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct GenerateReport {
    /// Objects written, those under the error prefix among them.
    pub objects: u64,
    /// Objects under the error prefix.
    pub error_objects: u64,
    /// Bytes as stored.
    pub stored_bytes: u64,
    /// Bytes before compression.
    pub raw_bytes: u64,
    /// Native Health events.
    pub native: Messages,
    /// Health findings in ASFF.
    pub health_asff: Messages,
    /// Health findings in OCSF.
    pub health_ocsf: Messages,
    /// Other products' findings in ASFF.
    pub other_asff: Messages,
    /// Other products' findings in OCSF.
    pub other_ocsf: Messages,
    /// Insight Results of Security Hub: events without findings.
    pub insight_results: Messages,
    /// Calls of the Health API, as `CloudTrail` reports them: events without findings.
    pub api_calls: Messages,
    /// Messages inside Firehose's error records; they count above as well.
    pub error_records: u64,
    /// Pieces of bytes that are no document; each is one reject.
    pub bad_pieces: u64,
    /// Objects by how they are compressed.
    pub by_compression: BTreeMap<&'static str, u64>,
}

impl GenerateReport {
    /// Documents that are not bad: each holds one message.
    pub fn documents(&self) -> u64 {
        self.messages().iter().map(|(_, messages)| messages.sent).sum()
    }

    /// Rows of a lake that takes Health alone.
    pub fn health_rows(&self) -> u64 {
        self.native.distinct + self.health_asff.distinct + self.health_ocsf.distinct
    }

    /// Rows of a lake that takes all products.
    pub fn all_rows(&self) -> u64 {
        self.health_rows() + self.other_asff.distinct + self.other_ocsf.distinct
    }

    /// All kinds of messages with their names.
    pub fn messages(&self) -> [(&'static str, Messages); 7] {
        [
            ("native Health events", self.native),
            ("Health findings in ASFF", self.health_asff),
            ("Health findings in OCSF", self.health_ocsf),
            ("other findings in ASFF", self.other_asff),
            ("other findings in OCSF", self.other_ocsf),
            ("Insight Results", self.insight_results),
            ("API calls", self.api_calls),
        ]
    }
}

impl fmt::Display for GenerateReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "objects      {} ({} under the error prefix), {} bytes, {} before compression",
            self.objects, self.error_objects, self.stored_bytes, self.raw_bytes
        )?;
        for (name, messages) in self.messages() {
            writeln!(f, "{:>12} {name}, {} distinct", messages.sent, messages.distinct)?;
        }
        writeln!(f, "{:>12} of them in error records", self.error_records)?;
        writeln!(f, "{:>12} pieces of bad bytes", self.bad_pieces)?;
        write!(
            f,
            "rows to come {} of Health, {} of all products",
            self.health_rows(),
            self.all_rows()
        )
    }
}

/// What one object holds, or several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) objects: u64,
    pub(super) error_objects: u64,
    pub(super) stored_bytes: u64,
    pub(super) raw_bytes: u64,
    pub(super) error_records: u64,
    pub(super) bad_pieces: u64,
    pub(super) by_compression: BTreeMap<&'static str, u64>,
    products: BTreeMap<Product, Messages>,
}

impl Tally {
    /// Counts a message.
    pub(super) fn message(&mut self, delivery: &Delivery) {
        let messages = self.products.entry(delivery.product).or_default();
        messages.sent += 1;
        messages.distinct += u64::from(delivery.copy == Copy::First);
    }

    /// The whole as a report.
    pub(super) fn report(self) -> GenerateReport {
        let [native, health_asff, health_ocsf, other_asff, other_ocsf, insight_results, api_calls] =
            PRODUCTS.map(|product| self.products.get(&product).copied().unwrap_or_default());
        GenerateReport {
            objects: self.objects,
            error_objects: self.error_objects,
            stored_bytes: self.stored_bytes,
            raw_bytes: self.raw_bytes,
            native,
            health_asff,
            health_ocsf,
            other_asff,
            other_ocsf,
            insight_results,
            api_calls,
            error_records: self.error_records,
            bad_pieces: self.bad_pieces,
            by_compression: self.by_compression,
        }
    }
}

impl AddAssign<Tally> for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.objects += other.objects;
        self.error_objects += other.error_objects;
        self.stored_bytes += other.stored_bytes;
        self.raw_bytes += other.raw_bytes;
        self.error_records += other.error_records;
        self.bad_pieces += other.bad_pieces;
        for (name, count) in other.by_compression {
            *self.by_compression.entry(name).or_default() += count;
        }
        for (product, messages) in other.products {
            let sum = self.products.entry(product).or_default();
            sum.sent += messages.sent;
            sum.distinct += messages.distinct;
        }
    }
}
