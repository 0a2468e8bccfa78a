//! What a store's refusals mean.
//!
//! Only some fields of an `<Error>` are taken: its others can repeat the request, secrets and all, as
//! `<CanonicalRequest>` does.

use std::time::Duration;

use http::{HeaderMap, StatusCode};

use super::transport::TransportError;
use super::xml::Element;
use crate::store::{Kind, Operation, StoreError};

/// Returns the error of a request that got no answer.
pub(super) fn of_transport(operation: Operation, error: &TransportError) -> StoreError {
    let kind = if error.lasting { Kind::Refused } else { Kind::Temporary };
    StoreError::new(operation, kind, &error.message)
}

/// Returns the error of an answer that says failure by its status, or by an `<Error>` behind a status
/// of success.
pub(super) fn of_answer(
    operation: Operation,
    status: StatusCode,
    headers: &HeaderMap,
    root: Option<&Element>,
) -> StoreError {
    let field = |name| root.filter(|root| root.name == "Error").and_then(|root| root.text(name));
    let code = field("Code").map(one_line);
    let kind = kind(status, code.as_deref());
    let message = match field("Message") {
        Some(message) => one_line(message),
        None if code.is_some() => String::new(),
        None => describe(status),
    };
    StoreError {
        operation,
        kind,
        message,
        status: Some(status.as_u16()),
        request_id: text(headers, "x-amz-request-id")
            .or_else(|| field("RequestId").map(str::to_owned))
            .as_deref()
            .map(one_line),
        retry_after: text(headers, "retry-after").and_then(|after| retry_after(&after)),
        unknown_since: None,
        part: field("PartNumber").and_then(|number| number.parse().ok()),
        code,
    }
}

/// Returns the error of an answer of success that can't be one.
pub(super) fn of_nonsense(
    operation: Operation,
    status: StatusCode,
    headers: &HeaderMap,
    why: &str,
) -> StoreError {
    StoreError {
        status: Some(status.as_u16()),
        request_id: text(headers, "x-amz-request-id").as_deref().map(one_line),
        ..StoreError::new(operation, Kind::Temporary, why)
    }
}

/// The region that an answer sends to.
pub(super) fn region(headers: &HeaderMap, root: Option<&Element>) -> Option<String> {
    let named = || root.filter(|root| root.name == "Error")?.text("Region").map(str::to_owned);
    text(headers, "x-amz-bucket-region").or_else(named)
}

/// The value of a header, where it is plain text.
pub(super) fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?.trim();
    (!value.is_empty()).then(|| value.to_owned())
}

fn kind(status: StatusCode, code: Option<&str>) -> Kind {
    match code.unwrap_or_default() {
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => return Kind::ExpiredCredentials,
        "RequestTimeTooSkewed" => return Kind::ClockSkew,
        "SlowDown"
        | "Throttling"
        | "ThrottlingException"
        | "RequestThrottled"
        | "TooManyRequests"
        | "RequestLimitExceeded"
        | "BandwidthLimitExceeded"
        | "SlowDownWrite" => return Kind::Throttled,
        "InternalError"
        | "RequestTimeout"
        | "ServiceUnavailable"
        | "OperationAborted"
        | "ConditionalRequestConflict"
        | "IncompleteBody" => return Kind::Temporary,
        "BadDigest" | "XAmzContentSHA256Mismatch" | "XAmzContentChecksumMismatch" => return Kind::Checksum,
        "NoSuchBucket" | "NoSuchKey" | "NoSuchUpload" => return Kind::NotFound,
        "PreconditionFailed" => return Kind::Precondition,
        "AccessDenied"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "AllAccessDisabled"
        | "InvalidToken"
        | "AccountProblem" => return Kind::Denied,
        _ => {}
    }
    match status.as_u16() {
        401 | 403 => Kind::Denied,
        404 => Kind::NotFound,
        412 => Kind::Precondition,
        429 => Kind::Throttled,
        408 | 500 | 502 | 503 | 504 | 200..=299 => Kind::Temporary,
        _ => Kind::Refused,
    }
}

