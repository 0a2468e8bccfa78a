//! One call of one operation: the dispatcher that rusoto hands its request to.
//!
//! A call adds the headers that rusoto does not know, makes the address, signs, sends, guards the answer
//! before rusoto reads it, and keeps what rusoto does not: headers, S3's error, the transport's cause.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use aws_credential_types::Credentials;
use bytes::Bytes;
use futures::Stream;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, PROXY_AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use rusoto_core::ByteStream;
use rusoto_core::request::{
    DispatchSignedRequest, DispatchSignedRequestFuture, HttpDispatchError, HttpResponse,
};
use rusoto_core::signature::{SignedRequest, SignedRequestPayload};

use super::chunked::Framed;
use super::endpoint::Endpoint;
use super::sign::{Payload, sign};
use super::transport::{Body, Limits, whole};
use super::xml::{Element, trimmed};
use super::{Shared, error};
use crate::checksum::{self, Algorithm, Checksum};
use crate::store::{Kind, Operation, StoreError};

/// What a call needs beside rusoto's request.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) shared: Arc<Shared>,
    pub(super) operation: Operation,
    pub(super) bucket: String,
    /// Headers that rusoto does not know.
    pub(super) headers: HeaderMap,
    /// The SHA-256 of a streamed body, where it is to be signed.
    pub(super) sha256: Option<[u8; 32]>,
    /// The checksum that a streamed body is to end with.
    pub(super) trailer: Option<Algorithm>,
    /// The root element that an answer of success must have, and what it must hold.
    pub(super) root: Option<(&'static str, Option<&'static str>)>,
    /// A body to send in place of rusoto's.
    pub(super) body: Option<Bytes>,
    /// Where the store sent this call to.
    pub(super) location: Option<Uri>,
    /// Whether to use a connection of its own.
    pub(super) fresh: bool,
    pub(super) seen: Arc<Mutex<Seen>>,
}

/// What came of a call.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The answer's headers.
    pub(super) headers: HeaderMap,
    /// The answer, where it is XML.
    pub(super) answer: Option<Element>,
    /// Why it failed.
    pub(super) error: Option<StoreError>,
    /// Where the store wants the request to go instead.
    pub(super) redirect: Option<Redirect>,
    /// Whether the store may have done what was asked, though it failed.
    pub(super) unknown: bool,
    /// When an earlier try of it was lost on its way, by our clock.
    pub(super) lost_since: Option<SystemTime>,
    /// The region that it was signed for.
    pub(super) region: String,
    /// The credentials that it was signed with.
    pub(super) credentials: Option<Credentials>,
    /// Whether it broke on a connection that had served before.
    pub(super) stale: bool,
    /// The checksum that the body ended with.
    pub(super) sent: Option<Checksum>,
    /// Why the body could not be read.
    unreadable: Option<String>,
}

/// Where a store wants a request to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Redirect {
    /// To the bucket's region.
    Region(String),
    /// To an address.
    Location(Uri),
}

impl DispatchSignedRequest for Call {
    fn dispatch(
        &self,
        request: SignedRequest,
        _: Option<std::time::Duration>,
    ) -> DispatchSignedRequestFuture {
        let call = self.clone();
        Box::pin(async move {
            call.exchange(request).await.map_err(|error| {
                call.seen().error = Some(error);
                HttpDispatchError::new("kept by the call".to_owned())
            })
        })
    }
}

