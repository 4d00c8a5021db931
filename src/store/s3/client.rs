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
use aws_sdk_s3::error::BoxError;

use crate::store::uri;

/// How often one request is sent, and one body read.
pub(super) const ATTEMPTS: u32 = 5;
/// The first pause before something is sent again; it doubles each time, up to 20 s.
pub(super) const PAUSE: Duration = Duration::from_secs(1);
/// Time until an answer begins, beside what a body needs.
pub(super) const ANSWER: Duration = Duration::from_mins(1);
/// Time for a copy on the server: it moves up to 5 GiB before it answers.
pub(super) const COPY: Duration = Duration::from_mins(15);
/// Time for a connection, the handshake included.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a body may stand still.
const STALL: Duration = Duration::from_secs(20);
/// A body slower than this over its whole length counts as broken.
const SLOWEST_BYTES_PER_SECOND: u64 = 64 << 10;
/// Tokens for retries, five each: a whole set of fetches may be throttled at once while S3 splits a
/// busy prefix, and the SDK's 500 would turn that into failed objects.
const RETRY_TOKENS: usize = 10_000;

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
}

/// How an error of [`NoClearText`] is known again.
pub(in crate::store) const NO_CLEAR_TEXT: &str = "NoClearText";

/// The settings of the default chain: environment, profile, and the machine's role.
pub(in crate::store) async fn load_settings(options: &S3Options) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest());
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

/// Sets limits and retries; `pause` is [`PAUSE`] but in tests.
pub(super) fn tune(builder: Builder, sent: &Arc<Sent>, pause: Duration) -> Builder {
    let tokens = TokenBucket::builder().capacity(RETRY_TOKENS).build();
    builder
        .retry_config(
            RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(pause),
        )
        .retry_partition(RetryPartition::custom("healthtrail").token_bucket(tokens).build())
        .retry_classifier(TooManyRequests)
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT)
                .operation_attempt_timeout(ANSWER)
                .build(),
        )
        .stalled_stream_protection(
            StalledStreamProtectionConfig::enabled()
                .upload_enabled(true)
                .download_enabled(true)
                .grace_period(STALL)
                .build(),
        )
        .interceptor(CountSent(Arc::clone(sent)))
        .interceptor(NoClearText)
}

/// Another limit for one attempt of one request.
pub(super) fn attempt_limit(limit: Duration) -> Builder {
    let timeouts =
        TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(limit).build();
    Builder::new().timeout_config(timeouts)
}

/// How long so many bytes may take.
pub(super) fn transfer_time(bytes: u64) -> Duration {
    Duration::from_secs(bytes / SLOWEST_BYTES_PER_SECOND)
}

/// The pause after an attempt, counted from 1: random, and twice as long each time.
pub(super) fn backoff(first: Duration, attempt: u32) -> Duration {
    let longest = first * 2_u32.saturating_pow(attempt - 1);
    longest.mul_f64(0.5 + rand::random::<f64>() / 2.0)
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

/// Other servers than AWS throttle with 429, which the SDK does not know as passing.
#[derive(Debug)]
struct TooManyRequests;

impl ClassifyRetry for TooManyRequests {
    fn name(&self) -> &'static str {
        "TooManyRequests"
    }

    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        match context.response().map(|response| response.status().as_u16()) {
            Some(429) => RetryAction::throttling_error(),
            _ => RetryAction::NoActionIndicated,
        }
    }
}

/// Whatever setting an address came from: no credentials and no findings in clear text to another
/// machine.
#[derive(Debug)]
pub(in crate::store) struct NoClearText;

impl Intercept for NoClearText {
    fn name(&self) -> &'static str {
        NO_CLEAR_TEXT
    }

    fn read_before_signing(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        uri::check_endpoint(context.request().uri()).map_err(BoxError::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_differ() {
        for attempt in 1..ATTEMPTS {
            let longest = PAUSE * 2_u32.pow(attempt - 1);
            let pause = backoff(PAUSE, attempt);
            assert!(pause >= longest / 2 && pause <= longest, "{attempt}: {pause:?}");
        }
    }

    #[test]
    fn large_bodies_get_more_time() {
        assert_eq!(transfer_time(0), Duration::ZERO);
        assert_eq!(transfer_time(64 << 20), Duration::from_secs(1024));
    }
}
