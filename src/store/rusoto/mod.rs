//! The gateway: [`Store`](super::Store) by rusoto_s3's typed operations, over a transport of our own.
//!
//! rusoto builds the requests and reads the answers, and is trusted with nothing else: it is no longer
//! maintained. Each call brings a client of its own, whose dispatcher is the call itself. This
//! is the only folder that names rusoto, and it can be replaced as a folder.

mod amazon;
mod call;
mod chunked;
mod connect;
mod connector;
mod credentials;
mod customer_key;
mod diagnosis;
mod encryption;
mod endpoint;
mod error;
mod operations;
mod rate;
mod sign;
mod tls;
mod transport;
mod xml;

use std::future::Future;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use rusoto_core::{Client, Region, RusotoError};
use rusoto_s3::S3Client;

pub use amazon::Variants;
pub use aws_credential_types::Credentials;
pub use connect::{Connection, ConnectionError, CredentialSource, PayloadSigning};
pub use customer_key::CustomerKey;
pub use diagnosis::{Identity, Origin, Outlook, Reached};
pub use endpoint::Addressing;
pub use transport::Timeouts;

use super::{Kind, Operation, StoreError};
use crate::access_point::AccessPoint;
use call::{Call, Redirect, Seen};
use credentials::Keyring;
use diagnosis::Origins;
use endpoint::{Endpoint, is_one_label};
use rate::Rate;
use transport::Transport;

/// A store that speaks S3 over HTTP. Cheap to clone.
#[derive(Clone)]
pub struct RusotoStore(Arc<Shared>);

/// What all calls share.
struct Shared {
    transport: Transport,
    keyring: Keyring,
    place: RwLock<Place>,
    addressing: Addressing,
    variants: Variants,
    /// What every request carries.
    headers: HeaderMap,
    customer_key: Option<CustomerKey>,
    origins: Origins,
    signs_payload: bool,
    timeouts: Timeouts,
    /// How fast bodies may go out, where there is a limit.
    rate: Option<Rate>,
    /// Seconds that the store's clock is ahead of ours.
    clock_offset: AtomicI64,
}

/// Where the store is; a redirect may move it.
#[derive(Clone)]
struct Place {
    endpoint: Endpoint,
    region: String,
    is_aws: bool,
}

/// How far the clocks may be apart, in seconds, before ours is corrected. S3 allows 900.
const CLOCK_TOLERANCE: i64 = 300;

impl Shared {
    fn place(&self) -> RwLockReadGuard<'_, Place> {
        self.place.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns where requests for a bucket go, and the bucket as an address names it. An access point has a
    /// place of its own, which no redirect moves.
    ///
    /// # Errors
    /// When there is no such place.
    fn place_of(&self, bucket: &str) -> Result<(Place, String), &'static str> {
        let place = self.place().clone();
        let Ok(access_point) = bucket.parse::<AccessPoint>() else {
            if self.variants.accelerate && !is_one_label(bucket) {
                return Err(
                    "transfer acceleration wants a bucket of lower-case letters, digits and '-' alone",
                );
            }
            return Ok((place, bucket.to_owned()));
        };
        if self.addressing == Addressing::Path {
            return Err("an access point is named in the host, and path addressing is asked for");
        }
        let endpoint = match place.is_aws {
            true => Endpoint::aws_access_point(&access_point, self.variants)?,
            false => place.endpoint.by_host()?,
        };
        let region = access_point.region().to_owned();
        Ok((Place { endpoint, region, ..place }, access_point.host_label()))
    }

    /// Returns the time to sign a request with: ours, while the clocks are near enough.
    fn signing_time(&self) -> SystemTime {
        let now = SystemTime::now();
        match self.clock_offset.load(Relaxed).abs() > CLOCK_TOLERANCE {
            true => self.by_their_clock(now),
            false => now,
        }
    }

    /// Returns what the store's clock showed at a time of ours, as far as is known, to the second before.
    fn by_their_clock(&self, ours: SystemTime) -> SystemTime {
        let offset = self.clock_offset.load(Relaxed) - 1;
        let shift = Duration::from_secs(offset.unsigned_abs());
        let moved = if offset < 0 { ours.checked_sub(shift) } else { ours.checked_add(shift) };
        moved.unwrap_or(ours)
    }

    /// Learns the store's clock from an answer.
    fn learn_time(&self, headers: &HeaderMap) {
        let Some(theirs) = date(headers, "date") else { return };
        let offset = match theirs.duration_since(SystemTime::now()) {
            Ok(ahead) => ahead.as_secs().cast_signed(),
            Err(behind) => -behind.duration().as_secs().cast_signed(),
        };
        self.clock_offset.store(offset, Relaxed);
    }

    /// Moves to another region. Returns whether that changes anything.
    fn move_to(&self, region: &str) -> bool {
        let mut place = self.place.write().unwrap_or_else(PoisonError::into_inner);
        if place.region == region {
            return false;
        }
        if place.is_aws {
            match Endpoint::aws(region, self.addressing, self.variants) {
                Ok(endpoint) => place.endpoint = endpoint,
                Err(_) => return false,
            }
        }
        region.clone_into(&mut place.region);
        true
    }
}

