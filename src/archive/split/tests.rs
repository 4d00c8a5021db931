//! Tables of framings and faults, laws over any bytes, and work on hostile input.

use proptest::prelude::*;

use super::*;
use crate::finding::json::Arena;

const EVENT: &str = r#"{"detail-type":"t","detail":{"a":"}{"}}"#;
const SNS: &str = r#"{"Type":"Notification","Message":"m"}"#;
const RECORD: &str = r#"{"attemptsMade":1,"rawData":"e30="}"#;

#[derive(Debug, PartialEq, Eq)]
struct Seen {
    range: Range<u64>,
    /// Canonical text, or the reason and detail.
    what: String,
    is_document: bool,
    repairs: u64,
    bytes: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    pieces: Vec<Seen>,
    between: u64,
}

fn look(piece: Piece<'_>) -> Seen {
    match piece {
        Piece::Document { range, parsed, .. } => Seen {
            range,
            what: parsed.json.to_canonical(),
            is_document: true,
            repairs: parsed.repairs,
            bytes: Vec::new(),
        },
        Piece::Reject { range, reason, detail, bytes } => Seen {
            range,
            what: format!("{}: {detail}", reason.name()),
            is_document: false,
            repairs: 0,
            bytes: bytes.to_vec(),
        },
    }
}

fn limits(document_bytes_max: usize) -> SplitLimits {
    SplitLimits { document_bytes_max, counts: CountLimits::DEFAULT }
}

fn split_pieces<'b>(
    pieces: impl IntoIterator<Item = &'b [u8]>,
    document_bytes_max: usize,
) -> (Outcome, u64) {
    let mut splitter = Splitter::new(limits(document_bytes_max));
    let mut seen = Vec::new();
    for piece in pieces {
        splitter.push(piece);
        while let Some(piece) = splitter.next(look) {
            seen.push(piece);
        }
    }
    splitter.finish();
    while let Some(piece) = splitter.next(look) {
        seen.push(piece);
    }
    let outcome = Outcome { pieces: seen, between: splitter.between_documents_bytes() };
    (outcome, splitter.work_bytes())
}

fn split_all(bytes: &[u8]) -> Outcome {
    split_pieces([bytes], 1 << 20).0
}

/// `D` and `R` with what they hold, then the count of bytes between.
fn summary(bytes: &[u8]) -> String {
    let outcome = split_all(bytes);
    let mut text = String::new();
    for piece in &outcome.pieces {
        let start = usize::try_from(piece.range.start).unwrap();
        let end = usize::try_from(piece.range.end).unwrap();
        let raw = String::from_utf8_lossy(&bytes[start..end]);
        let reason = piece.what.split(':').next().unwrap();
        if piece.is_document {
            text.push_str(&["D ", &raw, " | "].concat());
        } else {
            text.push_str(&["R ", reason, " ", &raw, " | "].concat());
        }
    }
    text + &outcome.between.to_string()
}

