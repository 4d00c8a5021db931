//! Amazon Data Firehose: what a stream is, and putting records into it.
//!
//! In: a stream's name, records as bytes. Out: a [`StreamDescription`] of ours, and what became of each
//! record. Wrong: a [`StoreError`] with the stream's address, the code and what to do. Describing is tried
//! up to five times; putting once, because whoever puts knows which records to put again and how fast.
//! Only this folder names the SDK of Firehose.

mod describe;
mod error;

use std::time::Duration;

use aws_sdk_firehose::Client;
use aws_sdk_firehose::config::retry::RetryConfig;
use aws_sdk_firehose::config::timeout::TimeoutConfig;
use aws_sdk_firehose::config::{Builder, Region};
use aws_sdk_firehose::primitives::Blob;
use aws_sdk_firehose::types::Record;
use bytes::Bytes;

pub use self::describe::{StreamBackup, StreamDescription, StreamTarget};
use self::error::{Request, answer, explain};
use super::s3::{NoClearText, load_settings};
use super::{S3Options, StoreError, StoreErrorKind, StoreResult};

/// What the address of a stream begins with.
pub const SCHEME: &str = "firehose://";

/// Most records of one `PutRecordBatch`
/// (<https://docs.aws.amazon.com/firehose/latest/APIReference/API_PutRecordBatch.html>).
pub const BATCH_RECORDS_MAX: usize = 500;

/// Most bytes of one `PutRecordBatch`, before base64
/// (<https://docs.aws.amazon.com/firehose/latest/dev/limits.html>).
pub const BATCH_BYTES_MAX: usize = 4 << 20;

/// Most bytes of one record, before base64: 1,000 KiB (the same page).
pub const RECORD_BYTES_MAX: usize = 1_000 << 10;

const ATTEMPTS: u32 = 5;
const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_mins(1);

/// Which stream, in which Region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamAddress {
    /// The stream's name.
    pub name: String,
    /// The Region; without it the settings name it.
    pub region: Option<String>,
}

/// What became of one record.
pub type Put = Result<(), PutFailure>;

/// Why Firehose did not take a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutFailure {
    /// The service's code, as `ServiceUnavailableException`.
    pub code: String,
    /// The service's words.
    pub message: String,
}

/// One stream.
#[derive(Debug)]
pub struct Firehose {
    client: Client,
    stream: String,
    uri: String,
}

impl StreamAddress {
    /// Reads `firehose://STREAM` or `firehose://STREAM@REGION`.
    ///
    /// # Errors
    /// A [`StoreError`] that shows what is accepted; one that says `opening` is wrong usage.
    pub fn parse(address: &str) -> StoreResult<Self> {
        let refuse = |message: &str| {
            Err(StoreError::new(StoreErrorKind::Other, "opening", address, message))
        };
        let Some(rest) = address.strip_prefix(SCHEME) else {
            return refuse(
                "this is no stream; hint: write firehose://STREAM or firehose://STREAM@REGION",
            );
        };
        let (name, region) = match rest.split_once('@') {
            Some((name, region)) => (name, Some(region)),
            None => (rest, None),
        };
        // The model of the API: 1-64 of [a-zA-Z0-9_.-].
        let fits = (1..=64).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
        if !fits {
            return refuse(
                "a stream's name has 1 to 64 letters, digits, `_`, `.` and `-`; hint: write \
                 firehose://STREAM, without an ARN or a path",
            );
        }
        let is_region = |region: &str| {
            !region.is_empty() && region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if region.is_some_and(|region| !is_region(region)) {
            return refuse("behind `@` stands a Region, as in firehose://STREAM@eu-central-1");
        }
        Ok(Self { name: name.to_owned(), region: region.map(str::to_owned) })
    }
}

impl PutFailure {
    /// Whether the same record may be taken later
    /// (<https://docs.aws.amazon.com/firehose/latest/APIReference/API_PutRecordBatch.html>).
    pub fn is_passing(&self) -> bool {
        matches!(self.code.as_str(), "ServiceUnavailableException" | "InternalFailure")
            || error::is_passing(&self.code)
    }
}

impl Firehose {
    /// A client of one stream; nothing is sent yet. Credentials, Region and endpoint come from the SDK's
    /// default chain, where `AWS_ENDPOINT_URL_FIREHOSE` names another server.
    ///
    /// # Errors
    /// When nothing names a Region.
    pub async fn open(address: &StreamAddress, profile: Option<&str>) -> StoreResult<Self> {
        let options = S3Options {
            profile: profile.map(str::to_owned),
            region: address.region.clone(),
            ..S3Options::default()
        };
        let sdk = load_settings(&options).await;
        let Some(region) = sdk.region().map(Region::as_ref) else {
            let message =
                "nothing names a Region; hint: write firehose://STREAM@REGION, or set AWS_REGION";
            let uri = format!("{SCHEME}{}", address.name);
            return Err(StoreError::new(StoreErrorKind::Other, "opening", uri, message));
        };
        let uri = format!("{SCHEME}{}@{region}", address.name);
        let timeouts =
            TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(ANSWER);
        let config = Builder::from(&sdk)
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .timeout_config(timeouts.build())
            .interceptor(NoClearText)
            .build();
        Ok(Self { client: Client::from_conf(config), stream: address.name.clone(), uri })
    }

