//! How many of what one thing may hold: the limits that are no bytes.
//!
//! In: nothing but defaults. Out: [`CountLimits`], which `unpack`, `recognize` and `read` hold objects,
//! documents and findings against. What is over a limit is a reject, whose detail names the option.

/// How deep a document may be nested unless told otherwise, and at most: the JSON readers stop there.
pub const DEPTH_MAX: u32 = 127;

/// How many entries a zip object may have unless told otherwise; Firehose writes one.
pub const ZIP_ENTRIES_MAX: u32 = 10_000;

/// How many entities or resources a finding may have unless told otherwise. A Health event of 256 KB
/// has some 5,000 entities, and the next are on its next page; ASFF allows 32 resources.
pub const ENTITIES_MAX: u32 = 100_000;

/// The limits that are no bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountLimits {
    /// How deep a document may be nested; no more than [`DEPTH_MAX`] is ever read.
    pub depth_max: u32,
    /// How many entries a zip archive may have.
    pub zip_entries_max: u32,
    /// How many entities or resources a finding may have.
    pub entities_max: u32,
}

impl CountLimits {
    /// What holds unless told otherwise.
    pub const DEFAULT: Self =
        Self { depth_max: DEPTH_MAX, zip_entries_max: ZIP_ENTRIES_MAX, entities_max: ENTITIES_MAX };
}

impl Default for CountLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
