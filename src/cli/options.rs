//! Options that several commands share: how to reach archives and lakes.

use clap::Args;
use clap::builder::FalseyValueParser;

use super::values::table_prefix;
use crate::store::catalog::GlueOptions;
use crate::store::{S3Options, StoreOptions};

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