    /// `firehose://STREAM@REGION`.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// What Firehose tells of the stream.
    ///
    /// # Errors
    /// The service's.
    pub async fn describe(&self) -> StoreResult<StreamDescription> {
        let request = self.client.describe_delivery_stream().delivery_stream_name(&self.stream);
        let output = request.send().await;
        let output =
            output.map_err(|error| explain(Request::Describe, &answer(&error), &self.uri))?;
        let Some(description) = output.delivery_stream_description() else {
            let message = "the answer describes no stream";
            let kind = StoreErrorKind::Other;
            return Err(StoreError::new(kind, Request::Describe.verb(), &self.uri, message));
        };
        Ok(describe::plain(description))
    }

    /// Puts records, once, and says what became of each, in their order. At most
    /// [`BATCH_RECORDS_MAX`] and [`BATCH_BYTES_MAX`].
    ///
    /// # Errors
    /// When the whole request failed: then it is not known which records were taken.
    pub async fn put_batch(&self, records: &[Bytes]) -> StoreResult<Vec<Put>> {
        let mut request = self.client.put_record_batch().delivery_stream_name(&self.stream);
        for record in records {
            let record = Record::builder().data(Blob::new(record.as_ref())).build();
            let record = record.map_err(|error| {
                let message = error.to_string();
                StoreError::new(StoreErrorKind::Other, Request::Put.verb(), &self.uri, message)
            })?;
            request = request.records(record);
        }
        let once = Builder::new().retry_config(RetryConfig::disabled());
        let output = request.customize().config_override(once).send().await;
        let output = output.map_err(|error| explain(Request::Put, &answer(&error), &self.uri))?;
        let told = output.request_responses();
        if told.len() != records.len() {
            let message = format!(
                "the answer tells of {} records where {} were sent",
                told.len(),
                records.len()
            );
            let kind = StoreErrorKind::Unavailable;
            return Err(StoreError::new(kind, Request::Put.verb(), &self.uri, message));
        }
        let put = |entry: &aws_sdk_firehose::types::PutRecordBatchResponseEntry| match entry
            .error_code()
        {
            None | Some("") => Ok(()),
            Some(code) => Err(PutFailure {
                code: code.to_owned(),
                message: entry.error_message().unwrap_or_default().to_owned(),
            }),
        };
        Ok(told.iter().map(put).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        type Read = Option<(&'static str, Option<&'static str>)>;
        let table: [(&str, Read); 10] = [
            ("firehose://health-events", Some(("health-events", None))),
            ("firehose://a.b_c-1@eu-central-1", Some(("a.b_c-1", Some("eu-central-1")))),
            ("firehose://", None),
            ("firehose://@eu-central-1", None),
            ("firehose://s@", None),
            ("firehose://s@eu central", None),
            ("firehose://s/prefix", None),
            ("firehose://arn:aws:firehose:us-east-1:111122223333:deliverystream/s", None),
            ("s3://bucket", None),
            ("firehose://é", None),
        ];
        for (address, expected) in table {
            let found = StreamAddress::parse(address);
            if let Err(error) = &found {
                assert_eq!((error.operation, error.kind), ("opening", StoreErrorKind::Other));
            }
            let expected = expected.map(|(name, region)| StreamAddress {
                name: name.to_owned(),
                region: region.map(str::to_owned),
            });
            assert_eq!(found.ok(), expected, "{address}");
        }
        assert!(StreamAddress::parse(&format!("firehose://{}", "x".repeat(65))).is_err());
    }
}
