//! A store in a prefix of an S3 bucket, or of a server that speaks S3.
//!
//! In: keys and bytes. Out: what the bucket holds. Wrong: what `StoreErrorKind` lists, each with
//! code, status, request id and a hint. Requests are sent up to five times, with growing, jittered
//! pauses; bodies, which the SDK does not retry, are read anew from here. This is the only file
//! that names the AWS SDK.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
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
use aws_sdk_s3::error::{BoxError, DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    EncodingType, MetadataDirective, Object, ObjectStorageClass, OptionalObjectAttributes,
    RequestPayer, ServerSideEncryption, StorageClass,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt};

use super::s3_error::{Answer, Reached, Request, explain};
use super::{GetOptions, ObjectMeta, Store, StoreError, StoreErrorKind, StoreResult, uri};

/// How often one request is sent, and one body read.
const ATTEMPTS: u32 = 5;
/// Time for a connection, the handshake included.
const CONNECT: Duration = Duration::from_secs(10);
/// Time until an answer begins, beside what a body needs.
const ANSWER: Duration = Duration::from_secs(60);
/// Time for a copy on the server: it moves up to 5 GiB before it answers.
const COPY: Duration = Duration::from_mins(15);
/// A body that is slower over its whole length counts as broken; the SDK ends one that stands still.
const SLOWEST_BYTES_PER_SECOND: u64 = 64 << 10;
/// How long a body may stand still.
const STALL: Duration = Duration::from_secs(20);
/// The first pause before a body is read again; it doubles.
const PAUSE: Duration = Duration::from_millis(250);
/// Tokens for retries, five each: a whole set of fetches may be throttled at once while S3 splits a
/// busy prefix, and the SDK's 500 would turn that into failed objects.
const RETRY_TOKENS: usize = 10_000;
/// More is not reserved on the word of a `Content-Length` alone.
const RESERVED_BYTES_MAX: u64 = 256 << 20;
/// Where a bucket is looked for when nothing names a Region.
const DEFAULT_REGION: &str = "us-east-1";
/// The name of the user metadata that holds an object's SHA-256.
const SHA256: &str = "sha256";

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

/// The objects below a prefix of a bucket.
#[derive(Debug)]
pub struct S3 {
    client: Client,
    bucket: String,
    /// `""` or ending with `/`.
    prefix: String,
    base_uri: String,
    options: S3Options,
    /// Not AWS itself: a header for a condition may be unknown there.
    is_foreign: bool,
    sent: Arc<Sent>,
    bodies_again: AtomicU64,
    pause: Duration,
}

impl S3 {
    /// Opens a prefix (`""` for all) of a bucket, which must exist. Credentials and settings come
    /// from the SDK's default chain; the Region is that of the bucket.
    pub async fn open(bucket: &str, prefix: &str, options: &S3Options) -> StoreResult<Self> {
        let base_uri = base_uri(bucket, prefix);
        let refuse = |message| {
            StoreError::new(StoreErrorKind::Other, Request::Open.verb(), &base_uri, message)
        };
        if let Some(url) = &options.endpoint_url {
            uri::check_endpoint(url).map_err(refuse)?;
        }
        let sdk = load_settings(options).await;
        // The environment or the profile may name an endpoint too.
        if let Some(url) = sdk.endpoint_url() {
            uri::check_endpoint(url).map_err(refuse)?;
        }
        let is_foreign = sdk.endpoint_url().is_some();
        let mut region = sdk.region().map_or(DEFAULT_REGION, Region::as_ref).to_owned();
        let builder = Builder::from(&sdk).force_path_style(is_foreign);
        let mut store = Self::new(bucket, prefix, options.clone(), builder.clone(), &region);
        store.is_foreign = is_foreign;
        let found = store.find_region().await?;
        if let Some(found) =
            found.filter(|found| *found != region && !is_foreign && options.region.is_none())
        {
            region = found;
            store = Self::new(bucket, prefix, options.clone(), builder, &region);
        }
        Ok(store)
    }

