//! A strict reader of JSON's grammar, one byte at a time, that never gives up.
//!
//! In: bytes with their offsets, and for each quote whether a backslash stands before it. Out: which
//! objects and arrays are open, which closed as valid JSON, and which died of what. When the grammar
//! is broken, everything that is open dies, and the next bracket outside a string begins anew.
//!
//! Whether a bracket lies inside a string depends on how many quotes are before it; where one is
//! missing, every reader that began before it is wrong ever after. A byte stream has only two such
//! readings, so two lanes over the same bytes see every value that a reader could find.
//! What limits it: [`DEPTH_MAX`] open values, and a bounded memory of those that died.

use std::collections::VecDeque;

use crate::archive::split::window::Window;
use crate::finding::reject::Reason;

/// How deep values may nest, themselves included: what the JSON parser allows.
pub(super) const DEPTH_MAX: usize = 127;

/// A value that died this soon after its start is read again when somebody asks.
const SHORT_LIFE_BYTES: u64 = 64;

/// How many deaths are remembered; of others the value is read again when somebody asks.
const DEATHS_MAX: usize = 1 << 20;

/// Why a value cannot be JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Member,
    Colon,
    Value,
    CommaOrEnd,
    Escape,
    Control,
    TooDeep,
    TooLarge,
    Cut,
}

/// What became of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is valid JSON and ends before this offset.
    Closed(u64),
    /// It is none; found out at this offset.
    Dead(Fault, u64),
}

/// Which members that tell a wrapper an object has.
#[derive(Debug, Clone, Copy, Default)]
struct Marks(u8);

impl Marks {
    const DETAIL_TYPE: Marks = Marks(1);
    const DETAIL: Marks = Marks(1 << 1);
    const MESSAGE: Marks = Marks(1 << 2);
    const NOTIFICATION: Marks = Marks(1 << 3);
    const TOPIC: Marks = Marks(1 << 4);
    const RAW_DATA: Marks = Marks(1 << 5);
    const FAILURE: Marks = Marks(1 << 6);

    /// The mark that a member of this name makes, and the first byte its value must have (0 for any).
    fn of(name: &[u8]) -> Option<(Marks, u8)> {
        Some(match name {
            b"detail-type" => (Marks::DETAIL_TYPE, b'"'),
            b"detail" => (Marks::DETAIL, b'{'),
            b"Message" => (Marks::MESSAGE, b'"'),
            b"Type" => (Marks::NOTIFICATION, b'"'),
            b"TopicArn" => (Marks::TOPIC, b'"'),
            b"rawData" => (Marks::RAW_DATA, b'"'),
            b"attemptsMade"
            | b"arrivalTimestamp"
            | b"attemptEndingTimestamp"
            | b"errorCode"
            | b"lastErrorCode" => (Marks::FAILURE, 0),
            _ => return None,
        })
    }

    fn has(self, mark: Marks) -> bool {
        self.0 & mark.0 != 0
    }

    /// Whether the object may begin anew inside a broken value: an EventBridge event, an SNS
    /// notification, or a Firehose error record. `recognize` holds the same rules.
    fn is_restart(self) -> bool {
        self.has(Marks::DETAIL_TYPE) && self.has(Marks::DETAIL)
            || self.has(Marks::MESSAGE) && (self.has(Marks::NOTIFICATION) || self.has(Marks::TOPIC))
            || self.has(Marks::RAW_DATA) && self.has(Marks::FAILURE)
    }
}

/// An open object or array.
#[derive(Debug, Clone, Copy)]
struct Open {
    start: u64,
    is_object: bool,
    marks: Marks,
}

/// A value that died.
#[derive(Debug, Clone, Copy)]
struct Death {
    start: u64,
    after: u32,
    fault: Fault,
}

