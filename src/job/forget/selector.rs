//! What is to be forgotten, as a person names it.
//!
//! In: `finding_id=…,account_id=…,shape=…` or a line of JSON with these names. Out: a [`Selector`], or why it
//! is none. What no tombstone could keep out of the lake is refused: an account alone would be filled again
//! by the next run. Bound: [`SELECTORS_MAX`] at a time.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::str::FromStr;

use serde::Deserialize;

use crate::lake::record::Tombstone;

/// Selectors of one pass.
pub const SELECTORS_MAX: usize = 10_000;

const SHAPES: [&str; 3] = ["native", "asff", "ocsf"];
const NAMES: [&str; 4] = ["finding_id", "event_arn", "account_id", "shape"];

/// Rows of `findings`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Members")]
pub enum Selector {
    /// All versions of a finding.
    Finding {
        /// Its id.
        finding_id: String,
        /// Only of this account; blank for the rows that name none.
        account_id: Option<String>,
        /// Only of this shape.
        shape: Option<String>,
    },
    /// All versions of a Health event in one account, in all three shapes.
    Event {
        /// Its ARN with a blank account.
        event_arn: String,
        /// The account.
        account_id: String,
    },
}

/// A selector's members, before it is known whether they go together.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Members {
    finding_id: Option<String>,
    event_arn: Option<String>,
    account_id: Option<String>,
    shape: Option<String>,
}

impl TryFrom<Members> for Selector {
    type Error = String;

    fn try_from(members: Members) -> Result<Self, String> {
        let Members { finding_id, event_arn, account_id, shape } = members;
        if let Some(shape) = shape.as_deref().filter(|shape| !SHAPES.contains(shape)) {
            return Err(format!("`{shape}` is no shape; it is `native`, `asff` or `ocsf`"));
        }
        let is_blank = |text: &Option<String>| text.as_ref().is_some_and(String::is_empty);
        if is_blank(&finding_id) || is_blank(&event_arn) {
            return Err("an id is blank, and would match what has none".into());
        }
        match (finding_id, event_arn, account_id) {
            (Some(finding_id), None, account_id) => {
                Ok(Self::Finding { finding_id, account_id, shape })
            }
            (None, Some(event_arn), Some(account_id)) if shape.is_none() => {
                Ok(Self::Event { event_arn: with_blank_account(&event_arn), account_id })
            }
            (None, Some(_), _) => {
                Err("`event_arn` needs `account_id`, and takes no `shape`: an event \
                                       comes to many accounts, in three shapes"
                    .into())
            }
            (Some(_), Some(_), _) => Err("give either `finding_id` or `event_arn`".into()),
            (None, None, Some(_)) => {
                Err("an account alone cannot be kept out of the lake, since its \
                                          next finding has an id that nobody knows yet; name its \
                                          findings, as `--rows-file` takes them"
                    .into())
            }
            (None, None, None) => Err("it needs `finding_id` or `event_arn`".into()),
        }
    }
}

impl FromStr for Selector {
    type Err = String;

    /// Ids may hold commas: a member ends where a comma and the name of another one begin.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut members: HashMap<&str, String> = HashMap::new();
        let mut last: Option<&str> = None;
        for piece in text.split(',') {
            let named = piece.split_once('=').filter(|(name, _)| NAMES.contains(name));
            match (named, last) {
                (Some((name, value)), _) => {
                    if members.insert(name, value.to_owned()).is_some() {
                        return Err(format!("`{name}` stands twice"));
                    }
                    last = Some(name);
                }
                (None, Some(name)) => {
                    if let Some(value) = members.get_mut(name) {
                        value.push(',');
                        value.push_str(piece);
                    }
                }
                (None, None) => {
                    return Err("write it as `finding_id=ID,account_id=ACCOUNT,shape=SHAPE` or \
                                `event_arn=ARN,account_id=ACCOUNT`"
                        .into());
                }
            }
        }
        Members {
            finding_id: members.remove("finding_id"),
            event_arn: members.remove("event_arn"),
            account_id: members.remove("account_id"),
            shape: members.remove("shape"),
        }
        .try_into()
    }
}

/// As the column `event_arn` has it, so that one ARN names the event in all shapes.
fn with_blank_account(arn: &str) -> String {
    let mut fields: Vec<&str> = arn.splitn(6, ':').collect();
    if let [_, _, _, _, account, _] = fields.as_mut_slice() {
        *account = "";
    }
    fields.join(":")
}

