//! The laws of identity, over findings made of the schemas' own names and of values that fit or do
//! not.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::finding::columns::{COLUMNS, Column};
use crate::finding::envelope::{Envelope, Shape};
use crate::finding::fields::{Field, Table, To};
use crate::finding::json::Json;
use crate::finding::row::Cell;
use crate::finding::tally::Tally;
use crate::finding::testing::{ENVELOPE, assemble};
use crate::finding::{from_asff, from_health, ocsf_fields};

const LEFT_OUT_OF_OCSF: [&str; 4] =
    ["logged_time", "logged_time_dt", "processed_time", "processed_time_dt"];

fn table(shape: Shape) -> &'static Table {
    match shape {
        Shape::Native => &from_health::DETAIL,
        Shape::Asff => &from_asff::FINDING,
        Shape::Ocsf => &ocsf_fields::FINDING,
    }
}

/// The names of a schema, those in nested tables too.
fn names(table: &Table, names: &mut Vec<&'static str>) {
    for Field { name, to, .. } in table.fields {
        names.push(name);
        if let To::Nested(nested, _) = to {
            self::names(nested, names);
        }
    }
}

/// Names that occur in elements, or in no schema.
const MORE_NAMES: [&str; 16] = [
    "entityValue",
    "lastUpdatedtime",
    "tags",
    "language",
    "latestDescription",
    "Id",
    "Type",
    "Tags",
    "Details",
    "uid",
    "labels",
    "data",
    "name",
    "value",
    "newField",
    "BackupEvent",
];

fn leaf() -> impl Strategy<Value = Value> {
    let texts = prop::sample::select(vec![
        "",
        " ",
        "true",
        "FALSE",
        "1",
        "40",
        "high",
        "Fail",
        "2026-11-24T02:00:00Z",
        "Fri, 3 Jun 2022 05:01:10 GMT",
        "{{startTime}}",
        "abc-1",
        "us-west-2",
        "a=b",
        "en_US",
        "arn:aws:health:us-east-1:123456789012:event/A/B/C",
        "Health",
        "AWS",
        "{\"a\":1}",
    ]);
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3..120i64).prop_map(Value::from),
        Just(json!(1_795_489_445_123_i64)),
        Just(json!(1.5)),
        texts.prop_map(Value::from),
        "[a-z\"\\\\\\[{é]{0,5}".prop_map(Value::from),
    ]
}

fn value(shape: Shape) -> impl Strategy<Value = Value> {
    let mut names = MORE_NAMES.to_vec();
    self::names(table(shape), &mut names);
    leaf().prop_recursive(4, 48, 5, move |inner| {
        let members =
            prop::collection::vec((prop::sample::select(names.clone()), inner.clone()), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            members.prop_map(|members| {
                let members = members.into_iter().map(|(name, value)| (name.to_owned(), value));
                Value::Object(members.collect())
            }),
        ]
    })
}

/// A finding that has an identity, and else may have anything.
fn finding(shape: Shape) -> impl Strategy<Value = Map<String, Value>> {
    let mut top: Vec<&'static str> = table(shape).fields.iter().map(|field| field.name).collect();
    top.extend(MORE_NAMES);
    prop::collection::vec((prop::sample::select(top), value(shape)), 0..14).prop_map(
        move |members| {
            let mut body: Map<String, Value> =
                members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            match shape {
                Shape::Native => {
                    body.insert("eventArn".into(), "arn:aws:health:us-east-1::event/A/B/C".into());
                }
                Shape::Asff => {
                    body.insert("Id".into(), "id".into());
                    body.entry("ProductArn").or_insert_with(|| "p".into());
                    if body
                        .get("ProductArn")
                        .is_none_or(|arn| !arn.is_string() || arn == "" || arn == " ")
                    {
                        body.insert("ProductArn".into(), "p".into());
                    }
                }
                Shape::Ocsf => {
                    let info = body.entry("finding_info").or_insert_with(|| json!({}));
                    if let Some(info) = info.as_object_mut() {
                        info.insert("uid".into(), "u".into());
                    } else {
                        *info = json!({"uid": "u"});
                    }
                }
            }
            body
        },
    )
}

