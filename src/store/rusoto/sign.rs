//! SigV4, at the moment of sending.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign as signature,
};
use aws_sigv4::sign::v4::SigningParams;
use http::{HeaderName, HeaderValue, Request};

use crate::checksum::hex;

/// What a signature says of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Payload {
    /// Its SHA-256.
    Sha256([u8; 32]),
    /// Nothing.
    Unsigned,
    /// Nothing but that it is framed, with its checksum at the end.
    Trailer,
}

/// Adds the headers of a signature to a request, whose address and other headers must be final.
///
/// # Errors
/// When a header's value can't be signed. The error names no value.
pub(super) fn sign<B>(
    request: &mut Request<B>,
    payload: Payload,
    credentials: &Credentials,
    region: &str,
    time: SystemTime,
) -> Result<(), &'static str> {
    let mut settings = SigningSettings::default();
    // S3's own ways: the path as it stands, encoded once.
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let identity = credentials.clone().into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("s3")
        .time(time)
        .settings(settings)
        .build()
        .map_err(|_| "a signature needs a region and credentials")?
        .into();
    let body = match payload {
        Payload::Sha256(sum) => SignableBody::Precomputed(hex(&sum)),
        Payload::Unsigned => SignableBody::UnsignedPayload,
        Payload::Trailer => SignableBody::StreamingUnsignedPayloadTrailer,
    };
    let headers = request.headers().iter().map(|(name, value)| (name, value.to_str()));
    let headers = headers.map(|(name, value)| Ok((name.as_str(), value.map_err(|_| NOT_ASCII)?)));
    let headers = headers.collect::<Result<Vec<_>, &'static str>>()?;
    let uri = request.uri().to_string();
    let signable = SignableRequest::new(request.method().as_str(), uri, headers.into_iter(), body)
        .map_err(|_| "the address cannot be signed")?;
    let (instructions, _) =
        signature(signable, &params).map_err(|_| "the request cannot be signed")?.into_parts();
    let (headers, _) = instructions.into_parts();
    for header in headers {
        let mut value = HeaderValue::from_str(header.value()).map_err(|_| NOT_ASCII)?;
        value.set_sensitive(header.sensitive());
        request.headers_mut().insert(HeaderName::from_static(header.name()), value);
    }
    Ok(())
}

const NOT_ASCII: &str = "a header's value is not plain ASCII, which S3's signatures want";
