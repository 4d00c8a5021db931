//! What passes the proxy, and what becomes of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Response};

use super::{Body, Failure, empty, full};

/// What kind of request it is, told by method, key and query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Class {
    /// `HeadBucket`, the first request of a run.
    HeadBucket,
    /// A page of a listing; its key is the prefix asked for.
    List,
    /// `HeadObject`.
    Head,
    /// An object of the archive (or whatever lies in no place of the lake).
    GetObject,
    /// A commit record or a done mark.
    GetLog,
    /// A visible or staged part, or a list of objects.
    GetPart,
    /// `lake.json` or a checkpoint.
    GetState,
    /// A file that is staged.
    PutStaging,
    /// A commit record.
    PutLog,
    /// A done mark.
    PutDone,
    /// A checkpoint.
    PutCheckpoint,
    /// `lake.json`.
    PutLake,
    /// Anything else that is written.
    PutOther,
    /// A copy on the server; its key is the target.
    Copy,
    /// One object is deleted.
    Delete,
    /// Anything else.
    Other,
}

impl Class {
    fn of(method: &Method, key: &str, query: &str, is_copy: bool) -> Self {
        let state = key.split_once("_healthtrail/").map(|(_, below)| below);
        let is_log = state.is_some_and(|below| below.starts_with("log/"));
        let is_part = key.contains("findings/dt=") || key.contains("rejects/dt=");
        match (method.as_str(), state) {
            ("GET", _) if query.contains("list-type=") => Self::List,
            ("HEAD", _) if key.is_empty() => Self::HeadBucket,
            ("HEAD", _) => Self::Head,
            ("GET", _) if is_log => Self::GetLog,
            ("GET", Some(below)) if below.starts_with("staging/") || below.starts_with("obj") => {
                Self::GetPart
            }
            ("GET", Some(_)) => Self::GetState,
            ("GET", None) if is_part => Self::GetPart,
            ("GET", None) if !key.is_empty() => Self::GetObject,
            ("PUT", _) if is_copy => Self::Copy,
            ("PUT", _) if is_log && key.ends_with(".done") => Self::PutDone,
            ("PUT", _) if is_log => Self::PutLog,
            ("PUT", Some(below)) if below.starts_with("staging/") => Self::PutStaging,
            ("PUT", Some(below)) if below.starts_with("checkpoints/") => Self::PutCheckpoint,
            ("PUT", Some("lake.json")) => Self::PutLake,
            ("PUT", _) => Self::PutOther,
            ("DELETE", _) => Self::Delete,
            _ => Self::Other,
        }
    }

    /// Its body goes up, so that is what is broken.
    pub(super) fn is_upload(self) -> bool {
        use Class::{PutCheckpoint, PutDone, PutLake, PutLog, PutOther, PutStaging};
        matches!(self, PutStaging | PutLog | PutDone | PutCheckpoint | PutLake | PutOther)
    }
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Counted from 1.
    pub(crate) number: u64,
    pub(crate) class: Class,
    pub(crate) method: Method,
    pub(crate) bucket: String,
    /// Without the bucket, not escaped; of a listing the prefix.
    pub(crate) key: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
}

impl Asked {
    pub(super) fn of(head: &Parts) -> Self {
        let path = unescape(head.uri.path());
        let path = path.trim_start_matches('/');
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let query = head.uri.query().unwrap_or_default();
        let prefix = query.split('&').find_map(|pair| pair.strip_prefix("prefix="));
        let is_copy = head.headers.contains_key("x-amz-copy-source");
        let class = Class::of(&head.method, key, query, is_copy);
        let key = if class == Class::List { unescape(prefix.unwrap_or("")) } else { key.into() };
        Self {
            number: 0,
            class,
            method: head.method.clone(),
            bucket: bucket.to_owned(),
            key,
            query: query.to_owned(),
            headers: head.headers.clone(),
        }
    }
}

/// What is kept of a request.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Counted from 1, in the order of arrival.
    pub(crate) number: u64,
    pub(crate) class: Class,
    pub(crate) method: String,
    /// As [`Asked::key`].
    pub(crate) key: String,
    pub(crate) query: String,
    /// What it was answered with; `None` while it is under way, and when its connection was cut.
    pub(crate) status: Option<u16>,
    /// A rule acted on it.
    pub(crate) hit: bool,
}

