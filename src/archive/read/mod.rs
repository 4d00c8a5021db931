//! One object's bytes to rows, rejects and counts.
//!
//! In: the bytes of one object as a [`Read`], and its place. Out: rows in a builder, rejects in a
//! list, and a [`Tally`] whose sums [`check`] holds against each other. What can go wrong: the source
//! fails, which is an [`io::Error`]; all else is a reject. What limits it: the options, and the caller,
//! who says after how many bytes of rows and rejects to pause.

use std::io::{self, Read};
use std::mem::size_of;
use std::ops::Range;

use crate::archive::documents::Documents;
use crate::archive::recognize::{Item, recognize};
use crate::archive::split::{Piece, SplitLimits};
use crate::archive::unpack::Format;
use crate::finding::envelope::{Found, Shape};
use crate::finding::json::{Json, Object};
use crate::finding::limits::CountLimits;
use crate::finding::place::{Place, Span};
use crate::finding::product::Products;
use crate::finding::reject::{REJECT_BYTES_MAX, Reason, Reject, Stage};
use crate::finding::rows::{BATCH_BYTES_MAX, RowsBuilder};
use crate::finding::tally::{NAME_CHARS_MAX, Tally};

/// How many bytes an object may decompress to unless told otherwise. Firehose buffers at most 128 MiB
/// before compression, a little more when it lags (Firehose quotas).
pub const OBJECT_BYTES_MAX: u64 = 1 << 30;

/// How long a document may be unless told otherwise; an EventBridge entry has 1 MB at most, Security
/// Hub's API returns 100 findings of 240 KB at most.
pub const DOCUMENT_BYTES_MAX: usize = 16 << 20;

/// How many rejected findings of one document are told one by one; more of them are only counted.
pub const REJECTS_PER_DOCUMENT_MAX: u64 = 1_000;

/// How many bytes of rows one document may become, for each byte that a document may have; a finding
/// of few bytes is a row of some hundred, and a Firehose record may be compressed.
const ROWS_PER_DOCUMENT_BYTE_MAX: usize = 4;

/// Below this many bytes of rows no document is cut off.
const DOCUMENT_ROWS_BYTES_MIN: usize = 16 << 20;

/// Beyond this many every document is, so that no batch overflows.
const DOCUMENT_ROWS_BYTES_MAX: usize = BATCH_BYTES_MAX / 4;

/// Counts up whenever the program learns to read what it passed over or rejected before, so that the
/// objects concerned can be read again.
pub const READER_GENERATION: u32 = 1;

/// How to read an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadOptions {
    /// Whose findings become rows.
    pub products: Products,
    /// How many bytes an object may decompress to.
    pub object_bytes_max: u64,
    /// How long a document may be.
    pub document_bytes_max: usize,
    /// How deep, and how many entries and entities.
    pub counts: CountLimits,
}

/// What became of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It has findings, as rows or as rejects.
    WithFindings,
    /// It holds nothing for the table, of this kind.
    PassedOver(&'static str),
    /// It is one reject.
    Rejected(Reason),
}

/// One document, or bytes that are none, and what became of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentReport {
    /// Its bytes in the decompressed object.
    pub range: Range<u64>,
    /// What it is, as `recognize` names it; `none` for bytes that are no document.
    pub envelope: &'static str,
    /// What became of it.
    pub outcome: Outcome,
    /// Its rows in the builder.
    pub rows: Range<usize>,
    /// Its rejects in the list.
    pub rejects: Range<usize>,
    /// How many places of its text were repaired.
    pub repairs: u64,
}

/// Reads one object.
#[derive(Debug)]
pub struct ObjectReader<'s> {
    documents: Documents<'s>,
    place: Place,
    products: Products,
    limits: SplitLimits,
    tally: Tally,
}

