//! Who one is, where a bucket lies, and what time it is there: what `doctor` asks.
//!
//! In: options, or an opened store. Out: names and numbers; never a secret. Two requests that change nothing:
//! `GetCallerIdentity`, which needs no permission, and `HeadBucket`. Each is sent twice at most.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    ConfigBag, Intercept, ProvideCredentials as _, Region, RuntimeComponents,
};
use aws_sdk_s3::error::BoxError;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

use super::answer::answer;
use super::client::{CONNECT, NoClearText, S3Options, load_settings};
use super::error::{Answer, Place, Reached, Request, explain};
use super::{DEFAULT_REGION, S3};
use crate::store::facts::{Identity, StoreFacts};
use crate::store::{StoreError, StoreErrorKind, StoreResult, uri};

/// Time for one answer to a question that has a short one.
const SHORT_ANSWER: Duration = Duration::from_secs(20);
const ATTEMPTS: u32 = 2;

/// Where a store's requests go.
#[derive(Debug, Clone, Default)]
pub(super) struct Whereabouts {
    /// The Region that requests are signed for.
    pub(super) region: Option<String>,
    /// The Region that the settings name.
    pub(super) configured: Option<String>,
    /// Another server than AWS.
    pub(super) endpoint: Option<String>,
}

/// Who the credentials of these options belong to. A server other than AWS is not asked, unless
/// `AWS_ENDPOINT_URL_STS` names one that can be.
pub(in crate::store) async fn identity(options: &S3Options) -> StoreResult<Identity> {
    let name = options.profile.as_ref().map_or_else(
        || "the default credentials".to_owned(),
        |profile| format!("profile {profile}"),
    );
    let sdk = load_settings(&S3Options { endpoint_url: None, ..options.clone() }).await;
    let is_set = |variable: &str| std::env::var_os(variable).is_some_and(|value| !value.is_empty());
    let is_foreign = options.endpoint_url.is_some()
        || sdk.endpoint_url().is_some()
        || is_set("AWS_ENDPOINT_URL_S3");
    let none = |message: String| {
        let answer = Answer { reached: Reached::NoCredentials, message, ..Answer::missing() };
        let answer = Answer { status: 0, code: String::new(), ..answer };
        explain(Request::Identify, &answer, Place::new(&name, DEFAULT_REGION))
    };
    let provider = sdk.credentials_provider().ok_or_else(|| none(String::new()))?;
    provider.provide_credentials().await.map_err(|error| none(error.to_string()))?;
    if is_foreign && !is_set("AWS_ENDPOINT_URL_STS") {
        return Ok(Identity::NotAsked);
    }
    if let Some(url) = sdk.endpoint_url() {
        uri::check_endpoint(url).map_err(|message| {
            StoreError::new(StoreErrorKind::Other, Request::Identify.verb(), &name, message)
        })?;
    }
    let region = sdk.region().cloned().unwrap_or(Region::from_static(DEFAULT_REGION));
    let timeouts =
        TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(SHORT_ANSWER);
    let config = aws_sdk_sts::config::Builder::from(&sdk)
        .region(region)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .timeout_config(timeouts.build())
        .interceptor(NoClearText);
    let client = aws_sdk_sts::Client::from_conf(config.build());
    match client.get_caller_identity().send().await {
        Ok(who) => Ok(Identity::Arn(who.arn().unwrap_or_default().to_owned())),
        Err(error) => {
            Err(explain(Request::Identify, &answer(&error), Place::new(&name, DEFAULT_REGION)))
        }
    }
}

impl S3 {
    /// The bucket's Region, which S3 tells even where it refuses the request
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html>).
    pub(super) async fn find_region(&self) -> StoreResult<Option<String>> {
        let request = self.client.head_bucket().bucket(&self.bucket);
        match request.set_expected_bucket_owner(self.owner()).send().await {
            Ok(output) => Ok(output.bucket_region().map(str::to_owned)),
            Err(error) => {
                let answer = answer(&error);
                let region = error
                    .raw_response()
                    .and_then(|response| response.headers().get("x-amz-bucket-region"))
                    .map(str::to_owned);
                match answer.status {
                    // A HEAD has no body that would tell why. It may need a permission that the
                    // work itself does not, so the first real request decides and explains.
                    301 | 400 | 401 | 403 if answer.reached == Reached::Answered => Ok(region),
                    _ => Err(explain(Request::Open, &answer, self.place(self.base_uri.clone()))),
                }
            }
        }
    }

    /// Looks at the bucket once more, for the time of the answer.
    pub(super) async fn find_facts(&self) -> StoreFacts {
        let clock = ServerClock::default();
        let ahead = Arc::clone(&clock.ahead_ms);
        let asked = self.client.head_bucket().bucket(&self.bucket);
        let asked = asked.set_expected_bucket_owner(self.owner());
        // Only the time of its answer counts; what else is wrong, the requests of a run tell.
        let _answer = asked.customize().interceptor(clock).send().await;
        let clock_ahead_ms = *ahead.lock().unwrap_or_else(PoisonError::into_inner);
        let Whereabouts { region, configured, endpoint } = self.whereabouts.clone();
        StoreFacts { is_s3: true, region, configured_region: configured, endpoint, clock_ahead_ms }
    }
}

/// Notes how far this machine's clock is ahead of the server's.
#[derive(Debug, Default)]
struct ServerClock {
    ahead_ms: Arc<Mutex<Option<i64>>>,
}

impl Intercept for ServerClock {
    fn name(&self) -> &'static str {
        "ServerClock"
    }

    fn read_after_transmit(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let here = Timestamp::now();
        let there = context.response().headers().get("date").and_then(time_of);
        let ahead = there.map(|there| here.as_millisecond() - there.as_millisecond());
        *self.ahead_ms.lock().unwrap_or_else(PoisonError::into_inner) = ahead;
        Ok(())
    }
}

/// `Tue, 24 Nov 2026 03:00:05 GMT`
fn time_of(date: &str) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(date).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_of_an_answer_is_a_time() {
        let expected = "2026-11-24T03:00:05Z".parse().ok();
        assert_eq!(time_of("Tue, 24 Nov 2026 03:00:05 GMT"), expected);
        assert_eq!(time_of("soon"), None);
    }
}
