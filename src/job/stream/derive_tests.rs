//! A table of streams as people configure them, each with what is read of it. The shapes are those of
//! docs.aws.amazon.com/firehose/latest/dev/s3-prefixes.html and s3-object-name.html.

use super::*;

const T: &str = "!{timestamp:yyyy}/!{timestamp:MM}/!{timestamp:dd}/!{timestamp:HH}/";
const E: &str = "!{firehose:error-output-type}/";

fn stream(
    prefix: Option<&str>,
    errors: Option<&str>,
    backup: Option<(&str, &str)>,
) -> StreamDescription {
    StreamDescription {
        name: "health".into(),
        arn: "arn:aws:firehose:us-east-1:111122223333:deliverystream/health".into(),
        status: "ACTIVE".into(),
        failure: None,
        source: DIRECT_PUT.into(),
        version: "1".into(),
        updated_ms: Some(1_795_478_400_000),
        destination: "s3",
        target: Some(StreamTarget {
            bucket: "b".into(),
            prefix: prefix.map(str::to_owned),
            error_prefix: errors.map(str::to_owned),
            compression: "GZIP".into(),
            backup: backup.map(|(bucket, prefix)| StreamBackup {
                bucket: bucket.into(),
                prefix: (!prefix.is_empty()).then(|| prefix.to_owned()),
            }),
            ..StreamTarget::default()
        }),
    }
}

/// Addresses with what they hold, `-` and what is left out of them, and the kinds of all remarks.
fn told(description: &StreamDescription) -> String {
    let derived = derive("firehose://health@us-east-1", description).unwrap();
    let mut told: Vec<String> = Vec::new();
    for place in &derived.places {
        let holds = match place.holds {
            Holds::Delivered => "",
            Holds::Failed => " errors",
            Holds::Both => " both",
        };
        let mut rules = String::new();
        for (key, kept) in &place.rules {
            rules.push_str(if *kept { " +" } else { " -" });
            rules.push_str(key);
        }
        told.push(format!("{}{holds}{rules}", place.address()));
    }
    told.extend(derived.left_out.iter().map(|uri| format!("out {uri}")));
    told.extend(derived.remarks.iter().map(|remark| format!("({})", remark.kind)));
    told.join("; ")
}