#[test]
fn every_framing_gives_the_same_documents() {
    let (one, two) = (r#"{"a":"}{\n\"["}"#, r#"{"b":[{"c":1}]}"#);
    let table = [
        (format!("{one}{two}"), 0),
        (format!("{one}\n{two}\n"), 2),
        (format!("{one}\r\n{two}\r\n"), 4),
        (format!("{one}\\n{two}\\n"), 4),
        (format!("{one}\\r\\n{two}\\r\\n"), 8),
        (format!("{one},{two}"), 1),
        (format!("\u{feff}{one}\u{feff}{two}"), 6),
        (format!("[{one},{two}]"), 3),
        (format!(" [ {one} , {two} ] "), 9),
        (format!("[{one}][{two}]"), 4),
        (format!("[{one}]\n{two}"), 3),
        (format!("[]{one}[[]{two}"), 0),
    ];
    for (text, between) in table {
        if text.contains("[[]") {
            // The inner array of an outer one is a document of its own.
            assert_eq!(summary(text.as_bytes()), format!("D {one} | D [] | D {two} | 3"));
            continue;
        }
        let expected = format!("D {one} | D {two} | {between}");
        assert_eq!(summary(text.as_bytes()), expected, "{text}");
    }
}

#[test]
fn pretty_printed_documents_are_whole() {
    let text = "{\n  \"a\": [\n    {\n    }\n  ]\n}\n{\n}\n";
    assert_eq!(summary(text.as_bytes()), "D {\n  \"a\": [\n    {\n    }\n  ]\n} | D {\n} | 2");
}

#[test]
fn what_is_good_around_bad_bytes_survives() {
    let table: [(String, String); 20] = [
        (String::new(), "0".into()),
        ("  \n".into(), "3".into()),
        (
            "garbage\n{\"a\":1} tail".into(),
            "R not_json garbage | D {\"a\":1} | R not_json tail | 2".into(),
        ),
        (
            "1 \"two\" true, null {\"a\":1}".into(),
            "R scalars 1 \"two\" true, null | D {\"a\":1} | 1".into(),
        ),
        ("[1,2,{\"a\":1},3]".into(), "R scalars 1,2 | D {\"a\":1} | R scalars 3 | 4".into()),
        ("1 x".into(), "R not_json 1 x | 0".into()),
        ("\"{\\\"a\\\":{}}\"".into(), "R scalars \"{\\\"a\\\":{}}\" | 0".into()),
        ("{\"a\":tru}{\"b\":1}".into(), "R not_json {\"a\":tru} | D {\"b\":1} | 0".into()),
        ("{\"a\":1]{\"b\":1}".into(), "R not_json {\"a\":1] | D {\"b\":1} | 0".into()),
        (
            "{\"a\":[{\"b\":1}x]}{\"c\":1}".into(),
            "R not_json {\"a\":[{\"b\":1}x]} | D {\"c\":1} | 0".into(),
        ),
        ("{\"a\":1".into(), "R cut_document {\"a\":1 | 0".into()),
        (
            format!("{{\"a\":\"x}}{EVENT}{EVENT}"),
            format!("R not_json {{\"a\":\"x}} | D {EVENT} | D {EVENT} | 0"),
        ),
        (format!("{{\"a\":{SNS}"), format!("R cut_document {{\"a\": | D {SNS} | 0")),
        (
            format!("{{\"a\":1,{RECORD}{{\"b\":2}}"),
            format!("R not_json {{\"a\":1, | D {RECORD} | D {{\"b\":2}} | 0"),
        ),
        // A whole document may hold one of the three; a broken one does not keep it.
        (format!("{{\"a\":{EVENT}}}"), format!("D {{\"a\":{EVENT}}} | 0")),
        (
            format!("{{\"a\":{EVENT},}}"),
            format!("R not_json {{\"a\": | D {EVENT} | R not_json }} | 1"),
        ),
        // The outer of two that are both good wins, the inner where the outer is broken.
        (
            format!("{{x{{\"detail-type\":\"\",\"detail\":{{\"a\":{EVENT}}}}}}}"),
            format!(
                "R not_json {{x | D {{\"detail-type\":\"\",\"detail\":{{\"a\":{EVENT}}}}} | R not_json }} | 0"
            ),
        ),
        (
            format!("{{x{{\"detail-type\":\"\",\"detail\":{{\"a\":{EVENT},}}}}}}"),
            format!(
                "R not_json {{x{{\"detail-type\":\"\",\"detail\":{{\"a\": | D {EVENT} | R not_json }}}}}} | 1"
            ),
        ),
        // An escape cut in two hides nothing.
        (format!("{{\"a\":\"x\\{EVENT}"), format!("R not_json {{\"a\":\"x\\ | D {EVENT} | 0")),
        ("]}\0".into(), "R not_json ]}\0 | 0".into()),
    ];
    for (text, expected) in table {
        assert_eq!(summary(text.as_bytes()), expected, "{text}");
    }
}

#[test]
fn a_finding_inside_a_broken_event_stays_in_the_reject() {
    let broken = r#"{"detail-type":"t","detail":{"findings":[{"Id":"x","ProductArn":"y"}],}}"#;
    let text = format!("{broken} {{\"a\":1}}");
    assert_eq!(summary(text.as_bytes()), format!("R not_json {broken} | D {{\"a\":1}} | 1"));
}

#[test]
fn nesting_beyond_the_limit_is_one_reject() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        for (levels, is_document) in [(127, true), (128, false), (5_000, false)] {
            let inner = if open == "[" { "" } else { "1" };
            let value = format!("{}{inner}{}", open.repeat(levels), close.repeat(levels));
            let outcome = split_all(format!("[{value}]{{\"b\":1}}").as_bytes());
            let what: Vec<_> = outcome.pieces.iter().map(|piece| piece.is_document).collect();
            assert_eq!(what, [is_document, true], "{open} {levels}");
            assert_eq!(outcome.pieces[0].range, 1..1 + value.len() as u64);
            if !is_document {
                assert!(outcome.pieces[0].what.starts_with("too_deep"), "{:?}", outcome.pieces);
            }
        }
    }
}