/// What the parts of one document became.
#[derive(Debug, Default)]
struct Parts {
    visited: u64,
    rows: u64,
    passed_over: Vec<(&'static str, u64)>,
    rejected: u64,
    /// The document itself is the reject.
    own_reject: Option<Reason>,
}

impl<'s> ObjectReader<'s> {
    /// Reads `source`, which is the object at `place`; nothing is read yet.
    pub fn new(source: Box<dyn Read + Send + 's>, place: Place, options: &ReadOptions) -> Self {
        let (document_bytes_max, counts) = (options.document_bytes_max, options.counts);
        let limits = SplitLimits { document_bytes_max, counts };
        Self {
            documents: Documents::new(source, options.object_bytes_max, limits),
            place,
            products: options.products,
            limits,
            tally: Tally::default(),
        }
    }

    /// Reads one document, or bytes that are none; `None` at the object's end.
    ///
    /// # Errors
    /// The source's own. The rows and rejects of this object are then not to be used.
    pub fn step(
        &mut self,
        rows: &mut RowsBuilder,
        rejects: &mut Vec<Reject>,
    ) -> io::Result<Option<DocumentReport>> {
        let Self { documents, place, products, limits, tally } = self;
        let report = documents.next(|stage, piece| match piece {
            Piece::Document { range, bytes, parsed } => {
                tally.documents.read += 1;
                let rows_bytes_max = rows.bytes() + document_rows_bytes_max(*limits);
                let mut document = Document {
                    place,
                    rows_bytes_max,
                    products: *products,
                    entities_max: limits.counts.entities_max,
                    span: Span { range, ordinal: 0 },
                    bytes,
                    rows,
                    rejects,
                    tally,
                    parts: Parts::default(),
                };
                document.read(&parsed.json, *limits, parsed.repairs)
            }
            Piece::Reject { range, reason, detail, bytes } => {
                tally.documents.read += 1;
                tally.documents.rejected += 1;
                tally.bytes.rejected += range.end - range.start;
                tally.by_reason.add(reason.name(), 1);
                let first = rejects.len();
                let bytes = bytes.to_vec();
                let reject =
                    Reject { stage, reason, detail, range: range.clone(), ordinal: None, bytes };
                rejects.push(reject);
                DocumentReport {
                    range,
                    envelope: "none",
                    outcome: Outcome::Rejected(reason),
                    rows: rows.len()..rows.len(),
                    rejects: first..rejects.len(),
                    repairs: 0,
                }
            }
        })?;
        self.tally.bytes.compressed = self.documents.compressed_bytes();
        self.tally.bytes.decompressed = self.documents.decompressed_bytes();
        self.tally.bytes.between_documents = self.documents.between_documents_bytes();
        Ok(report)
    }

    /// Reads on until the object's end (`true`), or until rows and rejects hold `bytes_max` bytes
    /// or half of what a batch may hold (`false`). One document more than that may be in them, which
    /// has [`DOCUMENT_ROWS_BYTES_MAX`] bytes of rows at most.
    ///
    /// # Errors
    /// As [`ObjectReader::step`].
    pub fn read_into(
        &mut self,
        rows: &mut RowsBuilder,
        rejects: &mut Vec<Reject>,
        bytes_max: usize,
    ) -> io::Result<bool> {
        let mut reject_bytes: usize = rejects.iter().map(held_bytes).sum();
        loop {
            if rows.bytes() >= BATCH_BYTES_MAX / 2 || rows.bytes() + reject_bytes >= bytes_max {
                return Ok(false);
            }
            let Some(report) = self.step(rows, rejects)? else { return Ok(true) };
            let new = rejects.get(report.rejects).unwrap_or_default();
            reject_bytes += new.iter().map(held_bytes).sum::<usize>();
        }
    }

    /// What the object became so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// What the object became, at its end.
    pub fn into_tally(self) -> Tally {
        self.tally
    }

