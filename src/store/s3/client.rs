//! How the SDK's client is set up: settings, time limits, retries.
//!
//! In: the user's options and the SDK's default chain. Out: a configuration. Limits: every wait has
//! an end, and every retry is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_s3::config::interceptors::{
    BeforeTransmitInterceptorContextMut, BeforeTransmitInterceptorContextRef, InterceptorContext,
};
use aws_sdk_s3::config::retry::{
    ClassifyRetry, RetryAction, RetryConfig, RetryPartition, TokenBucket,
};
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Builder, ConfigBag, Intercept, Region, RuntimeComponents,
    StalledStreamProtectionConfig,
};
use aws_sdk_s3::error::{BoxError, ProvideErrorMetadata as _};
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_types::service_config::ServiceConfigKey;

use super::tls;

/// Time for a connection, the handshake included.
pub(super) const CONNECT: Duration = Duration::from_secs(10);
/// The longest pause before something is sent again.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
/// A body slower than this over its whole length counts as broken.
const SLOWEST_BYTES_PER_SECOND: u64 = 64 << 10;
/// Tokens for retries, five each: a whole set of fetches may be throttled at once while S3 splits a
/// busy prefix, and the SDK's 500 would turn that into failed objects.
const RETRY_TOKENS: usize = 10_000;

/// How long a server is waited for, and how often it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How often one request is sent, and one body read; at least 1.
    pub attempts: u32,
    /// The first pause before something is sent again; it doubles each time, up to 20 s.
    pub pause: Duration,
    /// Time until an answer has come, beside what a body needs by its length.
    pub answer: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { attempts: 5, pause: Duration::from_secs(1), answer: Duration::from_mins(1) }
    }
}

impl Patience {
    /// Time for a copy on the server, which moves all bytes before it answers.
    pub(super) fn copy(&self) -> Duration {
        self.answer * 2
    }

    /// How long a body may stand still.
    fn stall(&self) -> Duration {
        self.answer / 3
    }

    fn connect(&self) -> Duration {
        CONNECT.min(self.answer)
    }

    /// The pause after an attempt, counted from 1: random, and twice as long each time.
    pub(super) fn backoff(&self, attempt: u32) -> Duration {
        let doubled = self.pause.saturating_mul(2_u32.saturating_pow(attempt - 1));
        doubled.min(LONGEST_PAUSE).mul_f64(0.5 + rand::random::<f64>() / 2.0)
    }
}

/// What a store on S3 needs beside its address.
#[derive(Debug, Clone, Default)]
pub struct S3Options {
    /// Another server that speaks S3, addressed by path; plain http only on this machine.
    pub endpoint_url: Option<String>,
    /// The profile of the AWS configuration files.
    pub profile: Option<String>,
    /// The bucket's Region; without it it is discovered.
    pub region: Option<String>,
    /// The account that must own the bucket, else every request fails.
    pub expected_bucket_owner: Option<String>,
    /// The KMS key for what is written; without it the bucket's default applies.
    pub sse_kms_key: Option<String>,
    /// Pay for requests to a requester-pays bucket.
    pub request_payer: bool,
    /// Time limits and retries.
    pub patience: Patience,
}

/// The settings of the default chain: environment, profile, and the machine's role.
pub(in crate::store) async fn load_settings(options: &S3Options) -> SdkConfig {
    // Read from the environment, a value that makes no sense would end the program in the SDK.
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(tls::client())
        .retry_config(retries(options.patience));
    if let Some(profile) = &options.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = &options.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(url) = &options.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    loader.load().await
}

/// The server that is asked in place of AWS: that of the options, of `AWS_ENDPOINT_URL_S3`, of the profile's
/// services, or of `AWS_ENDPOINT_URL`, as the SDK ranks them.
pub(super) fn endpoint_url(sdk: &SdkConfig, options: &S3Options) -> Option<String> {
    let key = ServiceConfigKey::builder()
        .service_id("S3")
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build();
    let of_s3 = || sdk.service_config()?.load_config(key.ok()?);
    options.endpoint_url.clone().or_else(of_s3).or_else(|| sdk.endpoint_url().map(str::to_owned))
}

fn retries(patience: Patience) -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(patience.attempts)
        .with_initial_backoff(patience.pause)
        .with_max_backoff(LONGEST_PAUSE)
}