/// Reads selectors, a line of JSON each; blank lines are skipped.
pub fn from_lines(text: &str) -> Result<Vec<Selector>, String> {
    let mut selectors = Vec::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let selector =
            serde_json::from_str(line).map_err(|error| format!("line {number}: {error}"))?;
        selectors.push(selector);
        if selectors.len() > SELECTORS_MAX {
            return Err(format!(
                "there are more than {SELECTORS_MAX} lines; cut the file in pieces"
            ));
        }
    }
    Ok(selectors)
}

/// All selectors, to be asked row by row.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// For each finding id the accounts and shapes, where they are limited.
    findings: HashMap<String, Vec<Limits>>,
    events: HashMap<String, HashSet<String>>,
    objects: HashSet<String>,
    /// Tombstones that no row is needed for.
    pub(super) exact: BTreeSet<Tombstone>,
    /// What the bytes of a reject must hold, and the account that must stand in them too.
    needles: Vec<Needle>,
}

/// The account and shape that a finding is limited to.
#[derive(Debug)]
struct Limits {
    account_id: Option<String>,
    shape: Option<String>,
}

/// How an id may be written in a document, and the account that must stand there too.
#[derive(Debug)]
struct Needle {
    forms: Vec<Vec<u8>>,
    account: Option<Vec<u8>>,
}

/// What of a row selectors look at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named<'a> {
    pub(super) shape: &'a str,
    pub(super) finding_id: &'a str,
    pub(super) event_arn: &'a str,
    pub(super) account_id: &'a str,
    pub(super) source_object: &'a str,
}

impl Wanted {
    pub(super) fn of(selectors: &[Selector], objects: &[String]) -> Self {
        let objects = objects.iter().cloned().collect();
        let mut wanted = Self { objects, ..Self::default() };
        for selector in selectors {
            match selector.clone() {
                Selector::Finding { finding_id, account_id, shape } => {
                    if let Some(account) = &account_id {
                        let shapes = SHAPES
                            .iter()
                            .filter(|own| shape.as_ref().is_none_or(|one| one == *own));
                        let each = shapes.map(|own| Tombstone::finding(own, &finding_id, account));
                        wanted.exact.extend(each);
                    }
                    wanted.needle(&finding_id, account_id.as_deref());
                    wanted
                        .findings
                        .entry(finding_id)
                        .or_default()
                        .push(Limits { account_id, shape });
                }
                Selector::Event { event_arn, account_id } => {
                    // Security Hub writes the same ARN with the account in it.
                    let event = event_arn.splitn(6, ':').last().unwrap_or_default();
                    wanted.needle(event, Some(&account_id));
                    wanted.events.entry(event_arn).or_default().insert(account_id);
                }
            }
        }
        wanted
    }

    /// A short id is looked for with the quotes around it, since it may be part of anything.
    fn needle(&mut self, id: &str, account: Option<&str>) {
        let quoted = serde_json::to_string(id).unwrap_or_default();
        let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
        let forms = if id.len() < 16 {
            vec![quoted.into_bytes()]
        } else {
            let escaped = inner.replace('/', "\\/");
            BTreeSet::from([id.as_bytes().to_vec(), inner.into(), escaped.into_bytes()])
                .into_iter()
                .collect()
        };
        let account = account.filter(|account| !account.is_empty());
        let account = account.map(|account| account.as_bytes().to_vec());
        self.needles.push(Needle { forms, account });
    }

    /// What the bloom filters of a part are to be asked for; `None` where they cannot tell.
    pub(super) fn in_filters(&self) -> Option<Vec<(&'static str, Vec<&str>)>> {
        let findings = self.findings.keys().map(String::as_str).collect();
        let events = self.events.keys().map(String::as_str).collect();
        (!self.has_objects()).then(|| vec![("finding_id", findings), ("event_arn", events)])
    }

    /// Whether whole objects are wanted: then other versions of what they hold go too.
    pub(super) fn has_objects(&self) -> bool {
        !self.objects.is_empty()
    }

    pub(super) fn has_row(&self, row: Named<'_>) -> bool {
        let finding = self.findings.get(row.finding_id).is_some_and(|each| {
            each.iter().any(|Limits { account_id, shape }| {
                account_id.as_ref().is_none_or(|account| account == row.account_id)
                    && shape.as_ref().is_none_or(|shape| shape == row.shape)
            })
        });
        let accounts = self.events.get(row.event_arn);
        finding
            || accounts.is_some_and(|accounts| accounts.contains(row.account_id))
            || self.objects.contains(row.source_object)
    }