    /// The object that is read.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The layers of compression, the outermost first; empty before the first step.
    pub fn formats(&self) -> &[Format] {
        self.documents.formats()
    }
}

/// What `recognize` calls an EventBridge event.
const EVENT: &str = "eventbridge";

/// Counts members of an event that have no column, and those that are no text where one is wanted.
/// They are in no row's `unmapped_json`, which copies of one finding share.
fn count_members(json: &Json<'_>, tally: &mut Tally) {
    for (name, value) in json.as_object().into_iter().flat_map(Object::iter) {
        let column = match name {
            "account" => "sent_to_account",
            "detail-type" => "detail_type",
            "id" => "event_id",
            "region" => "sent_to_region",
            "time" => "event_time",
            "detail" | "resources" | "source" | "version" => continue,
            _ => {
                let name: String = name.chars().take(NAME_CHARS_MAX).collect();
                tally.unknown_fields.add(&format!("event.{name}"), 1);
                continue;
            }
        };
        if !matches!(value, Json::String(_) | Json::Null) {
            tally.unreadable_fields.add(column, 1);
        }
    }
}

/// How many bytes of rows one document may become: more than any that AWS writes.
fn document_rows_bytes_max(limits: SplitLimits) -> usize {
    let in_proportion = limits.document_bytes_max.saturating_mul(ROWS_PER_DOCUMENT_BYTE_MAX);
    in_proportion.clamp(DOCUMENT_ROWS_BYTES_MIN, DOCUMENT_ROWS_BYTES_MAX)
}

/// How many elements the finding has for its list of entities or resources.
fn entities(found: &Found<'_>) -> u64 {
    let name = match found.shape {
        Shape::Native => "affectedEntities",
        Shape::Asff => "Resources",
        Shape::Ocsf => "resources",
    };
    let elements = found.body.get(name).and_then(Json::as_array);
    elements.map_or(0, |elements| elements.len() as u64)
}

/// About how many bytes of memory a reject takes.
fn held_bytes(reject: &Reject) -> usize {
    size_of::<Reject>() + reject.bytes.len() + reject.detail.len()
}

/// One document on its way to rows.
struct Document<'d> {
    place: &'d Place,
    products: Products,
    entities_max: u32,
    span: Span,
    bytes: &'d [u8],
    /// The size of `rows` at which no more of this document are taken.
    rows_bytes_max: usize,
    rows: &'d mut RowsBuilder,
    rejects: &'d mut Vec<Reject>,
    tally: &'d mut Tally,
    parts: Parts,
}

