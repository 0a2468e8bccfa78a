//! AWS Signature Version 4 for S3, verified independently of any client's signer.

use std::time::SystemTime;

use super::canonical::{canonical_request, sign};
use super::clock::{iso8601, parse_basic, unix_seconds};
use super::error::S3Error;
use super::http::Head;
use super::personality::{ContentSha256, Personality, WrongRegion};
use super::route::parse_query;
use super::sums::sha256_hex;

const MAX_SKEW_SECONDS: i64 = 15 * 60;
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
/// An aws-chunked body whose chunks are not signed, the sums in its trailer.
pub const STREAMING_UNSIGNED: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

/// What a request claims about who signed it and how.
struct Claim {
    access_key: String,
    /// `20130524/us-east-1/s3/aws4_request`
    scope: String,
    signed: Vec<String>,
    signature: String,
    date: String,
    expires: Option<i64>,
    token: Option<String>,
    payload: String,
}

/// Verifies who sent `head` and, by `body_sha256` (hexadecimal), that the body is what they signed.
pub fn verify(
    head: &Head,
    body_sha256: &str,
    personality: &Personality,
    now: SystemTime,
) -> Result<(), S3Error> {
    let claim = match head.header("authorization") {
        Some(authorization) => claim_in_header(head, authorization, personality)?,
        None => claim_in_query(head)?,
    };
    check_identity(&claim, personality)?;
    check_date(&claim, now)?;
    check_scope(&claim, personality)?;
    check_all_signed(head, &claim)?;
    check_signature(head, &claim, personality)?;
    check_payload(&claim.payload, body_sha256)
}

fn claim_in_header(head: &Head, authorization: &str, personality: &Personality) -> Result<Claim, S3Error> {
    let fields = authorization
        .strip_prefix("AWS4-HMAC-SHA256 ")
        .ok_or_else(|| S3Error::invalid_request("Please use AWS4-HMAC-SHA256."))?;
    let field = |name: &str| {
        let mut fields = fields.split(',').map(str::trim);
        let found = fields.find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
        found.ok_or_else(|| malformed(&format!("missing {name}")))
    };
    let payload = match head.header("x-amz-content-sha256") {
        Some(payload) => payload.to_owned(),
        None if personality.content_sha256 == ContentSha256::Optional => UNSIGNED.to_owned(),
        None => {
            let message = "Missing required header for this request: x-amz-content-sha256";
            return Err(S3Error::invalid_request(message));
        }
    };
    let (access_key, scope) = split_credential(field("Credential")?)?;
    Ok(Claim {
        access_key,
        scope,
        signed: field("SignedHeaders")?.split(';').map(str::to_owned).collect(),
        signature: field("Signature")?.to_owned(),
        date: head.header("x-amz-date").unwrap_or_default().to_owned(),
        expires: None,
        token: head.header("x-amz-security-token").map(str::to_owned),
        payload,
    })
}

fn claim_in_query(head: &Head) -> Result<Claim, S3Error> {
    let query = parse_query(head.raw_query());
    let parameter = |name: &str| {
        let found = query.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.clone())
    };
    if parameter("X-Amz-Algorithm").as_deref() != Some("AWS4-HMAC-SHA256") {
        return Err(S3Error::new(403, "AccessDenied", "Access Denied"));
    }
    let required = |name: &str| {
        parameter(name).ok_or_else(|| {
            let message = format!("Query-string authentication requires {name}.");
            S3Error::new(400, "AuthorizationQueryParametersError", message)
        })
    };
    let (access_key, scope) = split_credential(&required("X-Amz-Credential")?)?;
    Ok(Claim {
        access_key,
        scope,
        signed: required("X-Amz-SignedHeaders")?.split(';').map(str::to_owned).collect(),
        signature: required("X-Amz-Signature")?,
        date: required("X-Amz-Date")?,
        expires: Some(required("X-Amz-Expires")?.parse().unwrap_or(0)),
        token: parameter("X-Amz-Security-Token"),
        payload: UNSIGNED.to_owned(),
    })
}

fn split_credential(credential: &str) -> Result<(String, String), S3Error> {
    match credential.split_once('/') {
        Some((key, scope)) if scope.split('/').count() == 4 => Ok((key.into(), scope.into())),
        _ => Err(malformed("the Credential is mal-formed")),
    }
}

fn malformed(why: &str) -> S3Error {
    let message = format!("The authorization header is malformed; {why}.");
    S3Error::new(400, "AuthorizationHeaderMalformed", message)
}

