//! Options that several commands share: how to reach archives and lakes.

use std::time::Duration;

use clap::Args;
use clap::builder::{FalseyValueParser, RangedU64ValueParser};
use clap::value_parser;

use super::values::table_prefix;
use crate::finding::limits::{CountLimits, DEPTH_MAX, ENTITIES_MAX, ZIP_ENTRIES_MAX};
use crate::store::catalog::GlueOptions;
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
    /// It is sent with every request, so a bucket that somebody else has made under a name that was yours is
    /// neither read nor written. `BUCKET=ACCOUNT` names the owner of one bucket; give the option once for each.
    #[arg(
        long,
        value_name = "[BUCKET=]ACCOUNT",
        env = "HEALTHTRAIL_EXPECTED_BUCKET_OWNER",
        value_delimiter = ',',
        value_parser = owner,
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

/// How to reach the Glue Data Catalog, and what the tables are called there.
#[derive(Debug, Clone, Args)]
pub(super) struct CatalogArgs {
    /// What the names of the tables begin with, in a database that others use too: `health_`
    #[arg(
        long,
        value_name = "PREFIX",
        env = "HEALTHTRAIL_TABLE_PREFIX",
        default_value = "",
        hide_default_value = true,
        value_parser = table_prefix,
        help_heading = "Glue"
    )]
    pub(super) table_prefix: String,

    /// Address of a Glue other than the Region's own, such as a VPC endpoint's
    ///
    /// Plain http only for loopback hosts. The Region is that of the environment or profile (`AWS_REGION`),
    /// the credentials are those that write the lake (`--lake-profile`).
    #[arg(long, value_name = "URL", env = "HEALTHTRAIL_GLUE_ENDPOINT_URL", help_heading = "Glue")]
    pub(super) glue_endpoint_url: Option<String>,
}

impl CatalogArgs {
    /// Options to reach the catalog with the lake's credentials.
    pub(super) fn glue(&self, stores: &StoreArgs) -> GlueOptions {
        GlueOptions {
            endpoint_url: self.glue_endpoint_url.clone(),
            profile: stores.lake_profile.clone(),
        }
    }
}

/// How deep, and how many: what the limits in bytes leave open.
#[derive(Debug, Clone, Copy, Args)]
#[expect(clippy::struct_field_names, reason = "the options end so")]
pub(super) struct CountArgs {
    /// Deepest document, 1 to 127 levels; a deeper one is a reject, `too_deep`
    #[arg(
        long,
        value_name = "LEVELS",
        env = "HEALTHTRAIL_DEPTH_MAX",
        default_value_t = DEPTH_MAX,
        value_parser = value_parser!(u32).range(1..=i64::from(DEPTH_MAX))
    )]
    depth_max: u32,

    /// Most entries of a zip object; the rest of one with more is a reject, `too_many_entries`
    #[arg(
        long,
        value_name = "N",
        env = "HEALTHTRAIL_ZIP_ENTRIES_MAX",
        default_value_t = ZIP_ENTRIES_MAX,
        value_parser = value_parser!(u32).range(1..)
    )]
    zip_entries_max: u32,

    /// Most entities or resources of a finding; one with more is a reject, `too_many_entities`
    #[arg(
        long,
        value_name = "N",
        env = "HEALTHTRAIL_ENTITIES_MAX",
        default_value_t = ENTITIES_MAX,
        value_parser = value_parser!(u32).range(1..)
    )]
    entities_max: u32,
}

impl CountArgs {
    /// The limits.
    pub(super) fn limits(self) -> CountLimits {
        let Self { depth_max, zip_entries_max, entities_max } = self;
        CountLimits { depth_max, zip_entries_max, entities_max }
    }
}

/// `ACCOUNT` or `BUCKET=ACCOUNT`, with an account of twelve digits: a name in its place would be refused by S3 in
/// words that nobody understands.
fn owner(text: &str) -> Result<String, String> {
    let account = text.split_once('=').map_or(text, |(_, account)| account);
    if account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    Err(format!("`{text}` names no account; write it as `111122223333` or `BUCKET=111122223333`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_an_account() {
        for text in ["111122223333", "my-lake=111122223333"] {
            assert_eq!(owner(text).as_deref(), Ok(text));
        }
        for text in
            ["", "my-lake", "11112222333", "111122223333=my-lake", "my-lake=", "٠11122223333"]
        {
            assert!(owner(text).unwrap_err().contains("BUCKET="), "{text}");
        }
    }
}
