//! What Firehose's errors mean for a caller, and what to do about them, in words.
//!
//! In: what was asked and what came back. Out: a [`StoreError`]. The table is pure, so that it can be
//! tested without a server. Codes are those of
//! <https://docs.aws.amazon.com/firehose/latest/APIReference/CommonErrors.html> and of the two requests.

use std::error::Error;

use aws_sdk_firehose::config::http::HttpResponse;
use aws_sdk_firehose::error::{ProvideErrorMetadata, SdkError};

use crate::store::s3::{NO_CLEAR_TEXT, causes};
use crate::store::{StoreError, StoreErrorKind};

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// `DescribeDeliveryStream`.
    Describe,
    /// `PutRecordBatch`.
    Put,
}

impl Request {
    pub(super) fn verb(self) -> &'static str {
        match self {
            Self::Describe => "describing",
            Self::Put => "sending to",
        }
    }

    fn permissions(self) -> &'static str {
        match self {
            Self::Describe => "firehose:DescribeDeliveryStream",
            Self::Put => {
                "firehose:PutRecordBatch, and kms:GenerateDataKey on the key of an encrypted stream"
            }
        }
    }
}

/// What came back.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    /// 0 without an answer.
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) request_id: Option<String>,
    /// The request never left.
    pub(super) not_sent: bool,
}

pub(super) fn answer<E>(error: &SdkError<E, HttpResponse>) -> Answer
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let response = error.raw_response();
    let service = error.as_service_error();
    let message = match service {
        Some(service) => service.message().unwrap_or_default().to_owned(),
        None => causes(error),
    };
    let is_no_answer = matches!(
        error,
        SdkError::DispatchFailure(_) | SdkError::TimeoutError(_) | SdkError::ResponseError(_)
    );
    let not_sent = service.is_none() && (!is_no_answer || message.contains(NO_CLEAR_TEXT));
    Answer {
        status: response.map_or(0, |response| response.status().as_u16()),
        code: service.and_then(ProvideErrorMetadata::code).unwrap_or_default().to_owned(),
        message,
        request_id: response
            .and_then(|response| response.headers().get("x-amzn-requestid"))
            .map(str::to_owned),
        not_sent,
    }
}

/// Codes of errors that pass.
pub(super) fn is_passing(code: &str) -> bool {
    matches!(
        code,
        "ServiceUnavailableException"
            | "ServiceUnavailable"
            | "ThrottlingException"
            | "Throttling"
            | "TooManyRequestsException"
            | "RequestLimitExceeded"
            | "LimitExceededException"
            | "InternalFailure"
            | "InternalServerError"
            | "RequestTimeout"
            | "RequestTimeoutException"
    )
}

pub(super) fn explain(request: Request, answer: &Answer, uri: &str) -> StoreError {
    let (kind, what, hint) = judge(request, answer);
    let status = (answer.status != 0).then(|| format!("HTTP {}", answer.status));
    let id = answer.request_id.as_ref().map(|id| format!("request {id}"));
    let code = Some(answer.code.clone()).filter(|code| !code.is_empty());
    let details: Vec<String> = [code, status, id].into_iter().flatten().collect();
    let details = match &details[..] {
        [] => String::new(),
        details => format!(" ({})", details.join(", ")),
    };
    let said = match answer.message.trim().trim_end_matches('.') {
        "" => String::new(),
        said => format!(": {said}"),
    };
    let hint = if hint.is_empty() { hint } else { format!("; hint: {hint}") };
    StoreError::new(kind, request.verb(), uri, format!("{what}{details}{said}{hint}"))
}