    pub(super) fn has_reject(&self, source_object: &str, texts: [&[u8]; 2]) -> bool {
        let holds = |needle: &[u8]| texts.iter().any(|text| holds(text, needle));
        self.objects.contains(source_object)
            || self.needles.iter().any(|Needle { forms, account }| {
                forms.iter().any(|form| holds(form))
                    && account.as_ref().is_none_or(|account| holds(account))
            })
    }
}

/// Whether a text holds an id, and not only a longer one that begins or ends so.
fn holds(text: &[u8], id: &[u8]) -> bool {
    let goes_on = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    };
    memchr::memmem::find_iter(text, id).any(|at| {
        let before = at.checked_sub(1).and_then(|before| text.get(before));
        !goes_on(before) && !goes_on(text.get(at + id.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(id: &str, account: Option<&str>, shape: Option<&str>) -> Selector {
        Selector::Finding {
            finding_id: id.into(),
            account_id: account.map(str::to_owned),
            shape: shape.map(str::to_owned),
        }
    }

    #[test]
    fn selectors_are_read_or_refused_with_a_reason() {
        let arn = "arn:aws:health:eu-west-1:111122223333:event/EC2/T/E_1";
        let event = Selector::Event {
            event_arn: "arn:aws:health:eu-west-1::event/EC2/T/E_1".into(),
            account_id: "1".into(),
        };
        let table = [
            ("finding_id=a".to_owned(), Ok(finding("a", None, None))),
            ("finding_id=a,b=c,d,account_id=1".into(), Ok(finding("a,b=c,d", Some("1"), None))),
            ("shape=ocsf,finding_id=a".into(), Ok(finding("a", None, Some("ocsf")))),
            ("finding_id=a,account_id=".into(), Ok(finding("a", Some(""), None))),
            (format!("event_arn={arn},account_id=1"), Ok(event)),
            (format!("event_arn={arn}"), Err("needs `account_id`")),
            ("account_id=1".into(), Err("an account alone")),
            ("finding_id=".into(), Err("blank")),
            ("finding_id=a,shape=xml".into(), Err("no shape")),
            ("finding_id=a,finding_id=b".into(), Err("twice")),
            ("a".into(), Err("write it as")),
            ("shape=asff".into(), Err("needs `finding_id`")),
        ];
        for (text, expected) in table {
            match (text.parse::<Selector>(), expected) {
                (Ok(read), Ok(expected)) => assert_eq!(read, expected, "{text}"),
                (Err(why), Err(part)) => assert!(why.contains(part), "{text}: {why}"),
                (read, _) => panic!("{text}: {read:?}"),
            }
        }
    }

    #[test]
    fn lines_are_read_as_json() {
        let text = "{\"finding_id\":\"a\",\"account_id\":\"1\"}\n\n{\"finding_id\":\"b\"}\n";
        let read = from_lines(text).unwrap();
        assert_eq!(read, [finding("a", Some("1"), None), finding("b", None, None)]);
        assert!(from_lines("{}\n{\"id\":1}").unwrap_err().starts_with("line 1"));
        assert!(from_lines("{\"finding_id\":\"a\"}\nx").unwrap_err().starts_with("line 2"));
    }

    #[test]
    fn a_reject_is_wanted_when_it_holds_the_id_and_the_account() {
        let wanted = Wanted::of(
            &[finding("arn:aws:x/finding/1", Some("111122223333"), None), finding("7", None, None)],
            &["memory://archive/gone".to_owned()],
        );
        let holds = |text: &str| wanted.has_reject("memory://archive/a", [text.as_bytes(), b""]);
        assert!(holds(r#"{"Id":"arn:aws:x/finding/1","AwsAccountId":"111122223333"#));
        assert!(holds(r#"{"Id":"arn:aws:x\/finding\/1","AwsAccountId":"111122223333"#));
        assert!(!holds(r#"{"Id":"arn:aws:x/finding/1","AwsAccountId":"444455556666"#));
        assert!(holds(r#"{"Id":"7""#) && !holds(r#"{"Id":"17""#));
        assert!(!holds(r#"{"Id":"arn:aws:x/finding/12","AwsAccountId":"111122223333"#));
        assert!(wanted.has_reject("memory://archive/gone", [b"", b""]));
    }
}