    fn new(bucket: &str, prefix: &str, options: S3Options, builder: Builder, region: &str) -> Self {
        let sent = Arc::<Sent>::default();
        let builder = builder.region(Region::new(region.to_owned()));
        Self {
            client: Client::from_conf(tune(builder, &sent).build()),
            bucket: bucket.to_owned(),
            prefix: if prefix.is_empty() { String::new() } else { format!("{prefix}/") },
            base_uri: base_uri(bucket, prefix),
            options,
            is_foreign: false,
            sent,
            bodies_again: AtomicU64::new(0),
            pause: PAUSE,
        }
    }

    /// The bucket's Region, which S3 tells even where it refuses the request
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html>).
    async fn find_region(&self) -> StoreResult<Option<String>> {
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
                    _ => Err(explain(Request::Open, &answer, &self.base_uri)),
                }
            }
        }
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn owner(&self) -> Option<String> {
        self.options.expected_bucket_owner.clone()
    }

    fn payer(&self) -> Option<RequestPayer> {
        self.options.request_payer.then_some(RequestPayer::Requester)
    }

    fn encryption(&self) -> Option<ServerSideEncryption> {
        self.options.sse_kms_key.is_some().then_some(ServerSideEncryption::AwsKms)
    }

    /// A bucket key spares calls to KMS.
    fn bucket_key(&self) -> Option<bool> {
        self.options.sse_kms_key.is_some().then_some(true)
    }

    fn error<E>(&self, request: Request, key: &str, error: &SdkError<E, HttpResponse>) -> StoreError
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        explain(request, &answer(error), self.uri(key))
    }

    fn other(&self, request: Request, key: &str, message: impl Into<String>) -> StoreError {
        StoreError::new(StoreErrorKind::Other, request.verb(), self.uri(key), message)
    }

    async fn page(&self, prefix: &str, token: Option<String>) -> StoreResult<ListObjectsV2Output> {
        self.client
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(self.key(prefix))
            // XML cannot hold every byte of a key.
            .encoding_type(EncodingType::Url)
            .optional_object_attributes(OptionalObjectAttributes::RestoreStatus)
            .set_continuation_token(token)
            .set_expected_bucket_owner(self.owner())
            .set_request_payer(self.payer())
            .send()
            .await
            .map_err(|error| self.error(Request::List, prefix, &error))
    }

    fn entry(&self, object: &Object, is_encoded: bool) -> StoreResult<ObjectMeta> {
        let text = object.key().unwrap_or_default();
        let key = if is_encoded { uri::decode_key(text) } else { Some(text.to_owned()) };
        let Some(key) = key.as_deref().and_then(|key| key.strip_prefix(&self.prefix)) else {
            let message = format!("the listing holds a key that was not asked for: `{text}`");
            return Err(self.other(Request::List, "", message));
        };
        let is_archive_class = matches!(
            object.storage_class(),
            Some(ObjectStorageClass::Glacier | ObjectStorageClass::DeepArchive)
        );
        let is_restored =
            object.restore_status().is_some_and(|status| status.restore_expiry_date().is_some());
        Ok(ObjectMeta {
            key: key.to_owned(),
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

    async fn head_object(
        &self,
        key: &str,
        if_match: Option<&str>,
    ) -> StoreResult<Option<ObjectMeta>> {
        let answered = self
            .client
            .head_object()
            .bucket(&self.bucket)
            .key(self.key(key))
            .set_if_match(if_match.map(quote))
            .set_expected_bucket_owner(self.owner())
            .set_request_payer(self.payer())
            .send()
            .await;
        match answered {
            Ok(output) => Ok(Some(head_meta(key, &output))),
            Err(error) if status(&error) == 404 => Ok(None),
            Err(error) => {
                let request = match if_match {
                    Some(_) => Request::Get { if_match: true },
                    None => Request::Head,
                };
                Err(self.error(request, key, &error))
            }
        }
    }

    async fn get_object(&self, key: &str, options: &GetOptions) -> StoreResult<Bytes> {
        if options.range.as_ref().is_some_and(|range| range.start >= range.end) {
            return self.get_nothing(key, options).await;
        }
        let request = Request::Get { if_match: options.if_match.is_some() };
        let mut attempt = 1;
        loop {
            let answered = self
                .client
                .get_object()
                .bucket(&self.bucket)
                .key(self.key(key))
                .set_if_match(options.if_match.as_deref().map(quote))
                .set_range(
                    options
                        .range
                        .as_ref()
                        .map(|range| format!("bytes={}-{}", range.start, range.end - 1)),
                )
                .set_expected_bucket_owner(self.owner())
                .set_request_payer(self.payer())
                .send()
                .await;
            let output = match answered {
                Ok(output) => output,
                // The range begins at the object's end or beyond it.
                Err(error) if status(&error) == 416 => return Ok(Bytes::new()),
                Err(error) => return Err(self.error(request, key, &error)),
            };
            match self.collect(request, key, options, output).await {
                Err(error) if error.kind == StoreErrorKind::Unavailable && attempt < ATTEMPTS => {
                    self.bodies_again.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(backoff(self.pause, attempt)).await;
                    attempt += 1;
                }
                other => return other,
            }
        }
    }

    /// An empty range cannot be asked for in HTTP; whether the object is there still counts.
    async fn get_nothing(&self, key: &str, options: &GetOptions) -> StoreResult<Bytes> {
        match self.head_object(key, options.if_match.as_deref()).await? {
            Some(_) => Ok(Bytes::new()),
            None => {
                let request = Request::Get { if_match: options.if_match.is_some() };
                let answer = Answer {
                    reached: Reached::Answered,
                    status: 404,
                    code: String::new(),
                    message: String::new(),
                    request_id: None,
                };
                Err(explain(request, &answer, self.uri(key)))
            }
        }
    }

    /// The body as one piece; [`StoreErrorKind::Unavailable`] when it broke off, stood still, or
    /// does not fit its checksum.
    async fn collect(
        &self,
        request: Request,
        key: &str,
        options: &GetOptions,
        output: GetObjectOutput,
    ) -> StoreResult<Bytes> {
        let announced = output.content_length().and_then(|length| u64::try_from(length).ok());
        let broken = |message: String| {
            let message = format!("the body broke off, after all retries: {message}");
            StoreError::new(StoreErrorKind::Unavailable, request.verb(), self.uri(key), message)
        };
        let asked = options.range.as_ref().map(|range| range.end - range.start);
        if let (Some(announced), Some(asked)) = (announced, asked)
            && announced > asked
        {
            let message = format!("the server gave {announced} bytes where {asked} were asked for");
            return Err(self.other(request, key, message));
        }
        let limit = ANSWER + transfer_time(announced.unwrap_or(RESERVED_BYTES_MAX));
        let bytes = match tokio::time::timeout(limit, read_body(output.body, announced)).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(message)) => return Err(broken(message)),
            Err(_) => return Err(broken(format!("slower than {} s", limit.as_secs()))),
        };
        match announced {
            Some(announced) if announced != bytes.len() as u64 => {
                Err(broken(format!("{} of {announced} bytes", bytes.len())))
            }
            _ => Ok(bytes),
        }
    }

    async fn put_object(
        &self,
        key: &str,
        bytes: Bytes,
        sha256: &str,
        adjust: impl FnOnce(PutObjectFluentBuilder) -> PutObjectFluentBuilder,
    ) -> StoreResult<()> {
        let Some(checksum) = uri::sha256_bytes(sha256) else {
            let message = "the sha256 is not 64 lower-case hex digits";
            return Err(self.other(Request::Put, key, message));
        };
        let limit = ANSWER + transfer_time(bytes.len() as u64);
        let request = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(self.key(key))
            .checksum_sha256(STANDARD.encode(checksum))
            .metadata(SHA256, sha256)
            .set_server_side_encryption(self.encryption())
            .set_ssekms_key_id(self.options.sse_kms_key.clone())
            .set_bucket_key_enabled(self.bucket_key())
            .set_expected_bucket_owner(self.owner())
            .set_request_payer(self.payer())
            .body(ByteStream::from(bytes));
        adjust(request)
            .customize()
            .config_override(attempt_limit(limit))
            .send()
            .await
            .map_err(|error| self.error(Request::Put, key, &error))?;
        Ok(())
    }

    async fn copy_object(&self, from: &str, to: &str) -> StoreResult<()> {
        // A server that does not know the condition on a copy would replace the target. Two writers
        // at one moment could still both pass, with equal bytes: names come from content.
        if self.is_foreign && self.head_object(to, None).await?.is_some() {
            let message = "the object exists already";
            let kind = StoreErrorKind::Precondition;
            return Err(StoreError::new(kind, Request::Copy.verb(), self.uri(to), message));
        }
        let source = uri::encode_key(&format!("{}/{}", self.bucket, self.key(from)));
        self.client
            .copy_object()
            .bucket(&self.bucket)
            .key(self.key(to))
            .copy_source(source)
            .if_none_match("*")
            .metadata_directive(MetadataDirective::Copy)
            .set_server_side_encryption(self.encryption())
            .set_ssekms_key_id(self.options.sse_kms_key.clone())
            .set_bucket_key_enabled(self.bucket_key())
            .set_expected_bucket_owner(self.owner())
            .set_expected_source_bucket_owner(self.owner())
            .set_request_payer(self.payer())
            .customize()
            .config_override(attempt_limit(COPY))
            .send()
            .await
            .map_err(|error| {
                // What is missing is the source, what exists is the target.
                let key = if status(&error) == 404 { from } else { to };
                self.error(Request::Copy, key, &error)
            })?;
        Ok(())
    }
}