fn judge(request: Request, answer: &Answer) -> (StoreErrorKind, &'static str, String) {
    use StoreErrorKind::{Denied, NotFound, Other, Unavailable};
    let needs = format!("this needs {}", request.permissions());
    let (kind, what, hint) = match answer.code.as_str() {
        "ResourceNotFoundException" => (
            NotFound,
            "there is no such stream",
            "check its name, the Region (firehose://STREAM@REGION) and the profile".to_owned(),
        ),
        "AccessDeniedException" | "AccessDenied" | "UnauthorizedOperation" => {
            (Denied, "permission is missing", needs)
        }
        "ExpiredTokenException" | "ExpiredToken" => {
            (Denied, "the AWS credentials have expired", "sign in again, then run again".to_owned())
        }
        "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "InvalidClientTokenId"
        | "IncompleteSignature"
        | "MissingAuthenticationToken" => (
            Denied,
            "the AWS credentials are not accepted",
            "check the profile, its keys and this machine's clock".to_owned(),
        ),
        "InvalidKMSResourceException" | "InvalidKmsResourceException" => {
            (Denied, "the encryption key of the stream cannot be used", needs)
        }
        "InvalidArgumentException" | "InvalidSourceException" => (
            Other,
            "the stream does not take these records",
            "records can be put only into a stream whose source is DirectPut".to_owned(),
        ),
        code if is_passing(code) => {
            (Unavailable, "the stream is too busy", "run again later, or more slowly".to_owned())
        }
        _ if answer.not_sent => (Other, "the request could not be built", String::new()),
        _ if answer.status == 0 && answer.message.contains("credential") => (
            Denied,
            "there are no usable AWS credentials",
            "sign in (aws sso login), or set AWS_PROFILE or AWS_ACCESS_KEY_ID and \
             AWS_SECRET_ACCESS_KEY"
                .to_owned(),
        ),
        _ if answer.status == 0 => (
            Unavailable,
            "there was no answer",
            "check the network, the Region and AWS_ENDPOINT_URL_FIREHOSE, then run again"
                .to_owned(),
        ),
        _ if (200..300).contains(&answer.status) => (
            Other,
            "the answer is not that of Firehose",
            "check AWS_ENDPOINT_URL_FIREHOSE".to_owned(),
        ),
        _ if answer.status >= 500 || answer.status == 429 => {
            (Unavailable, "the server is in trouble", "run again later".to_owned())
        }
        _ if answer.status == 403 => (Denied, "permission is missing", needs),
        _ => (Other, "the request was refused", String::new()),
    };
    (kind, what, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_says_what_a_caller_can_do() {
        use StoreErrorKind::{Denied, NotFound, Other, Unavailable};
        let table = [
            (400, "ResourceNotFoundException", NotFound),
            (400, "AccessDeniedException", Denied),
            (400, "UnrecognizedClientException", Denied),
            (400, "InvalidKMSResourceException", Denied),
            (400, "InvalidArgumentException", Other),
            (400, "ThrottlingException", Unavailable),
            (400, "LimitExceededException", Unavailable),
            (500, "InternalFailure", Unavailable),
            (503, "ServiceUnavailableException", Unavailable),
            (502, "", Unavailable),
            (403, "", Denied),
            (400, "SomethingNew", Other),
            (200, "", Other),
            (0, "", Unavailable),
        ];
        for (status, code, kind) in table {
            let answer = Answer { status, code: code.to_owned(), ..Answer::default() };
            for request in [Request::Describe, Request::Put] {
                let error = explain(request, &answer, "firehose://s@r");
                assert_eq!(error.kind, kind, "{status} {code}");
                assert!(!error.message.ends_with('.'), "{error}");
            }
        }
    }

    #[test]
    fn the_missing_permission_is_named() {
        let answer = Answer {
            status: 400,
            code: "AccessDeniedException".to_owned(),
            message: "User is not authorized.".to_owned(),
            request_id: Some("R1".to_owned()),
            not_sent: false,
        };
        let error = explain(Request::Describe, &answer, "firehose://s@us-east-1");
        assert_eq!(
            error.to_string(),
            "describing `firehose://s@us-east-1`: permission is missing (AccessDeniedException, \
             HTTP 400, request R1): User is not authorized; hint: this needs \
             firehose:DescribeDeliveryStream"
        );
    }
}