/// What the grammar allows next.
#[derive(Debug, Clone, Copy)]
enum Expect {
    /// Nothing is open.
    Idle,
    MemberOrEnd,
    Member,
    Colon,
    Value,
    ValueOrEnd,
    CommaOrEnd,
    /// The rest of `true`, `false` or `null`.
    Word(&'static [u8]),
    Number(Number),
}

/// How far a number is read.
#[derive(Debug, Clone, Copy)]
enum Number {
    Minus,
    Zero,
    Integer,
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
}

/// One reading of the bytes.
#[derive(Debug)]
pub(super) struct Lane {
    bytes_max: u64,
    in_string: bool,
    string_start: u64,
    string_is_name: bool,
    hex_left: u8,
    expect: Expect,
    open: VecDeque<Open>,
    /// The mark that the member whose value comes next would make.
    pending: Option<(Marks, u8)>,
    deaths: VecDeque<Death>,
    keeps_arrays: bool,
    watch: Option<u64>,
    fate: Option<Fate>,
}

impl Lane {
    /// A lane before the byte at which it begins inside a string or outside.
    pub(super) fn new(bytes_max: u64, in_string: bool) -> Self {
        Self {
            bytes_max,
            in_string,
            string_start: 0,
            string_is_name: false,
            hex_left: 0,
            expect: Expect::Idle,
            open: VecDeque::new(),
            pending: None,
            deaths: VecDeque::new(),
            keeps_arrays: false,
            watch: None,
            fate: None,
        }
    }

    /// Asks for the fate of the value that starts at `start`, which is not read yet.
    pub(super) fn watch(&mut self, start: u64) {
        self.watch = Some(start);
    }

    /// The fate of the watched value, once it is known.
    pub(super) fn fate(&self) -> Option<Fate> {
        self.fate
    }

    /// Whether deaths of arrays are to be remembered.
    pub(super) fn keep_arrays(&mut self, keeps_arrays: bool) {
        self.keeps_arrays = keeps_arrays;
    }

    /// Whether the value that starts at `start` is open.
    pub(super) fn is_open(&self, start: u64) -> bool {
        self.open.binary_search_by_key(&start, |open| open.start).is_ok()
    }

    /// The first open object that starts after `start`.
    pub(super) fn first_open_object(&self, start: u64) -> Option<u64> {
        let after = self.open.iter().find(|open| open.is_object && open.start > start)?;
        Some(after.start)
    }

    /// What the value that starts at `start` died of, if it did and is remembered.
    pub(super) fn death(&self, start: u64) -> Option<(Fault, u64)> {
        let index = self.deaths.binary_search_by_key(&start, |death| death.start).ok()?;
        let death = self.deaths.get(index)?;
        Some((death.fault, start + u64::from(death.after)))
    }

    /// Forgets what died before `floor`.
    pub(super) fn prune(&mut self, floor: u64) {
        while self.deaths.front().is_some_and(|death| death.start < floor) {
            self.deaths.pop_front();
        }
    }

    /// Lets die what is longer than allowed, seen from `at`.
    pub(super) fn age(&mut self, at: u64) {
        while let Some(oldest) = self.open.front().copied()
            && at - oldest.start > self.bytes_max
        {
            self.open.pop_front();
            self.bury(oldest, oldest.start + self.bytes_max, Fault::TooLarge);
        }
        if self.open.is_empty() {
            self.expect = Expect::Idle;
        }
    }

    /// Lets everything die because the bytes end at `at`.
    pub(super) fn finish(&mut self, at: u64) {
        self.die(at, Fault::Cut);
    }

    /// Takes the next byte; `escaped` says that an unpaired backslash stands before it. Returns the
    /// start of an object that closed with it and may begin anew.
    pub(super) fn step(
        &mut self,
        at: u64,
        byte: u8,
        escaped: bool,
        window: &Window,
    ) -> Option<u64> {
        let is_alive = !self.open.is_empty();
        let is_quote = byte == b'"' && !escaped;
        if self.in_string {
            if is_quote {
                self.in_string = false;
            }
            if is_alive {
                self.string_byte(at, byte, escaped, window);
            }
            return None;
        }
        if is_quote {
            self.in_string = true;
            if is_alive {
                self.begin_string(at);
            }
            return None;
        }
        if is_alive {
            let closed = if escaped && matches!(byte, b'"' | b'\\') {
                Err(Fault::Value)
            } else {
                self.structure(at, byte)
            };
            match closed {
                Ok(restart) => return restart,
                Err(fault) => self.die(at, fault),
            }
        }
        // Whatever was open is dead, so that this may be the start of something.
        if self.open.is_empty() {
            match byte {
                b'{' => self.push(at, true),
                b'[' => self.push(at, false),
                _ => {}
            }
        }
        None
    }

