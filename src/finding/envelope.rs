//! What a finding came in.

use crate::finding::json::Json;

/// The three schemas of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shape {
    /// The `detail` of a native AWS Health event.
    Native,
    /// AWS Security Finding Format.
    Asff,
    /// Open Cybersecurity Schema Framework.
    Ocsf,
}

impl Shape {
    /// The name in the table and in summaries.
    pub fn name(self) -> &'static str {
        match self {
            Shape::Native => "native",
            Shape::Asff => "asff",
            Shape::Ocsf => "ocsf",
        }
    }
}

/// The EventBridge fields around a finding, as they stand; a bare finding has none of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Envelope<'j> {
    /// `id`
    pub id: Option<&'j str>,
    /// `detail-type`
    pub detail_type: Option<&'j str>,
    /// `source`
    pub source: Option<&'j str>,
    /// `account`: the account the event was sent to.
    pub account: Option<&'j str>,
    /// `time`, as text.
    pub time: Option<&'j str>,
    /// `region`: the Region the event was sent to.
    pub region: Option<&'j str>,
}

/// A finding as it was found: its schema, its body, and what it came in.
#[derive(Debug, Clone, Copy)]
pub struct Found<'j> {
    /// Which schema the body has.
    pub shape: Shape,
    /// The ASFF finding, the OCSF finding, or the Health event's `detail`.
    pub body: &'j Json<'j>,
    /// The EventBridge event around it; `None` for a bare finding.
    pub envelope: Option<Envelope<'j>>,
}
