//! A store in a prefix of an S3 bucket, or of a server that speaks S3.
//!
//! In: keys and bytes. Out: what the bucket holds. Wrong: what `StoreErrorKind` lists, each with
//! code, status, request id and a hint. Requests are sent up to five times ([`Patience`]), with growing,
//! jittered pauses; bodies, which the SDK does not retry, are read anew from here. Only this folder names
//! the AWS SDK.

mod answer;
mod client;
mod error;
mod facts;
mod listing;
mod tls;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::{Builder, Region};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{MetadataDirective, RequestPayer, ServerSideEncryption};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt};

pub(in crate::store) use self::answer::causes;
use self::answer::{
    RESERVED_BYTES_MAX, SHA256, answer, code, given_bytes, head_meta, quote, range_header,
    read_body, status,
};
pub(in crate::store) use self::client::{NoClearText, load_settings};
pub use self::client::{Patience, S3Options};
use self::client::{Sent, attempt_limit, endpoint_url, transfer_time, tune};
use self::error::{Answer, Place, Request, explain};
use self::facts::Whereabouts;
pub(super) use self::facts::identity;
use self::listing::Listing;
pub(in crate::store) use self::tls::NO_CLEAR_TEXT;
use super::{
    GetOptions, ObjectMeta, Store, StoreError, StoreErrorKind, StoreFacts, StoreResult, sha256_hex,
    uri,
};

/// Where a bucket is looked for when nothing names a Region.
const DEFAULT_REGION: &str = "us-east-1";