#[test]
fn a_document_beyond_the_limit_is_a_reject_and_the_next_is_not() {
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(100));
    let text = format!("{long}{{\"b\":1}}");
    let exact = long.len();
    for (document_bytes_max, reason) in [(exact, "{"), (exact - 1, "document_too_large")] {
        let (outcome, _) = split_pieces([text.as_bytes()], document_bytes_max);
        assert!(outcome.pieces[0].what.starts_with(reason), "{outcome:?}");
        assert_eq!(outcome.pieces[0].range, 0..exact as u64);
        assert_eq!(outcome.pieces[1].what, "{\"b\":1}");
    }
}

#[test]
fn one_missing_quote_loses_no_later_event_and_little_memory() {
    let mut text = br#"{"detail-type":"t,"detail":{"a":1}}"#.to_vec();
    let broken = text.len() as u64;
    let count = 20_000;
    for _ in 0..count {
        text.extend_from_slice(EVENT.as_bytes());
    }
    let document_bytes_max = 4 << 10;
    let mut splitter = Splitter::new(limits(document_bytes_max));
    let (mut documents, mut rejects, mut longest) = (0, Vec::new(), 0);
    for piece in text.chunks(1 << 10) {
        splitter.push(piece);
        while let Some(piece) = splitter.next(look) {
            if piece.is_document {
                documents += 1;
            } else {
                rejects.push(piece.range);
            }
        }
        longest = longest.max(splitter.room().len());
    }
    assert_eq!((documents, rejects.as_slice()), (count, std::slice::from_ref(&(0..broken))));
    assert!(longest <= 4 * document_bytes_max, "{longest}");
    assert!(splitter.work_bytes() <= 4 * text.len() as u64);
}

#[test]
fn a_reject_keeps_its_first_bytes_only() {
    for head in ["{\"a\":\"", "garbage "] {
        let mut text = head.as_bytes().to_vec();
        text.resize(3 << 20, b'x');
        let (outcome, _) = split_pieces(text.chunks(100_000), 64 << 10);
        assert_eq!(outcome.pieces.len(), 1);
        assert_eq!(outcome.pieces[0].range, 0..3 << 20);
        assert_eq!(outcome.pieces[0].bytes, text[..REJECT_BYTES_MAX]);
    }
}

#[test]
fn hostile_bytes_cost_a_few_looks_each() {
    let deep_event = format!("{{\"a\":[{EVENT}");
    let nested = r#"{"detail-type":"","detail":{"a":"#;
    let padded = format!("{{\"a\":[{EVENT},\"{}\",", "x".repeat(2_000));
    let patterns: [&str; 24] = [
        "{\"id\":",
        "{",
        "[",
        "{\"a\":[",
        "{\"",
        "\"",
        "\\",
        "{ ",
        "}",
        "]",
        "[t",
        "{\"a\"x",
        "{x}",
        "{x\"{\"a}",
        "{x\":1,\"a}",
        "{x\":{\"a}",
        "{\"k{\":1,",
        "{\"a\":{},",
        "x{\"a\":1}",
        &deep_event,
        &format!("{deep_event},"),
        &format!("[{EVENT},"),
        nested,
        &padded,
    ];
    let document_bytes_max = 16 << 10;
    for prefix in ["", "[", "{x", "{\"a\":\""] {
        for suffix in ["", "}", "\"", "\u{1}"] {
            for pattern in patterns {
                let mut text = prefix.to_owned();
                while text.len() < 60_000 {
                    text += pattern;
                }
                text += suffix;
                let (_, work) = split_pieces([text.as_bytes()], document_bytes_max);
                let looks = work / text.len() as u64;
                assert!(looks <= 8, "{looks} looks: {prefix} {pattern:.40} {suffix}");
            }
        }
    }
}