/// A whole answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    /// An error as S3 tells it.
    pub(crate) fn error(status: u16, code: &str) -> Self {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code>\
             <Message>The proxy was told to say so.</Message><RequestId>proxy</RequestId></Error>"
        );
        let reply = Self { status, headers: HeaderMap::new(), body: body.into() };
        reply.header("content-type", "application/xml").header("x-amz-request-id", "proxy")
    }

    /// With this header too.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(super) async fn read(response: Response<Body>) -> Result<Self, Failure> {
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Self { status: head.status.as_u16(), headers: head.headers, body })
    }

    /// With the length of its own body.
    pub(super) fn into_response(mut self, method: &Method) -> Response<Body> {
        self.headers.remove(TRANSFER_ENCODING);
        // A HEAD tells the length of what it does not send, and 204 and 304 have none.
        if method != Method::HEAD && !matches!(self.status, 204 | 304) {
            self.headers.insert(CONTENT_LENGTH, self.body.len().into());
        }
        let body = if method == Method::HEAD { empty() } else { full(self.body.clone()) };
        self.build(body)
    }

    /// With another body, and the length of its own.
    pub(super) fn with_body(mut self, method: &Method, body: Body) -> Response<Body> {
        self.headers.remove(TRANSFER_ENCODING);
        if method != Method::HEAD {
            self.headers.insert(CONTENT_LENGTH, self.body.len().into());
        }
        self.headers.insert(CONNECTION, "close".parse().unwrap());
        self.build(body)
    }

    fn build(self, body: Body) -> Response<Body> {
        let mut response = Response::new(body);
        *response.status_mut() = self.status.try_into().unwrap();
        *response.headers_mut() = self.headers;
        response
    }
}

pub(super) type Hook = Arc<dyn Fn(&Asked) + Send + Sync>;
type AnswerWith = Arc<dyn Fn(&Asked) -> Reply + Send + Sync>;
type Rewrite = Arc<dyn Fn(&Asked, Reply) -> Reply + Send + Sync>;

/// What becomes of a request. Where it says *body*, a `PUT` means the one that goes up to the server, any
/// other the one that comes back.
#[derive(Clone)]
pub(crate) enum Action {
    /// It passes; for rules that only call back.
    Pass,
    /// This instead of the server's answer; the server never sees the request.
    Answer(Reply),
    /// The same, made by a closure, which may ask the server itself.
    AnswerWith(AnswerWith),
    /// The connection is reset; the server never sees the request.
    ResetBefore,
    /// The connection is reset in the middle of the body. Of a `PUT` the server sees nothing; an empty
    /// answer is lost whole.
    ResetInBody,
    /// Half the body comes, of the whole one's length, and then the connection is closed.
    ShortBody,
    /// Half the body comes, and the length is that of the half.
    CutBody,
    /// One bit of the body is turned over.
    FlipBit,
    /// One byte each way in this time, the heads of the answer too.
    Trickle(Duration),
    /// The server does what it is asked; the connection is reset instead of an answer.
    LoseReply,
    /// The server's answer, changed by a closure.
    Rewrite(Rewrite),
}

/// When to act, and how.
#[derive(Clone)]
pub(crate) struct Rule {
    class: Option<Class>,
    key_part: String,
    number: Option<u64>,
    /// The first match that is acted on, from 1.
    nth: u64,
    /// How many matches in a row are.
    times: u64,
    seen: u64,
    hit: Hit,
}

/// What a rule does to a request.
#[derive(Clone)]
pub(super) struct Hit {
    pub(super) action: Action,
    pub(super) before: Option<Hook>,
    pub(super) after: Option<Hook>,
}

impl Rule {
    /// Every request; until more is said the first one, which passes.
    pub(crate) fn any() -> Self {
        let hit = Hit { action: Action::Pass, before: None, after: None };
        Self { class: None, key_part: String::new(), number: None, nth: 1, times: 1, seen: 0, hit }
    }

    /// Requests of this class.
    pub(crate) fn on(class: Class) -> Self {
        Self { class: Some(class), ..Self::any() }
    }