impl RusotoStore {
    /// The endpoint's URL, for a person.
    pub fn endpoint(&self) -> String {
        self.0.place().endpoint.url()
    }

    /// Bytes that all connections have taken so far: headers, bodies, and TLS.
    pub fn sent(&self) -> u64 {
        self.0.transport.sent()
    }

    /// Makes a call: once more on a fresh connection where a pooled one broke, and once more where the
    /// store sends it elsewhere.
    async fn call<T, E, F>(
        &self,
        mut call: Call,
        send: impl Fn(S3Client) -> F,
    ) -> Result<(T, Seen), StoreError>
    where
        F: Future<Output = Result<T, RusotoError<E>>>,
    {
        let mut redirected = false;
        let mut unknown_since = None;
        loop {
            let began = SystemTime::now();
            call.seen = Arc::default();
            let client = Client::new_not_signing(call.clone());
            let region = Region::Custom { name: "-".to_owned(), endpoint: "http://call".to_owned() };
            // rusoto's error can hold secrets and is never looked at: the call has kept what matters.
            let outcome = send(S3Client::new_with_client(client, region)).await.ok();
            let mut seen = std::mem::take(&mut *call.seen());
            if let Some(answer) = outcome {
                seen.lost_since = unknown_since;
                return Ok((answer, seen));
            }
            // An answer that passed the guard and that rusoto can't read leaves the outcome unknown too.
            let unknown = seen.unknown || seen.error.is_none();
            let mut error = seen.error.unwrap_or_else(|| {
                StoreError::new(call.operation, Kind::Temporary, "the answer cannot be read")
            });
            if unknown {
                unknown_since.get_or_insert(began);
            }
            error.unknown_since = unknown_since;
            if seen.stale && !call.fresh {
                call.fresh = true;
            } else if !redirected && self.follow(&mut call, &seen.region, seen.redirect) {
                redirected = true;
            } else {
                if error.kind == Kind::ExpiredCredentials {
                    self.0.keyring.forget(seen.credentials.as_ref()).await;
                }
                return Err(error);
            }
        }
    }

    /// Readies a call to be sent where the store wants it. Returns whether there is such a place.
    fn follow(&self, call: &mut Call, signed_for: &str, redirect: Option<Redirect>) -> bool {
        match redirect {
            // An ARN names the region itself.
            Some(Redirect::Region(_)) if call.bucket.parse::<AccessPoint>().is_ok() => false,
            // Another call may have moved there meanwhile.
            Some(Redirect::Region(region)) => {
                region != signed_for && (self.0.place().region == region || self.0.move_to(&region))
            }
            Some(Redirect::Location(uri)) => {
                let plain = !self.0.place().endpoint.is_tls() && uri.scheme_str() == Some("http");
                let sound = uri.authority().is_some_and(|host| !host.as_str().contains('@'));
                let follow = sound && (plain || uri.scheme_str() == Some("https"));
                call.location = follow.then_some(uri);
                follow
            }
            None => false,
        }
    }

    fn new_call(&self, operation: Operation, bucket: &str) -> Call {
        let mut headers = self.0.headers.clone();
        if let Some(key) = &self.0.customer_key {
            headers.extend(key.headers(operation));
        }
        Call {
            shared: Arc::clone(&self.0),
            operation,
            bucket: bucket.to_owned(),
            headers,
            sha256: None,
            trailer: None,
            root: None,
            body: None,
            location: None,
            fresh: false,
            seen: Arc::default(),
        }
    }
}

fn date(headers: &HeaderMap, name: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(&error::text(headers, name)?).ok()
}