/// The rules, told once more without any thought of time.
fn reference(bytes: &[u8], document_bytes_max: usize) -> Vec<(Range<usize>, bool)> {
    let mut pieces = Vec::new();
    let (mut at, mut in_array) = (0, false);
    while at < bytes.len() {
        match bytes[at] {
            b' ' | b'\t' | b'\n' | b'\r' | b',' => at += 1,
            b'\\' if matches!(bytes.get(at + 1), Some(b'n' | b'r')) => at += 2,
            b'[' if !in_array => (at, in_array) = (at + 1, true),
            b']' if in_array => (at, in_array) = (at + 1, false),
            b'{' | b'[' => {
                let (end, is_document) = reference_value(bytes, at, document_bytes_max);
                pieces.push((at..end, is_document));
                at = end;
            }
            _ => {
                let (end, next) = reference_junk(bytes, at, in_array);
                pieces.push((at..end, false));
                at = next;
            }
        }
    }
    pieces
}

fn reference_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut bounds = Bounds::new(start as u64);
    let mut window = Window::default();
    window.room(0).extend_from_slice(bytes);
    bounds.run(&window, bytes.len() as u64).map(|end| usize::try_from(end).unwrap())
}

fn reference_json(bytes: &[u8], start: usize, document_bytes_max: usize) -> Option<usize> {
    let end = reference_end(bytes, start)?;
    let is_json = parse(&bytes[start..end], &mut String::new(), &Arena::default()).is_ok();
    (end - start <= document_bytes_max && is_json).then_some(end)
}

fn reference_value(bytes: &[u8], start: usize, document_bytes_max: usize) -> (usize, bool) {
    if let Some(end) = reference_json(bytes, start, document_bytes_max) {
        return (end, true);
    }
    let end = reference_end(bytes, start).unwrap_or(bytes.len());
    let restart = (start + 1..end).find(|at| {
        bytes[*at] == b'{'
            && reference_json(bytes, *at, document_bytes_max).is_some_and(|end| {
                let (mut repaired, arena) = (String::new(), Arena::default());
                let parsed = parse(&bytes[*at..end], &mut repaired, &arena).unwrap();
                crate::archive::recognize::is_restart(&parsed.json)
            })
    });
    (restart.unwrap_or(end), false)
}

fn reference_junk(bytes: &[u8], start: usize, in_array: bool) -> (usize, usize) {
    let (mut at, mut end) = (start, start);
    while at < bytes.len() {
        match bytes[at] {
            b' ' | b'\t' | b'\n' | b'\r' | b',' => at += 1,
            b'\\' if matches!(bytes.get(at + 1), Some(b'n' | b'r')) => at += 2,
            b']' if in_array => break,
            b'{' if bytes[at + 1..].trim_ascii_start().starts_with(b"\"") => break,
            _ => (at, end) = (at + 1, at + 1),
        }
    }
    (end, at)
}

fn token() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(vec![
            "{", "}", "[", "]", "\"", ":", ",", "\\", "\\\"", "\n", " ", "1", "-", "0.5e1", "true",
            "nul", "a", "\\n", "\\u00e9", "\\ud800", "\u{1}", "\u{e9}", "{\"a\":", "\"a\"", "{}",
        ]).prop_map(str::to_owned),
        2 => prop::sample::select(vec![
            "\"detail-type\":\"t\"", "\"detail\":{", "\"Message\":\"m\"", "\"Type\":\"Notification\"",
            "\"rawData\":\"\"", "\"errorCode\":", "\"TopicArn\":\"\"",
        ]).prop_map(str::to_owned),
        1 => prop::sample::select(vec![EVENT, SNS, RECORD]).prop_map(str::to_owned),
    ]
}