impl Store for S3 {
    fn base_uri(&self) -> &str {
        &self.base_uri
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, StoreResult<ObjectMeta>> {
        stream::unfold(Listing::default(), move |mut listing| async move {
            loop {
                if let Some(entry) = listing.entries.pop_front() {
                    return Some((entry, listing));
                }
                if listing.is_complete {
                    return None;
                }
                match self.page(prefix, listing.token.clone()).await {
                    Ok(page) => listing.take(self, &page),
                    Err(error) => {
                        listing.is_complete = true;
                        return Some((Err(error), listing));
                    }
                }
            }
        })
        .boxed()
    }

    fn head<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Option<ObjectMeta>>> {
        Box::pin(self.head_object(key, None))
    }

    fn get<'a>(&'a self, key: &'a str, options: GetOptions) -> BoxFuture<'a, StoreResult<Bytes>> {
        Box::pin(async move { self.get_object(key, &options).await })
    }

    fn put<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
        sha256: &'a str,
    ) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(self.put_object(key, bytes, sha256, |request| request))
    }

    fn put_new<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
        sha256: &'a str,
    ) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(self.put_object(key, bytes, sha256, |request| request.if_none_match("*")))
    }

    fn copy_new<'a>(&'a self, from: &'a str, to: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(self.copy_object(from, to))
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            let request = self.client.delete_object().bucket(&self.bucket).key(self.key(key));
            let answered = request
                .set_expected_bucket_owner(self.owner())
                .set_request_payer(self.payer())
                .send()
                .await;
            match answered.map_err(|error| (code(&error), self.error(Request::Delete, key, &error)))
            {
                // Some servers answer so for an object that is not there.
                Err((code, _)) if code.as_deref() == Some("NoSuchKey") => Ok(()),
                Err((_, error)) => Err(error),
                Ok(_) => Ok(()),
            }
        })
    }

    fn retries(&self) -> u64 {
        self.sent.again() + self.bodies_again.load(Ordering::Relaxed)
    }
}