/// The same version of the finding as another copy has it.
fn copy_of(
    shape: Shape,
    body: &Map<String, Value>,
    other: &Value,
    drop: bool,
) -> Map<String, Value> {
    let mut copy = body.clone();
    let change = |object: &mut Map<String, Value>, names: &[&str]| {
        for name in names {
            if drop {
                object.remove(*name);
            } else {
                object.insert((*name).to_owned(), other.clone());
            }
        }
    };
    match shape {
        Shape::Native => {
            change(&mut copy, &["backupEvent"]);
            if let Some(entities) = copy.get_mut("affectedEntities").and_then(Value::as_array_mut) {
                entities.reverse();
            }
        }
        Shape::Asff => change(&mut copy, &["ProcessedAt", "AwsAccountName", "Region"]),
        Shape::Ocsf => {
            change(&mut copy, &LEFT_OUT_OF_OCSF);
            if let Some(metadata) = copy.get_mut("metadata").and_then(Value::as_object_mut) {
                change(metadata, &LEFT_OUT_OF_OCSF);
            }
        }
    }
    copy
}

fn shape_and_finding() -> impl Strategy<Value = (Shape, Map<String, Value>, Value, bool)> {
    prop_oneof![Just(Shape::Native), Just(Shape::Asff), Just(Shape::Ocsf)]
        .prop_flat_map(|shape| (Just(shape), finding(shape), value(shape), any::<bool>()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn rows_of_one_id_differ_in_delivery_columns_only(
        (shape, body, other, drop) in shape_and_finding(),
    ) {
        let copy = copy_of(shape, &body, &other, drop);
        let texts = [Value::from(body).to_string(), Value::from(copy).to_string()];
        let envelopes = [
            ENVELOPE,
            Envelope {
                id: Some("another"),
                detail_type: Some("another"),
                time: Some("2026-11-24T03:04:05.900Z"),
                region: Some("us-west-2"),
                ..ENVELOPE
            },
        ];
        let mut tally = Tally::default();
        let [one, two] = [0, 1].map(|index| Json::leaked(&texts[index]).unwrap());
        let one = assemble(shape, &one, Some(envelopes[0]), &mut tally).unwrap();
        let two = assemble(shape, &two, Some(envelopes[1]), &mut tally).unwrap();
        prop_assert_eq!(one.1.row_id, two.1.row_id);
        for ((spec, one), two) in COLUMNS.iter().zip(&one.0).zip(&two.0) {
            prop_assert!(spec.nullable || *one != Cell::Null, "{} is null", spec.name);
            if !spec.delivery {
                prop_assert_eq!(one, two, "{}", spec.name);
            }
        }
    }

    #[test]
    fn what_is_left_over_is_canonical_json((shape, body, _, _) in shape_and_finding()) {
        let text = Value::from(body).to_string();
        let body = Json::leaked(&text).unwrap();
        let (cells, _) = assemble(shape, &body, Some(ENVELOPE), &mut Tally::default()).unwrap();
        if let Cell::Text(unmapped) = &cells[Column::UnmappedJson as usize] {
            prop_assert_eq!(&Json::leaked(unmapped).unwrap().to_canonical(), unmapped);
        }
        for cell in &cells {
            let maps: Vec<_> = match cell {
                Cell::TextMap(map) => vec![map],
                Cell::Resources(all) => all.iter().filter_map(|one| one.tags.as_ref()).collect(),
                Cell::Entities(all) => all.iter().filter_map(|one| one.tags.as_ref()).collect(),
                _ => Vec::new(),
            };
            for map in maps {
                prop_assert!(map.is_sorted_by(|left, right| left.0 < right.0), "{:?}", map);
            }
        }
    }

    /// Each text of a finding is in a column of its row.
    #[test]
    fn nothing_of_a_finding_is_lost((shape, body, _, _) in shape_and_finding()) {
        let mut body = body;
        body.insert("newField".into(), json!({"deep": ["witness"]}));
        for name in body.keys().cloned().collect::<Vec<_>>() {
            let is_left_out = match shape {
                Shape::Native => name == "backupEvent",
                Shape::Asff => name == "Region",
                Shape::Ocsf => false,
            };
            if body[&name].is_null() && !is_left_out && !LEFT_OUT_OF_OCSF.contains(&name.as_str()) {
                body[&name] = json!({"odd": "witness"});
            }
        }
        let witnesses = Value::from(body.clone()).to_string().matches("witness").count();
        let text = Value::from(body).to_string();
        let json = Json::leaked(&text).unwrap();
        let Ok((cells, _)) = assemble(shape, &json, Some(ENVELOPE), &mut Tally::default()) else {
            return Ok(());
        };
        let count = |cell: &Cell<'_>| format!("{cell:?}").matches("witness").count();
        let found: usize = cells.iter().map(count).sum();
        let is_delivery = |name: &str| matches!(name, "ProcessedAt" | "AwsAccountName");
        let unread = json.as_object().unwrap().iter()
            .filter(|(name, value)| is_delivery(name) && value.get("odd").is_some())
            .count();
        prop_assert_eq!(found, witnesses - unread, "{}", text);
    }
}
