//! What an S3 error means for a caller, and what to do about it, in words.
//!
//! In: what was asked and what came back (status, code, message, request id). Out: a `StoreError`.
//! Pure, so that the whole table can be tested without a server. Codes are those of
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>.

use super::client::CHANGED_BYTES;
use crate::store::{StoreError, StoreErrorKind};

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// `GetCallerIdentity`.
    Identify,
    /// `HeadBucket`.
    Open,
    /// `ListObjectsV2`.
    List,
    /// `HeadObject`.
    Head,
    /// `GetObject`.
    Get {
        /// With `If-Match`.
        if_match: bool,
    },
    /// `PutObject`.
    Put,
    /// `CopyObject`.
    Copy,
    /// `DeleteObject`.
    Delete,
}

/// How far a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reached {
    /// The server answered.
    Answered,
    /// No connection, no answer in time, or one that broke off.
    NoAnswer,
    /// The request was never built.
    NotSent,
    /// There was nothing to sign it with.
    NoCredentials,
}

/// What came back.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) reached: Reached,
    /// The HTTP status, 0 without an answer.
    pub(super) status: u16,
    /// The error code, empty when the answer has none (as to a HEAD).
    pub(super) code: String,
    pub(super) message: String,
    pub(super) request_id: Option<String>,
}

impl Answer {
    /// What a GET of a missing object is answered with.
    pub(super) fn missing() -> Self {
        Self {
            reached: Reached::Answered,
            status: 404,
            code: "NoSuchKey".to_owned(),
            message: String::new(),
            request_id: None,
        }
    }
}

impl Request {
    /// As [`StoreError::operation`] has it.
    pub(super) fn verb(self) -> &'static str {
        match self {
            Self::Identify => "asking for the identity of",
            Self::Open => "opening",
            Self::List => "listing",
            Self::Head | Self::Get { .. } => "reading",
            Self::Put => "writing",
            Self::Copy => "copying",
            Self::Delete => "deleting",
        }
    }

    /// The permissions it needs, for a hint, on the very object or prefix
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html>).
    /// `docs/security.md` has the policies.
    fn permissions(self, place: &Place) -> String {
        let (bucket, object) = (place.bucket(), place.object());
        match self {
            Self::Identify => {
                "no permission that a policy could give; a deny may stand in one".to_owned()
            }
            Self::Open | Self::List => format!("s3:ListBucket on {bucket}"),
            Self::Head | Self::Get { .. } => format!(
                "s3:GetObject on {object}, s3:ListBucket on {bucket} (without it a missing object \
                 looks forbidden), and kms:Decrypt on the key of an encrypted bucket"
            ),
            Self::Put => format!(
                "s3:PutObject on {object}, and kms:GenerateDataKey on the key of an encrypted bucket"
            ),
            Self::Copy => format!(
                "s3:GetObject on what is copied, s3:PutObject on {object}, and kms:Decrypt and \
                 kms:GenerateDataKey on the key of an encrypted bucket"
            ),
            Self::Delete => format!("s3:DeleteObject on {object}"),
        }
    }
}

/// The object or prefix of a request, as IAM names it.
#[derive(Debug, Clone)]
pub(super) struct Place {
    uri: String,
    /// `aws`, `aws-cn`, `aws-us-gov`, …
    partition: &'static str,
}

impl Place {
    /// What lies at this address, in a bucket of this Region.
    pub(super) fn new(uri: impl Into<String>, region: &str) -> Self {
        Self { uri: uri.into(), partition: partition(region) }
    }

    fn path(&self) -> &str {
        self.uri.strip_prefix("s3://").unwrap_or(&self.uri)
    }

    fn bucket(&self) -> String {
        let bucket = self.path().split('/').next().unwrap_or_default();
        format!("arn:{}:s3:::{bucket}", self.partition)
    }

    fn object(&self) -> String {
        format!("arn:{}:s3:::{}", self.partition, self.path())
    }
}

/// The partition that a Region belongs to
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html>).
fn partition(region: &str) -> &'static str {
    match region.split('-').next() {
        Some("cn") => "aws-cn",
        Some("us") if region.starts_with("us-gov-") => "aws-us-gov",
        Some("eusc") => "aws-eusc",
        _ => "aws",
    }
}