/// The objects below a prefix of a bucket.
pub struct S3 {
    client: Client,
    bucket: String,
    /// `""` or ending with `/`.
    prefix: String,
    base_uri: String,
    options: S3Options,
    region: String,
    /// Not AWS itself: a header for a condition may be unknown there.
    is_foreign: bool,
    whereabouts: Whereabouts,
    sent: Arc<Sent>,
    bodies_again: AtomicU64,
    /// A deletion was answered with a delete marker.
    keeps_versions: AtomicBool,
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
        let endpoint_url = endpoint_url(&sdk, options);
        if let Some(url) = &endpoint_url {
            uri::check_endpoint(url).map_err(refuse)?;
        }
        let is_foreign = endpoint_url.is_some();
        let configured = sdk.region().map(ToString::to_string);
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
        store.whereabouts =
            Whereabouts { region: Some(region), configured, endpoint: endpoint_url };
        Ok(store)
    }

    fn new(bucket: &str, prefix: &str, options: S3Options, builder: Builder, region: &str) -> Self {
        let sent = Arc::<Sent>::default();
        let builder = builder.region(Region::new(region.to_owned()));
        Self {
            client: Client::from_conf(tune(builder, &sent, options.patience).build()),
            bucket: bucket.to_owned(),
            prefix: if prefix.is_empty() { String::new() } else { format!("{prefix}/") },
            base_uri: base_uri(bucket, prefix),
            options,
            region: region.to_owned(),
            is_foreign: false,
            whereabouts: Whereabouts::default(),
            sent,
            bodies_again: AtomicU64::new(0),
            keeps_versions: AtomicBool::new(false),
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
        explain(request, &answer(error), self.place(self.uri(key)))
    }

    fn place(&self, uri: String) -> Place {
        Place::new(uri, &self.region)
    }

    fn other(&self, request: Request, key: &str, message: impl Into<String>) -> StoreError {
        StoreError::new(StoreErrorKind::Other, request.verb(), self.uri(key), message)
    }

    async fn head_object(
        &self,
        key: &str,
        if_match: Option<&str>,
    ) -> StoreResult<Option<ObjectMeta>> {
        let request = self.client.head_object();
        let answered = request
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
                .set_range(options.range.as_ref().map(range_header))
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
            let patience = self.options.patience;
            match self.collect(request, key, options, output).await {
                Err((_, Again::Yes)) if attempt < patience.attempts => {
                    self.bodies_again.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(patience.backoff(attempt)).await;
                    attempt += 1;
                }
                other => return other.map_err(|(error, _)| error),
            }
        }
    }

    /// An empty range cannot be asked for in HTTP; whether the object is there still counts.
    async fn get_nothing(&self, key: &str, options: &GetOptions) -> StoreResult<Bytes> {
        if self.head_object(key, options.if_match.as_deref()).await?.is_some() {
            return Ok(Bytes::new());
        }
        let request = Request::Get { if_match: options.if_match.is_some() };
        Err(explain(request, &Answer::missing(), self.place(self.uri(key))))
    }

    /// The body as one piece; [`StoreErrorKind::Unavailable`] when it broke off, stood still, or
    /// does not fit its checksum, and whether to read it again.
    async fn collect(
        &self,
        request: Request,
        key: &str,
        options: &GetOptions,
        output: GetObjectOutput,
    ) -> Result<Bytes, (StoreError, Again)> {
        let announced = output.content_length().and_then(|length| u64::try_from(length).ok());
        let broken = |message: String| {
            let message = format!("the body broke off, after all retries: {message}");
            let kind = StoreErrorKind::Unavailable;
            (StoreError::new(kind, request.verb(), self.uri(key), message), Again::Yes)
        };
        let kept = output.metadata().and_then(|metadata| metadata.get(SHA256)).cloned();
        // Of a range the server tells which one it gives.
        let given = output.content_range().and_then(given_bytes);
        let asked = options.range.as_ref().map(|range| range.end - range.start);
        if let (Some(announced), Some(asked)) = (announced, asked)
            && announced > asked
        {
            let message = format!("the server gave {announced} bytes where {asked} were asked for");
            return Err((self.other(request, key, message), Again::No));
        }
        let limit =
            self.options.patience.answer + transfer_time(announced.unwrap_or(RESERVED_BYTES_MAX));
        let bytes = match tokio::time::timeout(limit, read_body(output.body, announced)).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(message)) => return Err(broken(message)),
            Err(_) => return Err(broken(format!("slower than {} s", limit.as_secs()))),
        };
        let announced = given.or(announced);
        if let Some(announced) = announced.filter(|announced| *announced != bytes.len() as u64) {
            return Err(broken(format!("{} of {announced} bytes", bytes.len())));
        }
        if options.own
            && options.range.is_none()
            && kept.is_some_and(|kept| {
                uri::sha256_bytes(&kept).is_some() && kept != sha256_hex(&bytes)
            })
        {
            let message = "the bytes do not fit the SHA-256 kept with them, after all retries";
            return Err((self.other(request, key, message), Again::Yes));
        }
        Ok(bytes)
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
        let patience = self.options.patience;
        let limit = patience.answer + transfer_time(bytes.len() as u64);
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
            .config_override(attempt_limit(patience, limit))
            .send()
            .await
            .map_err(|error| self.error(Request::Put, key, &error))?;
        Ok(())
    }

    async fn copy_object(&self, from: &str, to: &str) -> StoreResult<()> {
        // A server that does not know the condition on a copy would replace the target. Two writers
        // at one moment could still both pass, with equal bytes: names come from content.
        if self.is_foreign && self.head_object(to, None).await?.is_some() {
            let (kind, message) = (StoreErrorKind::Precondition, "the object exists already");
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
            .config_override(attempt_limit(self.options.patience, self.options.patience.copy()))
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

impl fmt::Debug for S3 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client's settings would fill pages.
        formatter.debug_struct("S3").field("base_uri", &self.base_uri).finish_non_exhaustive()
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
                Ok(output) => {
                    if output.delete_marker() == Some(true) {
                        self.keeps_versions.store(true, Ordering::Relaxed);
                    }
                    Ok(())
                }
            }
        })
    }

    fn keeps_versions(&self) -> bool {
        self.keeps_versions.load(Ordering::Relaxed)
    }

    fn facts(&self) -> BoxFuture<'_, StoreFacts> {
        Box::pin(self.find_facts())
    }

    fn retries(&self) -> u64 {
        self.sent.again() + self.bodies_again.load(Ordering::Relaxed)
    }
}

/// Whether a body that cannot be used is worth being read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    Yes,
    No,
}

fn base_uri(bucket: &str, prefix: &str) -> String {
    if prefix.is_empty() { format!("s3://{bucket}") } else { format!("s3://{bucket}/{prefix}") }
}

#[cfg(test)]
mod tests;