/// A listing between two pages.
#[derive(Debug, Default)]
struct Listing {
    entries: VecDeque<StoreResult<ObjectMeta>>,
    token: Option<String>,
    is_complete: bool,
}

impl Listing {
    fn take(&mut self, store: &S3, page: &ListObjectsV2Output) {
        let is_encoded = page.encoding_type() == Some(&EncodingType::Url);
        let entries = page.contents().iter().map(|object| store.entry(object, is_encoded));
        self.entries.extend(entries);
        // Only this tells whether more follows: a page may hold fewer keys than it could.
        if page.is_truncated() != Some(true) {
            self.is_complete = true;
            return;
        }
        let token = page.next_continuation_token().map(str::to_owned);
        if token.is_none() || token == self.token {
            let message = "the server says that more follows, but not where";
            self.entries.push_back(Err(store.other(Request::List, "", message)));
            self.is_complete = true;
        }
        self.token = token;
    }
}

fn base_uri(bucket: &str, prefix: &str) -> String {
    if prefix.is_empty() { format!("s3://{bucket}") } else { format!("s3://{bucket}/{prefix}") }
}

async fn load_settings(options: &S3Options) -> SdkConfig {
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

fn tune(builder: Builder, sent: &Arc<Sent>) -> Builder {
    let tokens = TokenBucket::builder().capacity(RETRY_TOKENS).build();
    builder
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
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
}

/// Another limit for one attempt of one request.
fn attempt_limit(limit: Duration) -> Builder {
    let timeouts =
        TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(limit).build();
    Builder::new().timeout_config(timeouts)
}

/// How long so many bytes may take.
fn transfer_time(bytes: u64) -> Duration {
    Duration::from_secs(bytes / SLOWEST_BYTES_PER_SECOND)
}

/// A random pause, up to twice as long after every attempt.
fn backoff(first: Duration, attempt: u32) -> Duration {
    let longest = first * 2_u32.saturating_pow(attempt);
    longest.mul_f64(0.5 + rand::random::<f64>() / 2.0)
}

/// Requests sent, and operations that sent them: the difference was sent again.
#[derive(Debug, Default)]
struct Sent {
    attempts: AtomicU64,
    operations: AtomicU64,
}

impl Sent {
    fn again(&self) -> u64 {
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

fn status<E>(error: &SdkError<E, HttpResponse>) -> u16 {
    error.raw_response().map_or(0, |response| response.status().as_u16())
}

fn code<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Option<String> {
    error.as_service_error().and_then(|error| error.code()).map(str::to_owned)
}

fn answer<E>(error: &SdkError<E, HttpResponse>) -> Answer
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let chain = || DisplayErrorContext(error).to_string();
    let (reached, message) = match error {
        SdkError::ServiceError(service) => {
            (Reached::Answered, service.err().message().unwrap_or_default().to_owned())
        }
        SdkError::ResponseError(_) | SdkError::TimeoutError(_) => (Reached::NoAnswer, chain()),
        SdkError::DispatchFailure(_) => (Reached::NoAnswer, chain()),
        _ => (Reached::NotSent, chain()),
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

fn head_meta(key: &str, output: &HeadObjectOutput) -> ObjectMeta {
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

/// Listings and headers quote an etag, some servers do not; kept without.
fn unquote(etag: Option<&str>) -> String {
    etag.unwrap_or_default().trim_matches('"').to_owned()
}

fn quote(etag: &str) -> String {
    format!("\"{etag}\"")
}

async fn read_body(mut body: ByteStream, announced: Option<u64>) -> Result<Bytes, String> {
    let mut next = async || match body.next().await {
        None => Ok(None),
        Some(Ok(chunk)) => Ok(Some(chunk)),
        Some(Err(error)) => Err(DisplayErrorContext(&error).to_string()),
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