/// Sets limits and retries.
pub(super) fn tune(builder: Builder, sent: &Arc<Sent>, patience: Patience) -> Builder {
    let tokens = TokenBucket::builder().capacity(RETRY_TOKENS).build();
    builder
        .retry_config(retries(patience))
        .retry_partition(RetryPartition::custom("healthtrail").token_bucket(tokens).build())
        .retry_classifier(PassingStatus)
        .timeout_config(limit(patience, patience.answer))
        .stalled_stream_protection(
            StalledStreamProtectionConfig::enabled()
                .upload_enabled(true)
                .download_enabled(true)
                .grace_period(patience.stall())
                .build(),
        )
        .interceptor(CountSent(Arc::clone(sent)))
        .interceptor(NoClearText)
}

/// Another limit for one attempt of one request.
pub(super) fn attempt_limit(patience: Patience, attempt: Duration) -> Builder {
    Builder::new().timeout_config(limit(patience, attempt))
}

fn limit(patience: Patience, attempt: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(patience.connect())
        .operation_attempt_timeout(attempt)
        .build()
}

/// How long so many bytes may take.
pub(super) fn transfer_time(bytes: u64) -> Duration {
    Duration::from_secs(bytes / SLOWEST_BYTES_PER_SECOND)
}

/// Requests sent, and operations that sent them: the difference was sent again.
#[derive(Debug, Default)]
pub(super) struct Sent {
    attempts: AtomicU64,
    operations: AtomicU64,
}

impl Sent {
    /// How many requests were sent again.
    pub(super) fn again(&self) -> u64 {
        let attempts = self.attempts.load(Ordering::Relaxed);
        attempts.saturating_sub(self.operations.load(Ordering::Relaxed))
    }
}

#[derive(Debug)]
struct CountSent(Arc<Sent>);

impl Intercept for CountSent {
    fn name(&self) -> &'static str {
        "CountSent"
    }

    fn modify_before_retry_loop(
        &self,
        _context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.operations.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn read_before_attempt(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.attempts.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// What the SDK does not know as passing: 429, with which other servers than AWS throttle, and 409, with
/// which S3 says that another request for the key is under way and this one is to be sent again
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-error-response.html>). Nor does it
/// know an answer as such that says yes and cannot be read, or bytes that came changed to the server.
#[derive(Debug)]
struct PassingStatus;

/// What S3 says when the bytes of a PUT are not those that were announced.
pub(super) const CHANGED_BYTES: [&str; 4] =
    ["BadDigest", "IncompleteBody", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"];

impl ClassifyRetry for PassingStatus {
    fn name(&self) -> &'static str {
        "PassingStatus"
    }

    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        match context.response().map(|response| response.status().as_u16()) {
            Some(429) => RetryAction::throttling_error(),
            Some(409) => RetryAction::transient_error(),
            Some(200..=299) if matches!(context.output_or_error(), Some(Err(_))) => {
                RetryAction::transient_error()
            }
            Some(400) if put_error(context).is_some_and(|code| CHANGED_BYTES.contains(&code)) => {
                RetryAction::transient_error()
            }
            _ => RetryAction::NoActionIndicated,
        }
    }
}

/// The code of the error that a PUT ended with.
fn put_error(context: &InterceptorContext) -> Option<&str> {
    let error = context.output_or_error()?.err()?.as_operation_error()?;
    error.downcast_ref::<PutObjectError>()?.code()
}

/// Whatever setting an address came from: no credentials and no findings in clear text to another
/// machine. Before the request is signed, so that the error says why and not only that it failed.
#[derive(Debug)]
pub(in crate::store) struct NoClearText;

impl Intercept for NoClearText {
    fn name(&self) -> &'static str {
        tls::NO_CLEAR_TEXT
    }

    fn read_before_signing(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        tls::check(context.request().uri()).map_err(BoxError::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_differ() {
        let patience = Patience::default();
        for (attempt, seconds) in (1..).zip([1, 2, 4, 8, 16, 20, 20]) {
            let longest = Duration::from_secs(seconds);
            let pauses: Vec<_> = (0..20).map(|_| patience.backoff(attempt)).collect();
            let fit = |pause: &Duration| *pause >= longest / 2 && *pause <= longest;
            assert!(pauses.iter().all(fit), "{attempt}: {pauses:?}");
            assert!(pauses.iter().any(|pause| *pause != pauses[0]), "{attempt}: {pauses:?}");
        }
    }

    #[test]
    fn large_bodies_get_more_time() {
        assert_eq!(transfer_time(0), Duration::ZERO);
        assert_eq!(transfer_time(64 << 20), Duration::from_secs(1024));
    }
}
