//! The texts of addresses: what a user gives as `--from` and `--to`, and what S3 encodes.
//!
//! In: texts. Out: their parts, or why they are refused. Pure; nothing here looks at the world.

use std::net::IpAddr;

/// Where a store lies, as the user wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address<'a> {
    /// A prefix of a bucket, without slashes at its end.
    S3 {
        /// The bucket's name.
        bucket: &'a str,
        /// The prefix, `""` for the whole bucket.
        prefix: &'a str,
    },
    /// A local folder.
    Folder(&'a str),
}

/// Reads `s3://bucket/prefix`, `file:///folder`, or a folder's path.
pub(super) fn parse(uri: &str) -> Result<Address<'_>, String> {
    if uri.is_empty() {
        return Err("the address is empty; hint: give a folder or s3://bucket/prefix".to_owned());
    }
    let Some((scheme, rest)) = uri.split_once("://") else {
        return Ok(Address::Folder(uri));
    };
    match scheme {
        "s3" => {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            check_bucket(bucket)?;
            Ok(Address::S3 { bucket, prefix: prefix.trim_end_matches('/') })
        }
        "file" if rest.starts_with('/') => Ok(Address::Folder(rest)),
        "file" => Err(format!(
            "a file address names no host; hint: write file:///folder or the path: `{uri}`"
        )),
        _ if is_scheme(scheme) => Err(format!(
            "only folders and s3://bucket/prefix are known, not this scheme: `{scheme}`"
        )),
        _ => Ok(Address::Folder(uri)),
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// Letters, digits, dots, hyphens and, in the oldest buckets, capitals and underscores
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>).
fn check_bucket(bucket: &str) -> Result<(), String> {
    let fits = (3..=255).contains(&bucket.len())
        && bucket.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    if fits {
        return Ok(());
    }
    Err(format!(
        "this is no bucket name; hint: write s3://bucket/prefix, with an access point's alias \
         instead of its ARN: `{bucket}`"
    ))
}

/// Refuses an endpoint that would send credentials or findings in clear text to another machine.
pub(super) fn check_endpoint(endpoint_url: &str) -> Result<(), String> {
    let lower = endpoint_url.to_ascii_lowercase();
    let (rest, clear_text) = match (lower.strip_prefix("https://"), lower.strip_prefix("http://")) {
        (Some(rest), _) => (rest, false),
        (None, Some(rest)) => (rest, true),
        (None, None) => {
            return Err(format!(
                "an endpoint begins with https:// (or http:// on this machine): `{endpoint_url}`"
            ));
        }
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        // Not shown: what stands before the `@` may be a secret.
        return Err("an endpoint holds no user name or password".to_owned());
    }
    let host = host_of(authority);
    if host.is_empty() {
        return Err(format!("the endpoint names no host: `{endpoint_url}`"));
    }
    if clear_text && !is_loopback(host) {
        return Err(format!(
            "plain http goes only to this machine (localhost, 127.0.0.1, [::1]); hint: use https \
             for `{endpoint_url}`"
        ));
    }
    Ok(())
}

/// The host of what stands behind `http://` or `https://`; `""` where a name or password stands before it.
pub(super) fn host_of_url(rest: &str) -> &str {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') { "" } else { host_of(authority) }
}

fn host_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split_once(']').map_or("", |(host, _)| host);
    }
    authority.rsplit_once(':').map_or(authority, |(host, _)| host)
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Percent-encodes a key for the header `x-amz-copy-source`: all but unreserved bytes and `/`.
pub(super) fn encode_key(key: &str) -> String {
    let mut text = String::with_capacity(key.len() + 16);
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/') {
            text.push(char::from(byte));
        } else {
            text.push('%');
            text.extend(hex_digits(byte).map(|digit| digit.to_ascii_uppercase()));
        }
    }
    text
}

fn hex_digits(byte: u8) -> [char; 2] {
    [byte >> 4, byte & 15].map(|digit| char::from_digit(u32::from(digit), 16).unwrap_or('0'))
}

