//! Options that several commands share: how to reach archives and lakes.

use std::time::Duration;

use clap::Args;
use clap::builder::{FalseyValueParser, RangedU64ValueParser};

use crate::store::{Patience, S3Options, StoreOptions};

/// How to reach the stores.
#[derive(Debug, Clone, Args)]
pub(super) struct StoreArgs {
    /// Address of an S3 server other than AWS; plain http only for loopback hosts
    #[arg(long, value_name = "URL", env = "HEALTHTRAIL_ENDPOINT_URL", help_heading = "S3")]
    pub(super) endpoint_url: Option<String>,

    /// Profile of the shared AWS configuration to read the archive with
    ///
    /// Without it the SDK's default chain decides: environment, profile, SSO, `credential_process`,
    /// web identity, container, instance.
    #[arg(long, value_name = "PROFILE", env = "HEALTHTRAIL_ARCHIVE_PROFILE", help_heading = "S3")]
    pub(super) archive_profile: Option<String>,

    /// Profile of the shared AWS configuration to read and write the lake with
    #[arg(long, value_name = "PROFILE", env = "HEALTHTRAIL_LAKE_PROFILE", help_heading = "S3")]
    pub(super) lake_profile: Option<String>,

    /// Account that must own the buckets; another owner's bucket is refused
    ///
    /// `BUCKET=ACCOUNT` names the owner of one bucket; give the option once for each.
    #[arg(
        long,
        value_name = "[BUCKET=]ACCOUNT",
        env = "HEALTHTRAIL_EXPECTED_BUCKET_OWNER",
        value_delimiter = ',',
        help_heading = "S3"
    )]
    pub(super) expected_bucket_owner: Vec<String>,

    /// KMS key (id or ARN) that encrypts what is written to the lake
    #[arg(long, value_name = "KEY", env = "HEALTHTRAIL_SSE_KMS_KEY", help_heading = "S3")]
    pub(super) sse_kms_key: Option<String>,

    /// Pay for the requests to the archive's bucket (a requester-pays bucket)
    #[arg(
        long,
        env = "HEALTHTRAIL_REQUEST_PAYER",
        value_parser = FalseyValueParser::new(),
        help_heading = "S3"
    )]
    pub(super) request_payer: bool,

    /// How often a request is sent before it counts as failed
    ///
    /// What is throttled, refused for a moment, or not answered is sent again after a pause, which is
    /// random and doubles each time. `AWS_MAX_ATTEMPTS` and `AWS_RETRY_MODE` are not read.
    #[arg(
        long,
        value_name = "COUNT",
        env = "HEALTHTRAIL_S3_ATTEMPTS",
        default_value_t = 5,
        value_parser = RangedU64ValueParser::<u32>::new().range(1..=20),
        help_heading = "S3"
    )]
    pub(super) s3_attempts: u32,

    /// The first pause before a request is sent again, in milliseconds; it doubles up to 20 s
    #[arg(
        long,
        value_name = "MILLISECONDS",
        env = "HEALTHTRAIL_S3_PAUSE_MS",
        default_value_t = 1_000,
        value_parser = RangedU64ValueParser::<u64>::new().range(..=20_000),
        help_heading = "S3"
    )]
    pub(super) s3_pause_ms: u64,

    /// Seconds that one answer is waited for; a body gets one more for each 64 KiB
    ///
    /// A body may stand still for a third of it, and a copy on the server may take twice as long.
    #[arg(
        long,
        value_name = "SECONDS",
        env = "HEALTHTRAIL_S3_ANSWER_SECONDS",
        default_value_t = 60,
        value_parser = RangedU64ValueParser::<u64>::new().range(1..=3_600),
        help_heading = "S3"
    )]
    pub(super) s3_answer_seconds: u64,
}

impl StoreArgs {
    /// Options to reach an archive at `uri`.
    pub(super) fn archive(&self, uri: &str) -> StoreOptions {
        let (profile, request_payer) = (self.archive_profile.clone(), self.request_payer);
        let s3 = S3Options { profile, request_payer, ..self.common(uri) };
        StoreOptions { create: false, s3 }
    }

    /// Options to reach a lake at `uri`, which is made when `create` is set.
    pub(super) fn lake(&self, uri: &str, create: bool) -> StoreOptions {
        let (profile, sse_kms_key) = (self.lake_profile.clone(), self.sse_kms_key.clone());
        let s3 = S3Options { profile, sse_kms_key, ..self.common(uri) };
        StoreOptions { create, s3 }
    }

    fn common(&self, uri: &str) -> S3Options {
        S3Options {
            endpoint_url: self.endpoint_url.clone(),
            expected_bucket_owner: self.owner(uri),
            patience: Patience {
                attempts: self.s3_attempts,
                pause: Duration::from_millis(self.s3_pause_ms),
                answer: Duration::from_secs(self.s3_answer_seconds),
            },
            ..S3Options::default()
        }
    }

    fn owner(&self, uri: &str) -> Option<String> {
        let bucket = uri.strip_prefix("s3://")?.split('/').next()?;
        let named = self.expected_bucket_owner.iter().find_map(|entry| {
            entry.split_once('=').filter(|(name, _)| *name == bucket).map(|(_, owner)| owner)
        });
        let any = self.expected_bucket_owner.iter().find(|entry| !entry.contains('='));
        named.or(any.map(String::as_str)).map(str::to_owned)
    }
}