fn check_identity(claim: &Claim, personality: &Personality) -> Result<(), S3Error> {
    if claim.access_key != personality.access_key {
        let message = "The AWS Access Key Id you provided does not exist in our records.";
        let error = S3Error::new(403, "InvalidAccessKeyId", message);
        return Err(error.with("AWSAccessKeyId", &claim.access_key));
    }
    if claim.token != personality.session_token {
        let message = "The provided token is malformed or otherwise invalid.";
        return Err(S3Error::new(400, "InvalidToken", message));
    }
    Ok(())
}

fn check_date(claim: &Claim, now: SystemTime) -> Result<(), S3Error> {
    let date = parse_basic(&claim.date).ok_or_else(|| {
        let message = "AWS authentication requires a valid Date or x-amz-date header";
        S3Error::new(403, "AccessDenied", message)
    })?;
    let age = unix_seconds(now) - date;
    match claim.expires {
        Some(expires) if age > expires => Err(S3Error::new(403, "AccessDenied", "Request has expired")),
        None if age.abs() > MAX_SKEW_SECONDS => {
            let message = "The difference between the request time and the current time is too large.";
            Err(S3Error::new(403, "RequestTimeTooSkewed", message)
                .with("RequestTime", &claim.date)
                .with("ServerTime", iso8601(now).replace(".000", ""))
                .with("MaxAllowedSkewMilliseconds", MAX_SKEW_SECONDS * 1000))
        }
        _ => Ok(()),
    }
}

fn check_scope(claim: &Claim, personality: &Personality) -> Result<(), S3Error> {
    let parts: Vec<&str> = claim.scope.split('/').collect();
    let region = personality.region.as_str();
    if parts[2] != "s3" || parts[3] != "aws4_request" || !claim.date.starts_with(parts[0]) {
        return Err(malformed("the scope is not date/region/s3/aws4_request"));
    }
    if parts[1] == region {
        return Ok(());
    }
    Err(match personality.wrong_region {
        WrongRegion::Malformed => {
            let why = format!("the region '{}' is wrong; expecting '{region}'", parts[1]);
            malformed(&why).with("Region", region)
        }
        WrongRegion::Redirect => {
            let message =
                "The bucket you are attempting to access must be addressed using the specified endpoint.";
            S3Error::new(301, "PermanentRedirect", message)
                .with("Endpoint", format!("s3.{region}.amazonaws.com"))
        }
    }
    .header("x-amz-bucket-region", region))
}

fn check_all_signed(head: &Head, claim: &Claim) -> Result<(), S3Error> {
    let must = |name: &str| name == "host" || name.starts_with("x-amz-");
    let names = head.headers.iter().map(|(name, _)| name.to_lowercase());
    let unsigned: Vec<String> = names.filter(|name| must(name) && !claim.signed.contains(name)).collect();
    if unsigned.is_empty() && claim.signed.is_sorted() {
        return Ok(());
    }
    let message = "There were headers present in the request which were not signed";
    let error = S3Error::new(403, "AccessDenied", message);
    Err(error.with("HeadersNotSigned", unsigned.join(", ")))
}

fn check_signature(head: &Head, claim: &Claim, personality: &Personality) -> Result<(), S3Error> {
    let canonical = canonical_request(head, &claim.signed, &claim.payload);
    let to_sign =
        format!("AWS4-HMAC-SHA256\n{}\n{}\n{}", claim.date, claim.scope, sha256_hex(canonical.as_bytes()));
    let expected = sign(&personality.secret_key, &claim.scope, &to_sign);
    if claim.signature == expected {
        return Ok(());
    }
    let message = "The request signature we calculated does not match the signature you provided. Check your key and signing method.";
    Err(S3Error::new(403, "SignatureDoesNotMatch", message)
        .with("AWSAccessKeyId", &claim.access_key)
        .with("StringToSign", &to_sign)
        .with("SignatureProvided", &claim.signature)
        .with("StringToSignBytes", spaced_hex(&to_sign))
        .with("CanonicalRequest", &canonical)
        .with("CanonicalRequestBytes", spaced_hex(&canonical)))
}

fn spaced_hex(text: &str) -> String {
    let bytes: Vec<String> = text.bytes().map(|byte| format!("{byte:x}")).collect();
    bytes.join(" ")
}

fn check_payload(claimed: &str, actual: &str) -> Result<(), S3Error> {
    if claimed == actual || claimed == UNSIGNED || claimed == STREAMING_UNSIGNED {
        return Ok(());
    }
    if claimed.starts_with("STREAMING-") {
        return Err(S3Error::not_implemented(claimed));
    }
    let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
    Err(S3Error::new(400, "XAmzContentSHA256Mismatch", message)
        .with("ClientComputedContentSHA256", claimed)
        .with("S3ComputedContentSHA256", actual))
}
