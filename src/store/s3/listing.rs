//! The state of a listing that is read page by page.
//!
//! In: pages of `ListObjectsV2`. Out: entries, and where the next page begins. Wrong: a server that says that
//! more follows, but not where; a key that was not asked for; a page that was cut, which reads like a shorter
//! one. Memory: one page, of 1,000 keys.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::types::{EncodingType, OptionalObjectAttributes};

use super::S3;
use super::answer::listed_meta;
use super::error::Request;
use crate::store::{ObjectMeta, Store as _, StoreError, StoreErrorKind, StoreResult};

/// A listing between two pages.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) entries: VecDeque<StoreResult<ObjectMeta>>,
    pub(super) token: Option<String>,
    pub(super) is_complete: bool,
}

impl Listing {
    /// Takes in a page.
    pub(super) fn take(&mut self, store: &S3, page: &ListObjectsV2Output) {
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

/// What a page lacks that was cut on its way: the SDK takes the end of the text for the end of the page.
pub(super) fn cut(page: &ListObjectsV2Output) -> Option<String> {
    let held = page.contents().len() + page.common_prefixes().len();
    match page.key_count().map(usize::try_from) {
        Some(Ok(said)) if held < said => Some(format!("{held} of {said} keys")),
        // Both stand in every answer.
        None if page.is_truncated().is_none() => {
            Some("it does not say whether more follows".into())
        }
        _ => None,
    }
}

impl S3 {
    /// One page; one that was cut on its way is asked for again.
    pub(super) async fn page(
        &self,
        prefix: &str,
        token: Option<String>,
    ) -> StoreResult<ListObjectsV2Output> {
        let mut attempt = 1;
        loop {
            let page = self.page_once(prefix, token.clone()).await?;
            let Some(why) = cut(&page) else { return Ok(page) };
            if attempt >= self.options.patience.attempts {
                let message =
                    format!("the page was cut, after all retries: {why}; hint: run again");
                let (kind, verb) = (StoreErrorKind::Unavailable, Request::List.verb());
                return Err(StoreError::new(kind, verb, self.uri(prefix), message));
            }
            self.bodies_again.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(self.options.patience.backoff(attempt)).await;
            attempt += 1;
        }
    }

    async fn page_once(
        &self,
        prefix: &str,
        token: Option<String>,
    ) -> StoreResult<ListObjectsV2Output> {
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

    pub(super) fn entry(
        &self,
        object: &aws_sdk_s3::types::Object,
        is_encoded: bool,
    ) -> StoreResult<ObjectMeta> {
        listed_meta(object, is_encoded, &self.prefix).ok_or_else(|| {
            let key = object.key().unwrap_or_default();
            let message = format!("the listing holds a key that was not asked for: `{key}`");
            self.other(Request::List, "", message)
        })
    }
}