impl Document<'_> {
    fn read(&mut self, json: &Json<'_>, limits: SplitLimits, repairs: u64) -> DocumentReport {
        let (first_row, first_reject) = (self.rows.len(), self.rejects.len());
        let recognized = recognize(json, limits, &mut |ordinal, item| self.visit(ordinal, item));
        let repairs = repairs + recognized.repairs;
        self.tally.repaired_text += repairs;
        let outcome = self.settle();
        if recognized.envelope == EVENT && outcome == Outcome::WithFindings {
            count_members(json, self.tally);
        }
        DocumentReport {
            range: self.span.range.clone(),
            envelope: recognized.envelope,
            outcome,
            rows: first_row..self.rows.len(),
            rejects: first_reject..self.rejects.len(),
            repairs,
        }
    }

    fn visit(&mut self, ordinal: Option<u32>, item: Item<'_>) {
        self.parts.visited += 1;
        match item {
            Item::Finding(found) if !self.products.wants(&found) => {
                self.pass_over("other_product");
            }
            Item::Finding(_) if self.rows.bytes() >= self.rows_bytes_max => {
                let detail = "the document's findings take more memory than one document may";
                let reason = Reason::DocumentTooLarge;
                self.reject(ordinal, Stage::Normalize, reason, detail.to_owned());
            }
            Item::Finding(found) if entities(&found) > u64::from(self.entities_max) => {
                let (count, most) = (entities(&found), self.entities_max);
                let detail = format!(
                    "the finding has {count} entities or resources, more than {most} \
                     (`--entities-max`)"
                );
                self.reject(ordinal, Stage::Normalize, Reason::TooManyEntities, detail);
            }
            Item::Finding(found) => {
                self.span.ordinal = ordinal.unwrap_or_default();
                match self.rows.append(&found, self.place, &self.span, self.tally) {
                    Ok(()) => self.parts.rows += 1,
                    Err(refusal) => {
                        self.reject(ordinal, Stage::Normalize, refusal.reason, refusal.detail);
                    }
                }
            }
            Item::PassedOver(kind) => self.pass_over(kind),
            Item::Reject { stage, reason, detail } => self.reject(ordinal, stage, reason, detail),
        }
    }

    fn pass_over(&mut self, kind: &'static str) {
        match self.parts.passed_over.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => self.parts.passed_over.push((kind, 1)),
        }
    }

    /// The first reject of a document keeps the document's bytes, so that it can be read again;
    /// they are the same for the others.
    fn reject(&mut self, ordinal: Option<u32>, stage: Stage, reason: Reason, mut detail: String) {
        self.tally.by_reason.add(reason.name(), 1);
        if ordinal.is_none() {
            self.parts.own_reject = Some(reason);
        } else {
            self.parts.rejected += 1;
        }
        let is_first = self.parts.rejected <= 1;
        if self.parts.rejected > REJECTS_PER_DOCUMENT_MAX {
            return;
        }
        if self.parts.rejected == REJECTS_PER_DOCUMENT_MAX {
            detail.push_str("; further ones of this document are only counted");
        }
        let kept = if is_first { self.bytes.len().min(REJECT_BYTES_MAX) } else { 0 };
        let bytes = self.bytes.get(..kept).unwrap_or_default().to_vec();
        let range = self.span.range.clone();
        self.rejects.push(Reject { stage, reason, detail, range, ordinal, bytes });
    }

    /// Counts the document and its findings by what became of them.
    fn settle(&mut self) -> Outcome {
        let bytes = self.span.range.end - self.span.range.start;
        let parts = &self.parts;
        let tally = &mut *self.tally;
        if let Some(reason) = parts.own_reject {
            tally.documents.rejected += 1;
            tally.bytes.rejected += bytes;
            return Outcome::Rejected(reason);
        }
        tally.bytes.in_documents += bytes;
        if parts.rows == 0 && parts.rejected == 0 {
            let kind = parts.passed_over.first().map_or("no_findings", |(kind, _)| *kind);
            tally.documents.passed_over += 1;
            tally.passed_over_by_kind.add(kind, 1);
            return Outcome::PassedOver(kind);
        }
        tally.documents.with_findings += 1;
        tally.findings.read += parts.visited;
        tally.findings.rows += parts.rows;
        tally.findings.rejected += parts.rejected;
        for (kind, count) in &parts.passed_over {
            tally.findings.passed_over += count;
            tally.passed_over_by_kind.add(kind, *count);
        }
        Outcome::WithFindings
    }
}

/// Whether the sums of a tally hold; they do for whole objects and for sums over them.
///
/// # Errors
/// Which sum fails, with its numbers.
pub fn check(tally: &Tally) -> Result<(), String> {
    let Tally { bytes, documents, findings, .. } = tally;
    let sums = [
        (
            "bytes decompressed = in documents + between documents + rejected",
            bytes.decompressed,
            bytes.in_documents + bytes.between_documents + bytes.rejected,
        ),
        (
            "documents read = with findings + passed over + rejected",
            documents.read,
            documents.with_findings + documents.passed_over + documents.rejected,
        ),
        (
            "findings read = rows + passed over + rejected",
            findings.read,
            findings.rows + findings.passed_over + findings.rejected,
        ),
        ("rows by shape = rows", tally.by_shape.total(), findings.rows),
        (
            "rejects by reason = documents rejected + findings rejected",
            tally.by_reason.total(),
            documents.rejected + findings.rejected,
        ),
        (
            "passed over by kind = documents passed over + findings passed over",
            tally.passed_over_by_kind.total(),
            documents.passed_over + findings.passed_over,
        ),
    ];
    for (what, left, right) in sums {
        if left != right {
            return Err(format!("a sum fails: {what}: {left} is not {right}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod corpus_tests;
#[cfg(test)]
mod tests;
