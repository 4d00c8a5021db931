//! From the SDK's answers to this program's values.
//!
//! In: outputs and errors of the SDK. Out: metadata, bytes, and the parts of an error that
//! `error` judges. Wrong: a body that breaks off, stands still or does not fit its checksum.

use std::error::Error;
use std::ops::Range;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Object, ObjectStorageClass, StorageClass};
use bytes::{Bytes, BytesMut};

use super::error::{Answer, Reached};
use super::tls::NO_CLEAR_TEXT;
use crate::store::{ObjectMeta, uri};

/// The name of the user metadata that holds an object's SHA-256.
pub(super) const SHA256: &str = "sha256";
/// More is not reserved on the word of a `Content-Length` alone.
pub(super) const RESERVED_BYTES_MAX: u64 = 256 << 20;

pub(super) fn status<E>(error: &SdkError<E, HttpResponse>) -> u16 {
    error.raw_response().map_or(0, |response| response.status().as_u16())
}

pub(super) fn code<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Option<String> {
    error.as_service_error().and_then(|error| error.code()).map(str::to_owned)
}

pub(super) fn answer<E>(error: &SdkError<E, HttpResponse>) -> Answer
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let (reached, message) = match error {
        SdkError::ServiceError(service) => {
            (Reached::Answered, service.err().message().unwrap_or_default().to_owned())
        }
        SdkError::DispatchFailure(failure) => {
            let message = causes(error);
            // The SDK tells in no other way that it found no credentials or could not load them,
            // or that an interceptor stopped the request.
            let reached = match failure.is_other() {
                _ if message.contains(NO_CLEAR_TEXT) => Reached::NotSent,
                true if message.contains("credential") => Reached::NoCredentials,
                _ => Reached::NoAnswer,
            };
            (reached, message)
        }
        SdkError::ResponseError(_) | SdkError::TimeoutError(_) => {
            (Reached::NoAnswer, causes(error))
        }
        _ => (Reached::NotSent, causes(error)),
    };
    Answer {
        reached,
        status: status(error),
        code: code(error).unwrap_or_default(),
        message,
        request_id: error
            .raw_response()
            .and_then(|response| response.headers().get("x-amz-request-id"))
            .map(str::to_owned),
    }
}

/// An error and its causes on one line.
pub(in crate::store) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut said: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        // Some errors repeat their causes.
        if !said.iter().any(|before| before.contains(&text)) {
            said.push(text);
        }
        next = error.source();
    }
    said.join(": ")
}

pub(super) fn head_meta(key: &str, output: &HeadObjectOutput) -> ObjectMeta {
    let is_archive_class =
        matches!(output.storage_class(), Some(StorageClass::Glacier | StorageClass::DeepArchive))
            || output.archive_status().is_some();
    let is_restored =
        output.restore().is_some_and(|restore| restore.contains("ongoing-request=\"false\""));
    ObjectMeta {
        key: key.to_owned(),
        size: output.content_length().and_then(|length| u64::try_from(length).ok()).unwrap_or(0),
        etag: unquote(output.e_tag()),
        last_modified_ms: output
            .last_modified()
            .and_then(|time| time.to_millis().ok())
            .unwrap_or(0),
        archived: is_archive_class && !is_restored,
        sha256: output
            .metadata()
            .and_then(|metadata| metadata.get(SHA256))
            .filter(|sha256| uri::sha256_bytes(sha256).is_some())
            .cloned(),
    }
}

/// What a listing tells of an object; `None` when its key is not below `prefix` or not UTF-8.
pub(super) fn listed_meta(object: &Object, is_encoded: bool, prefix: &str) -> Option<ObjectMeta> {
    let text = object.key().unwrap_or_default();
    let key = if is_encoded { uri::decode_key(text)? } else { text.to_owned() };
    let is_archive_class = matches!(
        object.storage_class(),
        Some(ObjectStorageClass::Glacier | ObjectStorageClass::DeepArchive)
    );
    let is_restored =
        object.restore_status().is_some_and(|status| status.restore_expiry_date().is_some());
    Some(ObjectMeta {
        key: key.strip_prefix(prefix)?.to_owned(),
        size: object.size().and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
        etag: unquote(object.e_tag()),
        last_modified_ms: object
            .last_modified()
            .and_then(|time| time.to_millis().ok())
            .unwrap_or(0),
        archived: is_archive_class && !is_restored,
        sha256: None,
    })
}

/// Listings and headers quote an etag, some servers do not; kept without.
pub(super) fn unquote(etag: Option<&str>) -> String {
    etag.unwrap_or_default().trim_matches('"').to_owned()
}

pub(super) fn quote(etag: &str) -> String {
    format!("\"{etag}\"")
}

/// Servers read the numbers as signed.
pub(super) fn range_header(range: &Range<u64>) -> String {
    let last = range.end.saturating_sub(1).min(i64::MAX.cast_unsigned());
    format!("bytes={}-{last}", range.start)
}

/// How many bytes a `Content-Range` such as `bytes 0-9/100` announces.
pub(super) fn given_bytes(content_range: &str) -> Option<u64> {
    let (range, _) = content_range.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?);
    last.checked_sub(first)?.checked_add(1)
}

pub(super) async fn read_body(
    mut body: ByteStream,
    announced: Option<u64>,
) -> Result<Bytes, String> {
    let mut next = async || match body.next().await {
        None => Ok(None),
        Some(Ok(chunk)) => Ok(Some(chunk)),
        Some(Err(error)) => Err(causes(&error)),
    };
    let Some(first) = next().await? else { return Ok(Bytes::new()) };
    if announced == Some(first.len() as u64) {
        // Small objects come in one piece; the end is awaited, because the checksum is judged there.
        return match next().await? {
            None => Ok(first),
            Some(_) => Err("more bytes than announced".to_owned()),
        };
    }
    let reserved = announced.unwrap_or(0).min(RESERVED_BYTES_MAX);
    let mut bytes = BytesMut::with_capacity(usize::try_from(reserved).unwrap_or(0));
    bytes.extend_from_slice(&first);
    while let Some(chunk) = next().await? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}