fn describe(status: StatusCode) -> String {
    match status.as_u16() {
        401 | 403 => "access denied".to_owned(),
        404 => "not found".to_owned(),
        412 => "a precondition does not hold".to_owned(),
        _ => format!("the store answered {status}"),
    }
}

/// Returns text from a store so that it can stand in one line on a terminal.
pub(super) fn one_line(text: &str) -> String {
    let mut line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect();
    line.truncate(line.trim_end_matches(['.', ' ']).len());
    line
}

fn retry_after(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(std::time::SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answer(status: u16, body: &str) -> StoreError {
        let headers = HeaderMap::new();
        let root = Element::parse(body.as_bytes());
        of_answer(Operation::UploadPart, StatusCode::from_u16(status).unwrap(), &headers, root.as_ref())
    }

    fn coded(status: u16, code: &str) -> Kind {
        answer(status, &format!("<Error><Code>{code}</Code></Error>")).kind
    }

    #[test]
    fn what_may_pass_is_told_from_what_will_not() {
        for status in [408, 500, 502, 503, 504] {
            assert_eq!(answer(status, "").kind, Kind::Temporary, "{status}");
        }
        for status in [400, 405, 409, 501] {
            assert_eq!(answer(status, "").kind, Kind::Refused, "{status}");
        }
        assert_eq!(answer(429, "").kind, Kind::Throttled);
        assert_eq!(answer(403, "").kind, Kind::Denied);
        assert_eq!(answer(404, "").kind, Kind::NotFound);
        assert_eq!(answer(412, "").kind, Kind::Precondition);
    }

    #[test]
    fn a_code_says_more_than_its_status() {
        assert_eq!(coded(503, "SlowDown"), Kind::Throttled);
        assert_eq!(coded(400, "RequestTimeout"), Kind::Temporary);
        assert_eq!(coded(403, "RequestTimeTooSkewed"), Kind::ClockSkew);
        assert_eq!(coded(400, "ExpiredToken"), Kind::ExpiredCredentials);
        assert_eq!(coded(400, "BadDigest"), Kind::Checksum);
        assert_eq!(coded(409, "ConditionalRequestConflict"), Kind::Temporary);
        assert_eq!(coded(200, "InternalError"), Kind::Temporary);
        assert_eq!(coded(200, "AccessDenied"), Kind::Denied);
    }

    #[test]
    fn no_more_than_the_harmless_fields_are_shown() {
        let body = "<Error><Code>SignatureDoesNotMatch</Code><Message>It does\nnot match.</Message>\
            <CanonicalRequest>x-amz-security-token:SECRET</CanonicalRequest><RequestId>R1</RequestId></Error>";
        let error = answer(403, body);
        let shown = "SignatureDoesNotMatch: It does not match (HTTP 403, request id R1)";
        assert_eq!(error.to_string(), shown);
        assert!(!format!("{error:?}").contains("SECRET"));
    }

    #[test]
    fn the_wait_may_be_seconds_or_a_date() {
        assert_eq!(retry_after("7"), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Thu, 01 Jan 1970 00:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(retry_after("soon"), None);
    }

    proptest! {
        #[test]
        fn every_answer_has_a_kind_and_one_line(status in 200u16..600, code in "\\PC{0,30}", message in any::<String>()) {
            let mut headers = HeaderMap::new();
            headers.insert("retry-after", "x".parse().unwrap());
            let root = Element::parse(format!("<Error><Code>{code}</Code></Error>").as_bytes());
            let status = StatusCode::from_u16(status).unwrap();
            let error = of_answer(Operation::PutObject, status, &headers, root.as_ref());
            prop_assert!(!error.to_string().is_empty());
            prop_assert!(!one_line(&message).contains(char::is_control));
        }
    }
}
