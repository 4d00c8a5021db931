//! What an error of Glue means for a caller, and what to do about it, in words.
//!
//! In: what was asked and what came back. Out: a `StoreError`. Pure but for reading the SDK's values. Codes
//! are those of <https://docs.aws.amazon.com/glue/latest/webapi/CommonErrors.html> and of the operations.

use std::error::Error;

use aws_sdk_glue::config::http::HttpResponse;
use aws_sdk_glue::error::{BuildError, ProvideErrorMetadata, SdkError};

use crate::store::s3::{NO_CLEAR_TEXT, causes};
use crate::store::{StoreError, StoreErrorKind};

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// `GetDatabase`, `GetTable`, `GetPartitions`.
    Read,
    /// `CreateDatabase`.
    CreateDatabase,
    /// `CreateTable`.
    Create,
    /// `UpdateTable`.
    Change,
    /// `BatchCreatePartition`.
    AddPartitions,
}

impl Request {
    /// As [`StoreError::operation`] has it.
    fn verb(self) -> &'static str {
        match self {
            Self::Read => "reading",
            Self::CreateDatabase | Self::Create => "creating",
            Self::Change => "changing",
            Self::AddPartitions => "adding partitions to",
        }
    }

    /// The permissions it needs, on the catalog, the database and the table, for a hint
    /// (<https://docs.aws.amazon.com/glue/latest/dg/api-permissions-reference.html>).
    fn permissions(self) -> &'static str {
        match self {
            Self::Read => "glue:GetDatabase, glue:GetTable and glue:GetPartitions",
            Self::CreateDatabase => "glue:CreateDatabase",
            Self::Create => "glue:CreateTable",
            Self::Change => "glue:UpdateTable",
            Self::AddPartitions => "glue:BatchCreatePartition",
        }
    }
}

/// Whether the database or table is not there.
pub(super) fn is_not_found<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    code(error) == "EntityNotFoundException"
}

fn code<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> &str {
    error.as_service_error().and_then(|error| error.code()).unwrap_or_default()
}

/// A request that the SDK would not build.
pub(super) fn not_built(request: Request, error: &BuildError, uri: String) -> StoreError {
    let message = format!("the request could not be built: {error}");
    StoreError::new(StoreErrorKind::Other, request.verb(), uri, message)
}

/// The error for a caller.
pub(super) fn explain<E>(
    request: Request,
    error: &SdkError<E, HttpResponse>,
    uri: String,
) -> StoreError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let code = code(error);
    let (kind, what, hint) = match error {
        SdkError::ServiceError(_) => {
            let status = error.raw_response().map_or(0, |response| response.status().as_u16());
            judge(request, code, status)
        }
        _ => judge_unanswered(&causes(error)),
    };
    let said = match error {
        SdkError::ServiceError(service) => service.err().message().unwrap_or_default().to_owned(),
        _ => causes(error),
    };
    let id = error.raw_response().and_then(|answer| answer.headers().get("x-amzn-requestid"));
    let details: Vec<String> = [
        (!code.is_empty()).then(|| code.to_owned()),
        id.filter(|id| !id.is_empty()).map(|id| format!("request {id}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    let details =
        if details.is_empty() { String::new() } else { format!(" ({})", details.join(", ")) };
    let said = match said.trim().trim_end_matches('.') {
        "" => String::new(),
        said => format!(": {said}"),
    };
    let hint = if hint.is_empty() { hint } else { format!("; hint: {hint}") };
    StoreError::new(kind, request.verb(), uri, format!("{what}{details}{said}{hint}"))
}

type Judgement = (StoreErrorKind, &'static str, String);

fn judge(request: Request, code: &str, status: u16) -> Judgement {
    use StoreErrorKind::{Conflict, Denied, NotFound, Other, Precondition, Unavailable};
    let (kind, what, hint) = match (code, status) {
        ("EntityNotFoundException", _) => (NotFound, "there is no such database or table", ""),
        ("AlreadyExistsException", _) => (Precondition, "it exists already", ""),
        ("ConcurrentModificationException" | "VersionMismatchException", _) => {
            (Conflict, "somebody changed it since it was read", "run again")
        }
        ("AccessDeniedException" | "AccessDenied", _) => {
            let hint = format!(
                "this needs {} on the catalog, the database and the table; where Lake Formation \
                 guards them, its permissions too",
                request.permissions()
            );
            return (Denied, "permission is missing", hint);
        }
        ("ExpiredTokenException" | "ExpiredToken", _) => {
            (Denied, "the AWS credentials have expired", "sign in again, then run again")
        }
        ("UnrecognizedClientException" | "InvalidSignatureException", _) => {
            (Denied, "the AWS credentials are not accepted", "check the profile and its keys")
        }
        ("GlueEncryptionException", _) => {
            (Denied, "the catalog's encryption key cannot be used", "check the key and its policy")
        }
        ("ResourceNumberLimitExceededException", _) => {
            (Other, "the account has reached a limit of Glue", "raise the quota, or make room")
        }
        ("InvalidInputException" | "ValidationException", _) => {
            (Other, "Glue refused the request", "")
        }
        (
            "ThrottlingException"
            | "InternalServiceException"
            | "InternalFailure"
            | "ServiceUnavailable"
            | "OperationTimeoutException"
            | "ResourceNotReadyException",
            _,
        )
        | (_, 429 | 500..=599) => {
            (Unavailable, "Glue cannot answer now, after all retries", "run again later")
        }
        _ => (Other, "Glue refused the request", ""),
    };
    (kind, what, hint.to_owned())
}

/// Judged by the text, since the SDK tells in no other way what kept a request from being sent.
fn judge_unanswered(causes: &str) -> Judgement {
    if causes.contains(NO_CLEAR_TEXT) {
        (StoreErrorKind::Other, "the request was not sent", String::new())
    } else if causes.contains("credential") {
        (
            StoreErrorKind::Denied,
            "there are no usable AWS credentials",
            "sign in (aws sso login), or set AWS_PROFILE or AWS_ACCESS_KEY_ID and \
             AWS_SECRET_ACCESS_KEY"
                .to_owned(),
        )
    } else {
        (
            StoreErrorKind::Unavailable,
            "there was no answer, after all retries",
            "check the network and the endpoint, then run again".to_owned(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_its_kind() {
        use StoreErrorKind::{Conflict, Denied, NotFound, Other, Precondition, Unavailable};
        for (code, status, kind) in [
            ("EntityNotFoundException", 400, NotFound),
            ("AlreadyExistsException", 400, Precondition),
            ("ConcurrentModificationException", 400, Conflict),
            ("AccessDeniedException", 400, Denied),
            ("ExpiredTokenException", 400, Denied),
            ("GlueEncryptionException", 400, Denied),
            ("InvalidInputException", 400, Other),
            ("ResourceNumberLimitExceededException", 400, Other),
            ("ThrottlingException", 400, Unavailable),
            ("", 503, Unavailable),
            ("", 418, Other),
        ] {
            let (own, what, _) = judge(Request::Change, code, status);
            assert_eq!(own, kind, "{code} {status}");
            assert!(!what.is_empty());
        }
        let (_, _, hint) = judge(Request::AddPartitions, "AccessDeniedException", 400);
        assert!(hint.contains("glue:BatchCreatePartition"), "{hint}");
        assert_eq!(judge_unanswered("dispatch failure: NoClearText").0, Other);
        assert_eq!(judge_unanswered("the credential provider was not enabled").0, Denied);
        assert_eq!(judge_unanswered("connection refused").0, Unavailable);
    }
}