    /// Only those whose key contains this text.
    pub(crate) fn key(mut self, part: &str) -> Self {
        part.clone_into(&mut self.key_part);
        self
    }

    /// Only the request of this number among all.
    pub(crate) fn number(mut self, number: u64) -> Self {
        self.number = Some(number);
        self
    }

    /// From the `nth` match on, counted from 1.
    pub(crate) fn nth(mut self, nth: u64) -> Self {
        self.nth = nth;
        self
    }

    /// So many matches in a row.
    pub(crate) fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }

    /// All matches from the first on.
    pub(crate) fn forever(self) -> Self {
        self.times(u64::MAX)
    }

    /// Does this.
    pub(crate) fn does(mut self, action: Action) -> Self {
        self.hit.action = action;
        self
    }

    /// Answers with this.
    pub(crate) fn answers(self, reply: Reply) -> Self {
        self.does(Action::Answer(reply))
    }

    /// Answers with what the closure gives.
    pub(crate) fn answers_with(
        self,
        answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Self {
        self.does(Action::AnswerWith(Arc::new(answer)))
    }

    /// Changes the server's answer.
    pub(crate) fn rewrites(
        self,
        rewrite: impl Fn(&Asked, Reply) -> Reply + Send + Sync + 'static,
    ) -> Self {
        self.does(Action::Rewrite(Arc::new(rewrite)))
    }

    /// Calls this before the request is passed on (or whatever the rule does); it waits for it.
    pub(crate) fn before(mut self, hook: impl Fn(&Asked) + Send + Sync + 'static) -> Self {
        self.hit.before = Some(Arc::new(hook));
        self
    }

    /// Calls this once the server has answered, before its answer (if any) is passed back.
    pub(crate) fn after(mut self, hook: impl Fn(&Asked) + Send + Sync + 'static) -> Self {
        self.hit.after = Some(Arc::new(hook));
        self
    }

    fn matches(&self, number: u64, asked: &Asked) -> bool {
        self.class.is_none_or(|class| class == asked.class)
            && self.number.is_none_or(|wanted| wanted == number)
            && asked.key.contains(&self.key_part)
    }

    /// Counts a match; whether it is due.
    fn count(&mut self) -> bool {
        self.seen += 1;
        self.seen >= self.nth && self.seen - self.nth < self.times
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Rule");
        shown.field("class", &self.class).field("key_part", &self.key_part);
        shown.field("number", &self.number).field("nth", &self.nth).field("times", &self.times);
        shown.finish_non_exhaustive()
    }
}

/// The rules and what came so far.
#[derive(Debug, Default)]
pub(super) struct Rules {
    rules: Vec<Rule>,
    log: Vec<Seen>,
}

impl Rules {
    pub(super) fn add(&mut self, rule: Rule) {
        self.rules.push(rule);
    }

    pub(super) fn clear(&mut self) {
        self.rules.clear();
    }

    pub(super) fn log(&self) -> &[Seen] {
        &self.log
    }

    /// Numbers a request, and says what becomes of it.
    pub(super) fn arrive(&mut self, asked: &Asked) -> (u64, Option<Hit>) {
        let number = self.log.len() as u64 + 1;
        let mut hit = None;
        for rule in &mut self.rules {
            if rule.matches(number, asked) && rule.count() && hit.is_none() {
                hit = Some(rule.hit.clone());
            }
        }
        self.log.push(Seen {
            number,
            class: asked.class,
            method: asked.method.to_string(),
            key: asked.key.clone(),
            query: asked.query.clone(),
            status: None,
            hit: hit.is_some(),
        });
        (number, hit)
    }

    pub(super) fn answered(&mut self, number: u64, status: u16) {
        let index = usize::try_from(number - 1).unwrap();
        self.log[index].status = Some(status);
    }
}

/// `%20` and its like as the bytes they stand for.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        let escaped = match rest {
            [b'%', high, low, ..] => std::str::from_utf8(&[*high, *low])
                .ok()
                .and_then(|digits| u8::from_str_radix(digits, 16).ok()),
            _ => None,
        };
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &rest[3..] } else { others };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