/// Prefix, error prefix, bucket and prefix of the copies; and what is told.
type Shape = (Option<String>, Option<String>, Option<(&'static str, &'static str)>, &'static str);

#[test]
#[expect(clippy::too_many_lines, reason = "a list of cases is as long as it is")]
fn every_shape_of_a_stream_gives_the_places_to_read() {
    let both = |a: &str, b: &str| format!("{a}{b}");
    let table: Vec<Shape> = vec![
        // Without prefixes: `2026/11/24/03/`, and `processing-failed/` beside it.
        (None, None, None, "s3://b both; (no_error_prefix); (whole_bucket)"),
        (Some("health/".into()), None, None, "s3://b/health both; (no_error_prefix)"),
        (Some("legacy".into()), None, None, "s3://b/legacy* both; (no_error_prefix)"),
        (
            Some("a/legacy".into()),
            Some(String::new()),
            None,
            "s3://b/a/legacy* both; (no_error_prefix)",
        ),
        // As most people write it.
        (
            Some(both("health/", T)),
            Some(both("errors/", E)),
            None,
            "s3://b/health; s3://b/errors errors",
        ),
        // The console's default: kinds of failure at the bucket's root.
        (
            Some("health/".into()),
            Some(E.into()),
            None,
            "s3://b/health; s3://b/processing-failed errors; s3://b/format-conversion-failed errors",
        ),
        (
            Some(both("a/health/", T)),
            Some(format!("a/{E}{T}")),
            None,
            "s3://b/a/health; s3://b/a/processing-failed errors; s3://b/a/format-conversion-failed errors",
        ),
        // Errors below the archive.
        (Some("health/".into()), Some(both("health/errors/", E)), None, "s3://b/health both"),
        (Some(both("health/", T)), Some(both("health/", E)), None, "s3://b/health both"),
        (Some("health".into()), Some(both("health-errors/", E)), None, "s3://b/health* both"),
        (Some(T.into()), Some(both("errors/", E)), None, "s3://b both; (whole_bucket)"),
        // The archive below the errors.
        (
            Some("logs/health/".into()),
            Some("logs/".into()),
            None,
            "s3://b/logs both; (wide_error_prefix)",
        ),
        (
            Some("logs/health/".into()),
            Some(both("logs/!{timestamp:yyyy}/", E)),
            None,
            "s3://b/logs both; (wide_error_prefix)",
        ),
        // Copies of the source records: elsewhere, inside, beside, around, mixed.
        (
            Some("health/".into()),
            Some(both("errors/", E)),
            Some(("other", "")),
            "s3://b/health; s3://b/errors errors; out s3://other",
        ),
        (
            Some("health/".into()),
            Some(both("errors/", E)),
            Some(("b", "source_records/")),
            "s3://b/health; s3://b/errors errors; out s3://b/source_records",
        ),
        (
            Some("health/".into()),
            Some(both("errors/", E)),
            Some(("b", "health/source/")),
            "s3://b/health -health/source/; s3://b/errors errors; out s3://b/health/source",
        ),
        (
            None,
            Some(both("raw/errors/", E)),
            Some(("b", "raw/")),
            "s3://b both -raw/ +raw/errors/; out s3://b/raw; (whole_bucket)",
        ),
        (
            Some("health/".into()),
            Some(both("errors/", E)),
            Some(("b", "")),
            "s3://b/health; s3://b/errors errors; out s3://b",
        ),
        (
            Some("health/".into()),
            Some(both("errors/", E)),
            Some(("b", "health/")),
            "s3://b/health; s3://b/errors errors; (backup_among_archive)",
        ),
        (
            Some("health/".into()),
            Some(both("errors/", E)),
            Some(("b", T)),
            "s3://b/health; s3://b/errors errors; (backup_among_archive)",
        ),
    ];
    for (prefix, errors, backup, expected) in table {
        let description = stream(prefix.as_deref(), errors.as_deref(), backup);
        assert_eq!(told(&description), expected, "{prefix:?} {errors:?} {backup:?}");
    }
}

/// Whatever is configured: no place lies in another, so that no run refuses them.
#[test]
fn places_are_never_nested() {
    let prefixes = [
        "",
        "a",
        "a/",
        "a/b/",
        "ab/",
        "processing-failed/",
        "!{timestamp:yyyy}/",
        "a/!{timestamp:yyyy}/",
    ];
    for prefix in prefixes {
        for errors in prefixes {
            for errors in [errors.to_owned(), format!("{errors}{E}"), format!("{errors}{E}{T}")] {
                for backup in prefixes {
                    let backup = Some(("b", backup));
                    let description = stream(Some(prefix), Some(&errors), backup);
                    let derived = derive("firehose://s@r", &description).unwrap();
                    let places: Vec<&str> =
                        derived.places.iter().map(|place| place.prefix.as_str()).collect();
                    for (index, one) in places.iter().enumerate() {
                        for (other, two) in places.iter().enumerate() {
                            let nested = index != other && one.starts_with(two);
                            assert!(!nested, "{prefix} {errors}: {places:?}");
                        }
                    }
                    // Whatever is delivered, and whatever fails, lies in one of them.
                    let within = |key: &str| places.iter().any(|place| key.starts_with(place));
                    assert!(within(fixed(prefix)), "{prefix} {errors}: {places:?}");
                    assert!(derived.failed_prefixes.iter().all(|failed| within(failed)));
                }
            }
        }
    }
}

#[test]
fn what_will_hurt_is_said() {
    let mut description = stream(Some("health/"), Some("errors/"), None);
    description.status = "CREATING_FAILED".into();
    description.failure = Some("KMS_ACCESS_DENIED: no".into());
    description.source = "KinesisStreamAsSource".into();
    description.version = "7".into();
    let target = description.target.as_mut().unwrap();
    (target.is_converted, target.is_partitioned) = (true, true);
    let derived = derive("firehose://health@us-east-1", &description).unwrap();
    let kinds: Vec<(&str, bool)> =
        derived.remarks.iter().map(|remark| (remark.kind, remark.is_trouble)).collect();
    let expected = [
        ("not_active", true),
        ("other_source", false),
        ("changed", false),
        ("converted", true),
        ("partitioned", false),
    ];
    assert_eq!(kinds, expected);
    assert!(derived.remarks[0].text.contains("KMS_ACCESS_DENIED"));
    assert!(derived.remarks[2].text.contains("2026-11-24"), "{}", derived.remarks[2].text);
}

#[test]
fn an_hour_is_complete_after_buffer_and_retries() {
    let day = 1_795_478_400_000;
    let minutes = |count: i64| count * 60_000;
    let mut description = stream(None, None, None);
    // (buffer, Lambda's buffer, source, now, likely until, latest until), in hours of the day
    let table = [
        (None, None, DIRECT_PUT, minutes(5 * 60 + 4), 4, Some(-20)),
        (None, None, DIRECT_PUT, minutes(5 * 60 + 5), 5, Some(-19)),
        (Some(0), None, DIRECT_PUT, minutes(5 * 60), 5, Some(-19)),
        (Some(900), Some(60), DIRECT_PUT, minutes(5 * 60 + 15), 4, Some(-20)),
        (Some(60), None, "KinesisStreamAsSource", minutes(5 * 60 + 1), 5, None),
    ];
    for (buffer, lambda, source, now, likely, latest) in table {
        description.source = source.into();
        let target = description.target.as_mut().unwrap();
        (target.buffer_seconds, target.lambda_seconds) = (buffer, lambda);
        let delivery = derive("firehose://s@r", &description).unwrap().delivery;
        let hour = |hour: i64| day + hour * HOUR_MS;
        assert_eq!(delivery.likely_until_ms(day + now), hour(likely), "{buffer:?} {now}");
        assert_eq!(delivery.latest_until_ms(day + now), latest.map(hour), "{buffer:?} {now}");
    }
}

#[test]
fn streams_that_fill_no_archive_are_wrong_usage() {
    let mut description = stream(None, None, None);
    description.target.as_mut().unwrap().zone = Some("Middle/Earth".into());
    let error = derive("firehose://s@r", &description).unwrap_err();
    assert!(error.is::<UsageError>() && error.to_string().contains("Middle/Earth"), "{error}");
    description.target.as_mut().unwrap().zone = Some("Asia/Tokyo".into());
    assert_eq!(derive("firehose://s@r", &description).unwrap().zone_name, "Asia/Tokyo");
    (description.target, description.destination) = (None, "splunk");
    let error = derive("firehose://s@r", &description).unwrap_err();
    assert!(error.is::<UsageError>() && error.to_string().contains("splunk"), "{error}");
}