/// The error for a caller.
pub(super) fn explain(request: Request, answer: &Answer, place: Place) -> StoreError {
    let (kind, what, hint) = judge(request, answer, &place);
    let details: Vec<String> = [
        (!answer.code.is_empty()).then(|| answer.code.clone()),
        (answer.status != 0).then(|| format!("HTTP {}", answer.status)),
        answer.request_id.as_ref().map(|id| format!("request {id}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    let details = match &details[..] {
        [] => String::new(),
        details => format!(" ({})", details.join(", ")),
    };
    let said = match answer.message.trim().trim_end_matches('.') {
        "" => String::new(),
        said => format!(": {said}"),
    };
    let hint = if hint.is_empty() { hint } else { format!("; hint: {hint}") };
    StoreError::new(kind, request.verb(), place.uri, format!("{what}{details}{said}{hint}"))
}

type Judgement = (StoreErrorKind, &'static str, String);

fn judge(request: Request, answer: &Answer, place: &Place) -> Judgement {
    match answer.reached {
        Reached::NoAnswer => (
            StoreErrorKind::Unavailable,
            "there was no answer, after all retries",
            "check the network and the endpoint, then run again".to_owned(),
        ),
        Reached::NotSent => {
            (StoreErrorKind::Other, "the request could not be built", String::new())
        }
        Reached::NoCredentials => (
            StoreErrorKind::Denied,
            "there are no usable AWS credentials",
            "sign in (aws sso login), or set AWS_PROFILE or AWS_ACCESS_KEY_ID and \
             AWS_SECRET_ACCESS_KEY"
                .to_owned(),
        ),
        Reached::Answered => judge_code(request, &answer.code, place)
            .unwrap_or_else(|| judge_status(request, answer.status, place)),
    }
}

fn judge_code(request: Request, code: &str, place: &Place) -> Option<Judgement> {
    use StoreErrorKind::{Archived, Denied, NotFound, Other, Unavailable};
    let (kind, what, hint) = match code {
        "NoSuchBucket" => {
            (NotFound, "there is no such bucket", "check its name, and make it if it is new")
        }
        "InvalidObjectState" => {
            (Archived, "the object lies in an archive storage class", "restore it first")
        }
        "ExpiredToken" | "TokenRefreshRequired" | "ExpiredTokenException" => {
            (Denied, "the AWS credentials have expired", "sign in again, then run again")
        }
        "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "InvalidToken"
        | "InvalidClientTokenId" => {
            (Denied, "the AWS credentials are not accepted", "check the profile and its keys")
        }
        "RequestTimeTooSkewed" => {
            (Denied, "this machine's clock is wrong", "set the clock, then run again")
        }
        "PermanentRedirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException" => {
            (Other, "the bucket lies in another Region", "name its Region (AWS_REGION)")
        }
        "SlowDown"
        | "Throttling"
        | "ThrottlingException"
        | "RequestTimeout"
        | "InternalError"
        | "ServiceUnavailable"
        | "TooManyRequests" => {
            (Unavailable, "the server is too busy, after all retries", "run again later")
        }
        _ if CHANGED_BYTES.contains(&code) => (
            Unavailable,
            "the bytes arrived changed and were not kept, after all retries",
            "run again",
        ),
        "EntityTooLarge" => (Other, "the object is too large for one request", ""),
        "NotImplemented" => (Other, "the server does not know this request", "use another server"),
        _ if code.starts_with("KMS.") => {
            return Some((
                Denied,
                "the encryption key cannot be used",
                format!("check the key and its policy; this needs {}", request.permissions(place)),
            ));
        }
        _ => return None,
    };
    Some((kind, what, hint.to_owned()))
}

fn judge_status(request: Request, status: u16, place: &Place) -> Judgement {
    use StoreErrorKind::{Conflict, Denied, NotFound, Other, Precondition, Unavailable};
    let conditional = matches!(request, Request::Get { if_match: true });
    match (status, request) {
        (404, Request::Open) => (
            NotFound,
            "there is no such bucket",
            "check its name, and make it if it is new".to_owned(),
        ),
        // A GET with If-Match on a key that is gone is answered with 404.
        (404, _) if conditional => (Precondition, "the object is gone", String::new()),
        (404, _) => (NotFound, "there is no such object", String::new()),
        (412, _) if conditional => {
            (Precondition, "the object was changed since it was listed", String::new())
        }
        (412, Request::Put | Request::Copy) => {
            (Precondition, "the object exists already", String::new())
        }
        (412, _) => (Precondition, "a condition that was not asked for failed", String::new()),
        (200..=299, _) => {
            (Unavailable, "the answer cannot be read, after all retries", "run again".to_owned())
        }
        (409, _) => (Conflict, "another writer was at work", "send it again".to_owned()),
        (401 | 403, _) => (
            Denied,
            "permission is missing",
            format!(
                "this needs {}; with an expected owner the bucket must belong to that account",
                request.permissions(place)
            ),
        ),
        (301..=308, _) => (
            Other,
            "the bucket lies in another Region or behind another endpoint",
            "name its Region (AWS_REGION)".to_owned(),
        ),
        (408 | 429 | 500 | 502..=599, _) => (
            Unavailable,
            "the server cannot answer now, after all retries",
            "run again later".to_owned(),
        ),
        _ => (Other, "the server refused the request", String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(uri: &str) -> Place {
        Place::new(uri, "eu-west-1")
    }

    fn answered(status: u16, code: &str) -> Answer {
        Answer {
            reached: Reached::Answered,
            status,
            code: code.to_owned(),
            message: "Said by the server.".to_owned(),
            request_id: Some("R1".to_owned()),
        }
    }

    #[test]
    fn every_answer_has_its_kind() {
        use StoreErrorKind::{
            Archived, Conflict, Denied, NotFound, Other, Precondition, Unavailable,
        };
        let get = Request::Get { if_match: false };
        let get_if = Request::Get { if_match: true };
        let cases = [
            (get, 404, "NoSuchKey", NotFound),
            (get_if, 404, "NoSuchKey", Precondition),
            (get_if, 412, "PreconditionFailed", Precondition),
            (get_if, 404, "NoSuchBucket", NotFound),
            (get, 403, "InvalidObjectState", Archived),
            (get, 403, "AccessDenied", Denied),
            (get, 400, "ExpiredToken", Denied),
            (get, 400, "KMS.DisabledException", Denied),
            (get, 400, "InvalidArgument", Other),
            (Request::Head, 403, "", Denied),
            (Request::Open, 404, "", NotFound),
            (Request::Open, 404, "NotFound", NotFound),
            (Request::Put, 412, "PreconditionFailed", Precondition),
            (Request::Put, 409, "ConditionalRequestConflict", Conflict),
            (Request::Put, 409, "OperationAborted", Conflict),
            (Request::Put, 400, "BadDigest", Unavailable),
            (Request::Put, 400, "RequestTimeout", Unavailable),
            (Request::Put, 503, "SlowDown", Unavailable),
            (Request::Put, 429, "", Unavailable),
            (Request::Put, 501, "NotImplemented", Other),
            (Request::Copy, 200, "InternalError", Unavailable),
            (Request::Copy, 404, "NoSuchKey", NotFound),
            (Request::List, 301, "PermanentRedirect", Other),
            (Request::Delete, 500, "", Unavailable),
        ];
        for (request, status, code, expected) in cases {
            let error = explain(request, &answered(status, code), at("s3://b/k"));
            assert_eq!(error.kind, expected, "{request:?} {status} {code}");
        }
    }

    #[test]
    fn a_message_tells_code_status_request_and_what_to_do() {
        let error = explain(Request::List, &answered(403, "AccessDenied"), at("s3://b/k"));
        assert_eq!(
            error.to_string(),
            "listing `s3://b/k`: permission is missing (AccessDenied, HTTP 403, request R1): \
             Said by the server; hint: this needs s3:ListBucket on arn:aws:s3:::b; with an expected \
             owner the bucket must belong to that account"
        );
    }

    #[test]
    fn what_is_denied_is_named_as_iam_names_it() {
        let get = Request::Get { if_match: true };
        let cases = [
            (Request::Open, "eu-west-1", "s3:ListBucket on arn:aws:s3:::b"),
            (Request::List, "cn-north-1", "s3:ListBucket on arn:aws-cn:s3:::b"),
            (Request::Head, "eu-west-1", "s3:GetObject on arn:aws:s3:::b/p/k"),
            (get, "us-gov-west-1", "s3:GetObject on arn:aws-us-gov:s3:::b/p/k"),
            (get, "us-east-1", "s3:ListBucket on arn:aws:s3:::b"),
            (Request::Put, "eu-west-1", "s3:PutObject on arn:aws:s3:::b/p/k"),
            (Request::Copy, "eu-west-1", "s3:PutObject on arn:aws:s3:::b/p/k"),
            (Request::Delete, "eusc-de-east-1", "s3:DeleteObject on arn:aws-eusc:s3:::b/p/k"),
        ];
        for (request, region, expected) in cases {
            for code in ["AccessDenied", ""] {
                let place = Place::new("s3://b/p/k", region);
                let error = explain(request, &answered(403, code), place);
                assert_eq!(error.kind, StoreErrorKind::Denied);
                assert!(error.message.contains(expected), "{request:?} {region}: {error}");
            }
        }
    }

    #[test]
    fn no_answer_leaves_a_write_in_doubt() {
        let answer = Answer { reached: Reached::NoAnswer, ..answered(0, "") };
        let error = explain(Request::Put, &answer, at("s3://b/k"));
        assert_eq!(error.kind, StoreErrorKind::Unavailable);
    }
}