fn soup() -> impl Strategy<Value = Vec<u8>> {
    (
        prop::collection::vec(token(), 0..40),
        prop::collection::vec((any::<usize>(), any::<u8>()), 0..2),
    )
        .prop_map(|(tokens, flips)| {
            let mut bytes = tokens.concat().into_bytes();
            for (at, byte) in flips {
                if !bytes.is_empty() {
                    let at = at % bytes.len();
                    bytes[at] = byte;
                }
            }
            bytes
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn pieces_follow_the_rules(bytes in soup(), document_bytes_max in 8_usize..200) {
        let (outcome, _) = split_pieces([bytes.as_slice()], document_bytes_max);
        let found: Vec<_> = outcome
            .pieces
            .iter()
            .map(|piece| {
                let range = usize::try_from(piece.range.start).unwrap()
                    ..usize::try_from(piece.range.end).unwrap();
                (range, piece.is_document)
            })
            .collect();
        prop_assume!(!bytes.starts_with(b"\xef") && !bytes.contains(&0xbb));
        prop_assert_eq!(found, reference(&bytes, document_bytes_max));
    }

    #[test]
    fn no_cut_of_the_bytes_changes_anything(
        bytes in soup(),
        cuts in prop::collection::vec(1_usize..30, 1..8),
        document_bytes_max in 8_usize..200,
    ) {
        let (whole, _) = split_pieces([bytes.as_slice()], document_bytes_max);
        let mut rest = bytes.as_slice();
        let mut pieces = Vec::new();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, tail) = rest.split_at(rest.len().min(*cut));
            pieces.push(piece);
            rest = tail;
        }
        let (cut, _) = split_pieces(pieces, document_bytes_max);
        prop_assert_eq!(whole, cut);
    }

    #[test]
    fn every_byte_is_in_one_place(bytes in soup()) {
        let outcome = split_all(&bytes);
        let mut at = 0;
        let mut inside = 0;
        for piece in &outcome.pieces {
            prop_assert!(at <= piece.range.start && piece.range.start < piece.range.end);
            at = piece.range.end;
            inside += piece.range.end - piece.range.start;
            if !piece.is_document {
                let start = usize::try_from(piece.range.start).unwrap();
                let end = usize::try_from(piece.range.end).unwrap();
                prop_assert_eq!(&piece.bytes, &bytes[start..end]);
            }
        }
        prop_assert_eq!(inside + outcome.between, bytes.len() as u64);
    }

    #[test]
    fn the_strict_reader_and_the_parser_agree(bytes in soup(), levels in 120_usize..132) {
        let text = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        for bytes in [bytes.as_slice(), text.as_bytes()] {
            for start in 0..bytes.len() {
                if matches!(bytes[start], b'{' | b'[') {
                    let mut window = Window::default();
                    window.room(0).extend_from_slice(bytes);
                    let (fate, _) = recover::read_again(&window, start as u64, 1 << 20);
                    let end = reference_json(bytes, start, 1 << 20);
                    let closed = end.map(|end| Fate::Closed(end as u64));
                    let found = fate.filter(|fate| matches!(fate, Fate::Closed(_)));
                    prop_assert_eq!(found, closed, "{}", start);
                }
            }
        }
    }

    #[test]
    fn joined_documents_come_back(
        values in prop::collection::vec("[a-z{}\\[\\],\":\\\\ \n\u{e9}]{0,20}", 1..8),
        between in prop::sample::select(vec!["", "\n", "\r\n", "\\n", ",", " \t", "\u{feff}"]),
        in_array in any::<bool>(),
    ) {
        let documents: Vec<String> = values
            .iter()
            .map(|text| {
                let mut document = "{\"v\":".to_owned();
                crate::finding::json::write_string(text, &mut document);
                document + "}"
            })
            .collect();
        let joined = documents.join(between);
        let joined = if in_array { format!("[{joined}]") } else { joined };
        let outcome = split_all(joined.as_bytes());
        let found: Vec<_> = outcome.pieces.iter().map(|piece| piece.what.clone()).collect();
        prop_assert_eq!(found, documents);
    }
}