impl Call {
    /// What came of it so far.
    pub(super) fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn exchange(&self, signed: SignedRequest) -> Result<HttpResponse, StoreError> {
        let refused = |why: &str| StoreError::new(self.operation, Kind::Refused, why);
        let (place, bucket) = self.shared.place_of(&self.bucket).map_err(refused)?;
        let (mut request, payload) = self.request(signed, &place.endpoint, &bucket).map_err(refused)?;
        if self.shared.customer_key.is_some() && self.shared.transport.is_in_the_clear(request.uri()) {
            return Err(refused(
                "the store sends it where others could read the key, and only https is safe",
            ));
        }
        let now = self.shared.signing_time();
        let credentials = self.shared.keyring.credentials(SystemTime::now()).await;
        let credentials =
            credentials.map_err(|why| StoreError::new(self.operation, Kind::NoCredentials, why))?;
        let region = place.region;
        match &credentials {
            Some(credentials) => sign(&mut request, payload, credentials, &region, now).map_err(refused)?,
            None if payload == Payload::Trailer => {
                let streaming = HeaderValue::from_static("STREAMING-UNSIGNED-PAYLOAD-TRAILER");
                request.headers_mut().insert(HeaderName::from_static("x-amz-content-sha256"), streaming);
            }
            None => {}
        }
        {
            let mut seen = self.seen();
            (seen.region, seen.credentials) = (region, credentials);
        }
        if let Some(authorization) = self.shared.transport.proxy_authorization(request.uri()) {
            request.headers_mut().insert(PROXY_AUTHORIZATION, authorization);
        }
        let timeouts = self.shared.timeouts;
        let stall = match self.operation {
            Operation::CompleteMultipartUpload => timeouts.complete.max(timeouts.stall),
            _ => timeouts.stall,
        };
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let response = self.shared.transport.send(request, Limits { stall, fresh: self.fresh }).await;
        let answered = response.as_ref().map(|response| response.status().as_u16());
        tracing::debug!(operation = %self.operation, %method, path, answer = ?answered.map_err(|e| &e.message));
        match response {
            Ok(response) => self.guard(response),
            Err(broken) => {
                let mut seen = self.seen();
                if let Some(why) = seen.unreadable.take() {
                    return Err(StoreError::new(self.operation, Kind::Body, why));
                }
                (seen.stale, seen.unknown) = (broken.stale, broken.sent);
                Err(error::of_transport(self.operation, &broken))
            }
        }
    }