    fn string_byte(&mut self, at: u64, byte: u8, escaped: bool, window: &Window) {
        if escaped {
            match byte {
                b'u' => self.hex_left = 4,
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                _ => self.die(at, Fault::Escape),
            }
        } else if self.hex_left > 0 {
            self.hex_left -= 1;
            if !byte.is_ascii_hexdigit() {
                self.die(at, Fault::Escape);
            }
        } else if byte == b'"' {
            let text = window.slice(self.string_start..at);
            if self.string_is_name {
                self.pending = Marks::of(text);
                self.expect = Expect::Colon;
            } else {
                if let Some((mark, _)) = self.pending.take()
                    && let Some(open) = self.open.back_mut()
                    && (mark.0 != Marks::NOTIFICATION.0 || text == b"Notification")
                {
                    open.marks.0 |= mark.0;
                }
                self.expect = Expect::CommaOrEnd;
            }
        } else if byte < b' ' {
            self.die(at, Fault::Control);
        }
    }

    fn begin_string(&mut self, at: u64) {
        self.string_start = at + 1;
        self.hex_left = 0;
        match self.expect {
            Expect::MemberOrEnd | Expect::Member => self.string_is_name = true,
            Expect::Value | Expect::ValueOrEnd => {
                self.string_is_name = false;
                self.pending = self.pending.filter(|(_, first)| matches!(first, 0 | b'"'));
            }
            Expect::Colon => self.die(at, Fault::Colon),
            Expect::Word(_) => self.die(at, Fault::Value),
            Expect::Idle | Expect::CommaOrEnd | Expect::Number(_) => {
                self.die(at, Fault::CommaOrEnd);
            }
        }
    }

    /// Takes a byte outside strings while something is open.
    fn structure(&mut self, at: u64, byte: u8) -> Result<Option<u64>, Fault> {
        match self.expect {
            Expect::Word(rest) => {
                let (first, rest) = rest.split_first().ok_or(Fault::Value)?;
                if *first != byte {
                    return Err(Fault::Value);
                }
                self.expect = if rest.is_empty() { Expect::CommaOrEnd } else { Expect::Word(rest) };
                return Ok(None);
            }
            Expect::Number(number) => match number.next(byte)? {
                Some(number) => {
                    self.expect = Expect::Number(number);
                    return Ok(None);
                }
                None => self.expect = Expect::CommaOrEnd,
            },
            _ => {}
        }
        if matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
            return Ok(None);
        }
        let is_object = self.open.back().is_some_and(|open| open.is_object);
        match (self.expect, byte) {
            (Expect::MemberOrEnd, b'}') | (Expect::ValueOrEnd, b']') => Ok(self.close(at)),
            (Expect::MemberOrEnd | Expect::Member, _) => Err(Fault::Member),
            (Expect::Colon, b':') => {
                self.expect = Expect::Value;
                Ok(None)
            }
            (Expect::Colon, _) => Err(Fault::Colon),
            (Expect::CommaOrEnd, b',') => {
                self.expect = if is_object { Expect::Member } else { Expect::Value };
                Ok(None)
            }
            (Expect::CommaOrEnd, b'}') if is_object => Ok(self.close(at)),
            (Expect::CommaOrEnd, b']') if !is_object => Ok(self.close(at)),
            (Expect::Value | Expect::ValueOrEnd, _) => self.begin_value(at, byte).map(|()| None),
            _ => Err(Fault::CommaOrEnd),
        }
    }

    fn begin_value(&mut self, at: u64, byte: u8) -> Result<(), Fault> {
        if let Some((mark, first)) = self.pending.take()
            && (first == 0 || first == byte)
            && let Some(open) = self.open.back_mut()
        {
            open.marks.0 |= mark.0;
        }
        self.expect = match byte {
            b'{' | b'[' => {
                self.push(at, byte == b'{');
                return Ok(());
            }
            b't' => Expect::Word(b"rue"),
            b'f' => Expect::Word(b"alse"),
            b'n' => Expect::Word(b"ull"),
            b'-' => Expect::Number(Number::Minus),
            b'0' => Expect::Number(Number::Zero),
            b'1'..=b'9' => Expect::Number(Number::Integer),
            _ => return Err(Fault::Value),
        };
        Ok(())
    }