/// Bytes as lower-case hex digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|&byte| hex_digits(byte)).collect()
}

/// Undoes `encoding-type=url` of a listing, where `+` is a space and `%2B` a plus. `None` when an
/// escape is broken or the bytes are not UTF-8.
pub(super) fn decode_key(text: &str) -> Option<String> {
    if !text.contains(['+', '%']) {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => hex_value(rest.next()?)? << 4 | hex_value(rest.next()?)?,
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

fn hex_value(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// The bytes of a SHA-256 written as 64 lower-case hex digits.
pub(super) fn sha256_bytes(hex: &str) -> Option<[u8; 32]> {
    let digits = hex.as_bytes();
    if digits.len() != 64 || digits.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = hex_value(*high)? << 4 | hex_value(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses() {
        let s3 = |bucket, prefix| Ok(Address::S3 { bucket, prefix });
        let cases = [
            ("s3://bucket", s3("bucket", "")),
            ("s3://bucket/", s3("bucket", "")),
            ("s3://my.bucket/a/b/", s3("my.bucket", "a/b")),
            ("s3://bucket/a b+c%2F", s3("bucket", "a b+c%2F")),
            ("/var/archive", Ok(Address::Folder("/var/archive"))),
            ("archive", Ok(Address::Folder("archive"))),
            ("file:///var/archive", Ok(Address::Folder("/var/archive"))),
            ("odd name://x", Ok(Address::Folder("odd name://x"))),
        ];
        for (uri, expected) in cases {
            assert_eq!(parse(uri), expected, "{uri}");
        }
        for uri in ["", "s3://", "s3:///a", "s3://ab", "s3://b:cket/a", "gs://b/a", "file://host/a"]
        {
            assert!(parse(uri).is_err(), "{uri}");
        }
    }

    #[test]
    fn clear_text_stays_on_this_machine() {
        for url in [
            "https://s3.example.com",
            "HTTPS://s3.example.com:8443/x",
            "http://localhost:8333",
            "http://127.0.0.1:8333/",
            "http://127.3.2.1",
            "http://[::1]:8333",
        ] {
            assert_eq!(check_endpoint(url), Ok(()), "{url}");
        }
        for url in [
            "s3.example.com",
            "http://",
            "http://s3.example.com",
            "http://10.0.0.1:8333",
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
            "http://[::2]:8333",
            "http://localhost@example.com",
            "http://example.com/@localhost",
        ] {
            assert!(check_endpoint(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_secret_in_an_endpoint_is_not_repeated() {
        let message = check_endpoint("https://user:hunter2@example.com").unwrap_err();
        assert!(!message.contains("hunter2"), "{message}");
    }

    #[test]
    fn listed_keys_are_decoded_as_s3_encodes_them() {
        let cases = [
            ("a/b-1", Some("a/b-1")),
            ("a+b", Some("a b")),
            ("a%2Bb", Some("a+b")),
            ("a%20b", Some("a b")),
            ("%C3%A4%2f", Some("ä/")),
            ("a%252Fb", Some("a%2Fb")),
            ("100%", None),
            ("%G0", None),
            ("%FF", None),
        ];
        for (text, expected) in cases {
            assert_eq!(decode_key(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn sha256_texts() {
        let zeros = "0".repeat(64);
        assert_eq!(sha256_bytes(&zeros), Some([0; 32]));
        assert_eq!(sha256_bytes(&"7f".repeat(32)), Some([0x7f; 32]));
        assert_eq!(hex(&[0, 0x7f, 0xe0]), "007fe0");
        for bad in ["", "00", &"F".repeat(64), &"g0".repeat(32), &"+1".repeat(32)] {
            assert_eq!(sha256_bytes(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn encoding_is_undone_by_decoding(key in "\\PC*") {
            prop_assert_eq!(decode_key(&encode_key(&key)), Some(key));
        }
    }
}