    /// Makes the request to send of what rusoto made, to a bucket by its name at this endpoint.
    fn request(
        &self,
        signed: SignedRequest,
        endpoint: &Endpoint,
        bucket: &str,
    ) -> Result<(Request<Body>, Payload), &'static str> {
        let method = Method::from_bytes(signed.method.as_bytes()).map_err(|_| "no HTTP method")?;
        // rusoto writes "/bucket/key", not encoded; the key may itself begin with the bucket's name.
        let path = signed.path.strip_prefix('/').unwrap_or(&signed.path);
        let rest = path.strip_prefix(self.bucket.as_str()).ok_or("the path lacks its bucket")?;
        let key = rest.strip_prefix('/').unwrap_or(rest);
        let query = signed.params.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
        let uri = match &self.location {
            Some(location) => location.clone(),
            None => endpoint.uri(bucket, key, query)?,
        };
        let mut headers = HeaderMap::new();
        for (name, values) in &signed.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "a header's name is wrong")?;
            let drop = name == HOST
                || (name == CONTENT_TYPE && matches!(method, Method::GET | Method::HEAD | Method::DELETE));
            for value in values.iter().filter(|_| !drop) {
                let value = HeaderValue::from_bytes(value).map_err(|_| "a header's value is wrong")?;
                headers.insert(name.clone(), value);
            }
        }
        headers.extend(self.headers.clone());
        let host = uri.authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
        headers.insert(HOST, host.ok_or("the address names no host")?);
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("s3chunk/", env!("CARGO_PKG_VERSION"))));

        let (body, payload) = self.body(signed.payload, &mut headers)?;
        let mut request = Request::builder().method(method).uri(uri).body(body).map_err(|_| "no request")?;
        *request.headers_mut() = headers;
        if let Some(rate) = &self.shared.rate {
            request = rate.limit(request);
        }
        Ok((request, payload))
    }

    fn body(
        &self,
        payload: Option<SignedRequestPayload>,
        headers: &mut HeaderMap,
    ) -> Result<(Body, Payload), &'static str> {
        let bytes = match (&self.body, payload) {
            (Some(own), _) => own.clone(),
            (None, Some(SignedRequestPayload::Buffer(bytes))) => bytes,
            (None, None) => Bytes::new(),
            (None, Some(SignedRequestPayload::Stream(stream))) => {
                let length =
                    headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
                let left = length.ok_or("a body of unknown length cannot be sent")?;
                let seen = Arc::clone(&self.seen);
                let body = Streamed { stream, left, seen: Arc::clone(&seen) };
                if let Some(algorithm) = self.trailer {
                    let keep = move |sum: &Checksum| {
                        seen.lock().unwrap_or_else(PoisonError::into_inner).sent = Some(sum.clone());
                    };
                    let framed = Framed::new(body, left, algorithm, keep);
                    framed.announce(headers)?;
                    return Ok((framed.boxed_unsync(), Payload::Trailer));
                }
                let payload = self.sha256.map_or(Payload::Unsigned, Payload::Sha256);
                return Ok((body.boxed_unsync(), payload));
            }
        };
        headers.insert(CONTENT_LENGTH, bytes.len().into());
        let payload = Payload::Sha256(checksum::sha256(&bytes));
        Ok((whole(bytes), payload))
    }

    /// Lets an answer through to rusoto, if it is one of success and what the operation answers with.
    fn guard(&self, response: Response<Bytes>) -> Result<HttpResponse, StoreError> {
        let (head, body) = response.into_parts();
        let (status, headers) = (head.status, head.headers);
        self.shared.learn_time(&headers);
        let body = body.slice_ref(trimmed(&body));
        let answer = if body.is_empty() { None } else { Element::parse(&body) };
        let is_error = answer.as_ref().is_some_and(|answer| answer.name == "Error");
        let mut failed = None;
        if !status.is_success() || is_error {
            failed = Some(error::of_answer(self.operation, status, &headers, answer.as_ref()));
        } else if let Some((root, field)) = self.root {
            let why = match &answer {
                Some(answer) if answer.name != root => Some("the answer is not S3's"),
                Some(answer) if field.is_some_and(|field| answer.text(field).is_none()) => {
                    Some("the answer lacks what it must name")
                }
                Some(_) => None,
                None if body.is_empty() => Some("the answer is empty"),
                None => Some("the answer is cut short or is no XML"),
            };
            failed = why.map(|why| error::of_nonsense(self.operation, status, &headers, why));
        }
        let mut seen = self.seen();
        seen.unknown = failed.as_ref().is_some_and(StoreError::is_temporary);
        if failed.is_some() && matches!(status.as_u16(), 301 | 302 | 307 | 308 | 400) {
            let location = error::text(&headers, "location").and_then(|location| location.parse().ok());
            let region = error::region(&headers, answer.as_ref()).map(Redirect::Region);
            seen.redirect = region.or(location.filter(|_| status != 400).map(Redirect::Location));
        }
        (seen.headers, seen.answer) = (headers, answer);
        match failed {
            Some(error) => Err(error),
            None => Ok(for_rusoto(status, &seen.headers, body)),
        }
    }
}

/// Returns an answer in rusoto's types, without the headers whose odd values make it panic.
fn for_rusoto(status: http::StatusCode, headers: &HeaderMap, body: Bytes) -> HttpResponse {
    let mut kept = http02::HeaderMap::<String>::with_capacity(headers.len());
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        let sound = match name.as_str() {
            "content-length" | "x-amz-missing-meta" | "x-amz-mp-parts-count" => value.parse::<i64>().is_ok(),
            "x-amz-delete-marker" | "x-amz-server-side-encryption-bucket-key-enabled" => {
                value.parse::<bool>().is_ok()
            }
            _ => true,
        };
        if let Ok(name) = http02::header::HeaderName::from_bytes(name.as_str().as_bytes())
            && sound
        {
            kept.append(name, value);
        }
    }
    let status = http02::StatusCode::from_u16(status.as_u16()).unwrap_or(http02::StatusCode::OK);
    HttpResponse { status, headers: kept, body: ByteStream::from(body.to_vec()) }
}

/// A part's bytes on their way out.
struct Streamed {
    stream: ByteStream,
    /// Bytes still to come.
    left: u64,
    seen: Arc<Mutex<Seen>>,
}

impl HttpBody for Streamed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        let frame = match ready!(Pin::new(&mut this.stream).poll_next(cx)) {
            Some(Ok(block)) => {
                this.left = this.left.saturating_sub(block.len() as u64);
                Some(Ok(Frame::data(block)))
            }
            Some(Err(error)) => {
                let mut seen = this.seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.unreadable = Some(error.to_string());
                Some(Err(error))
            }
            None => None,
        };
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