    fn push(&mut self, start: u64, is_object: bool) {
        self.open.push_back(Open { start, is_object, marks: Marks::default() });
        self.expect = if is_object { Expect::MemberOrEnd } else { Expect::ValueOrEnd };
        self.pending = None;
        if self.open.len() > DEPTH_MAX
            && let Some(outermost) = self.open.pop_front()
        {
            self.bury(outermost, start, Fault::TooDeep);
        }
    }

    fn close(&mut self, at: u64) -> Option<u64> {
        self.age(at + 1);
        let closed = self.open.pop_back()?;
        let is_idle = self.open.is_empty();
        self.expect = if is_idle { Expect::Idle } else { Expect::CommaOrEnd };
        if self.watch == Some(closed.start) {
            self.fate = Some(Fate::Closed(at + 1));
        }
        (closed.is_object && closed.marks.is_restart()).then_some(closed.start)
    }

    fn die(&mut self, at: u64, fault: Fault) {
        while let Some(open) = self.open.pop_front() {
            if at - open.start >= self.bytes_max {
                self.bury(open, open.start + self.bytes_max, Fault::TooLarge);
            } else {
                self.bury(open, at, fault);
            }
        }
        self.expect = Expect::Idle;
        self.pending = None;
    }

    fn bury(&mut self, open: Open, at: u64, fault: Fault) {
        if self.watch == Some(open.start) {
            self.fate = Some(Fate::Dead(fault, at));
        }
        let life = at - open.start;
        if (open.is_object || self.keeps_arrays)
            && life > SHORT_LIFE_BYTES
            && self.deaths.len() < DEATHS_MAX
            && let Ok(after) = u32::try_from(life)
        {
            self.deaths.push_back(Death { start: open.start, after, fault });
        }
    }
}

impl Number {
    /// The state after `byte`; `None` when the number is complete and the byte is not of it.
    fn next(self, byte: u8) -> Result<Option<Number>, Fault> {
        use Number::{
            Exponent, ExponentDigits, ExponentSign, Fraction, Integer, Minus, Point, Zero,
        };
        Ok(Some(match (self, byte) {
            (Minus, b'0') => Zero,
            (Minus, b'1'..=b'9') | (Integer, b'0'..=b'9') => Integer,
            (Zero | Integer, b'.') => Point,
            (Point | Fraction, b'0'..=b'9') => Fraction,
            (Zero | Integer | Fraction, b'e' | b'E') => Exponent,
            (Exponent, b'+' | b'-') => ExponentSign,
            (Exponent | ExponentSign | ExponentDigits, b'0'..=b'9') => ExponentDigits,
            (Zero | Integer | Fraction | ExponentDigits, _) => return Ok(None),
            (Minus | Point | Exponent | ExponentSign, _) => return Err(Fault::Value),
        }))
    }
}

impl Fault {
    /// The reason and the detail of a reject whose value starts at `start` and died at `at`.
    pub(super) fn explain(self, start: u64, at: u64, bytes_max: u64) -> (Reason, String) {
        let expected = match self {
            Fault::Member => "a member name",
            Fault::Colon => "`:`",
            Fault::Value => "a value",
            Fault::CommaOrEnd => "`,` or the end of its object or array",
            Fault::Escape => "a valid escape",
            Fault::Control => "no raw control character in a string",
            Fault::TooDeep => {
                let detail = format!("the document nests deeper than {DEPTH_MAX} levels");
                return (Reason::TooDeep, detail);
            }
            Fault::TooLarge => {
                let detail = format!(
                    "the document has no end within {bytes_max} bytes (`--document-bytes-max`)"
                );
                return (Reason::DocumentTooLarge, detail);
            }
            Fault::Cut => {
                return (Reason::CutDocument, "the object ends inside the document".to_owned());
            }
        };
        (Reason::NotJson, format!("expected {expected} at byte {} of the document", at - start))
    }
}
