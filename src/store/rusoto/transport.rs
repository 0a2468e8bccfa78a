//! HTTP: one request over a pooled connection, watched so that it can't hang.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Extensions, HeaderValue, Request, Response, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper_util::client::legacy::connect::{CaptureConnection, Connected, capture_connection};
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{MissedTickBehavior, interval};

use super::connector::{ConnectError, Connector, Pulse, causes};
use super::endpoint::is_loopback;
use super::rate::Queue;
use super::tls::Trust;

/// A request's body.
pub(super) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// How long an idle connection is kept: shorter than stores keep theirs, since a request on one that
/// the store is just closing is lost.
const IDLE: Duration = Duration::from_secs(10);

/// Bytes that a connection holds on their way out, three blocks of a part: with hyper's own limit of 408 KiB many
/// connections would hold tens of mebibytes.
const BUFFER: usize = 192 << 10;

/// The largest answer in bytes. A page of 1,000 uploads with the longest keys has some 4 MiB.
const MAX_ANSWER: usize = 16 << 20;

/// How long to wait for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection, TLS included.
    pub connect: Duration,
    /// While not a byte moves, in a request or its answer.
    pub stall: Duration,
    /// The same while a store puts an object together, which it may do in silence for minutes.
    pub complete: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            connect: Duration::from_secs(10),
            stall: Duration::from_secs(60),
            complete: Duration::from_secs(15 * 60),
        }
    }
}

/// Sends requests.
#[derive(Clone)]
pub(super) struct Transport {
    pooled: Client<Connector, Body>,
    fresh: Client<Connector, Body>,
    connector: Connector,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct TransportError {
    /// One line.
    pub(super) message: String,
    /// Whether the request may have reached the store.
    pub(super) sent: bool,
    /// Whether another try will fare no better.
    pub(super) lasting: bool,
    /// Whether it broke on a connection that had served before.
    pub(super) stale: bool,
}

/// What a request may use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// How long not a byte may move.
    pub(super) stall: Duration,
    /// Whether to make a connection, though one may be idle.
    pub(super) fresh: bool,
}

impl Transport {
    /// Returns a transport with no connection yet.
    pub(super) fn new(trust: Trust, timeouts: Timeouts) -> Self {
        let connector = Connector::new(trust, timeouts.connect);
        let client = |idle: usize| {
            Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE)
                .pool_max_idle_per_host(idle)
                .retry_canceled_requests(false)
                .set_host(false)
                .http1_max_buf_size(BUFFER)
                .build(connector.clone())
        };
        Transport { pooled: client(usize::MAX), fresh: client(0), connector }
    }

    /// Bytes that all connections have taken so far.
    pub(super) fn sent(&self) -> u64 {
        self.connector.sent()
    }

    /// Whether others can read a request to `uri` on its way.
    pub(super) fn is_in_the_clear(&self, uri: &Uri) -> bool {
        let stays_here = uri.host().is_some_and(is_loopback) && !self.connector.is_proxied(uri);
        uri.scheme_str() != Some("https") && !stays_here
    }

    /// The credentials that a proxy wants with each plain request to `uri`.
    pub(super) fn proxy_authorization(&self, uri: &Uri) -> Option<HeaderValue> {
        self.connector.proxy_authorization(uri)
    }

    /// What makes the connections.
    pub(super) fn connector(&self) -> &Connector {
        &self.connector
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// When there is no connection, it breaks, or nothing moves on it for too long.
    pub(super) async fn send(
        &self,
        mut request: Request<Body>,
        limits: Limits,
    ) -> Result<Response<Bytes>, TransportError> {
        let mut connection = capture_connection(&mut request);
        let watched = connection.clone();
        let queue = request.extensions().get().cloned().unwrap_or_default();
        let client = if limits.fresh { &self.fresh } else { &self.pooled };
        let exchange = async {
            let response = client.request(request).await.map_err(Broken::Request)?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(Broken::Answer)?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        let stalled = async { stall(&*pulse(&mut connection).await, &queue, limits.stall).await };
        let outcome = tokio::select! {
            biased;
            outcome = exchange => outcome,
            () = stalled => Err(Broken::Stalled(limits.stall)),
        };
        if outcome.is_ok()
            && let Some(pulse) = watched.connection_metadata().as_ref().and_then(pulse_of)
        {
            pulse.answered();
        }
        outcome.map_err(|broken| {
            let pulse = watched.connection_metadata().as_ref().and_then(pulse_of);
            let served = pulse.as_ref().is_some_and(|pulse| pulse.answers() > 0);
            let (connected, stale) = (pulse.is_some(), served && !matches!(broken, Broken::Stalled(_)));
            let lasting = broken.connect_error().is_some_and(|error| error.lasting);
            TransportError { message: broken.message(), sent: connected, lasting, stale }
        })
    }
}

/// Waits for the connection that a request goes over.
async fn pulse(connection: &mut CaptureConnection) -> Arc<Pulse> {
    let pulse = connection.wait_for_connection_metadata().await.as_ref().and_then(pulse_of);
    match pulse {
        Some(pulse) => pulse,
        // The request ended without a connection; its own outcome says why.
        None => std::future::pending().await,
    }
}

fn pulse_of(connected: &Connected) -> Option<Arc<Pulse>> {
    let mut extras = Extensions::new();
    connected.get_extras(&mut extras);
    extras.remove()
}

/// Returns when nothing has moved for `limit`, give or take a quarter. A body that waits for its turn under
/// the rate limit is not to blame, and neither is the store.
async fn stall(pulse: &Pulse, queue: &Queue, limit: Duration) {
    const TICKS: u32 = 4;
    let mut ticks = interval((limit / TICKS).max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut moved, mut unacknowledged, mut idle) = (pulse.bytes(), None, 0);
    ticks.tick().await;
    while idle < TICKS {
        ticks.tick().await;
        let now = pulse.bytes();
        if now != moved || queue.waits() {
            (moved, unacknowledged, idle) = (now, None, 0);
            continue;
        }
        // To ask the system costs something, and is for those alone that seem to stand still.
        let left = pulse.unacknowledged();
        let moves = unacknowledged.is_some() && left != unacknowledged;
        (unacknowledged, idle) = (left, if moves { 0 } else { idle + 1 });
    }
}

enum Broken {
    Request(legacy::Error),
    Answer(Box<dyn std::error::Error + Send + Sync>),
    Stalled(Duration),
}

impl Broken {
    /// Why there was no connection, where that is it.
    fn connect_error(&self) -> Option<&ConnectError> {
        let Broken::Request(error) = self else { return None };
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            if let Some(connect) = cause.downcast_ref() {
                return Some(connect);
            }
            source = cause.source();
        }
        None
    }

    fn message(&self) -> String {
        match self {
            Broken::Request(error) => match self.connect_error() {
                Some(connect) => connect.to_string(),
                None => format!("the connection broke: {}", causes(error)),
            },
            Broken::Answer(error) if error.is::<LengthLimitError>() => {
                format!("the answer is larger than {MAX_ANSWER} bytes")
            }
            Broken::Answer(error) => format!("the answer broke off: {}", causes(error.as_ref())),
            Broken::Stalled(limit) => format!("nothing moved for {limit:?}"),
        }
    }
}

/// Returns a body of bytes at hand.
pub(super) fn whole(bytes: Bytes) -> Body {
    http_body_util::Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waiting_for_ones_turn_is_no_stall() {
        let (pulse, queue, limit) = (Pulse::default(), Queue::default(), Duration::from_secs(60));
        let hour = Duration::from_secs(3600);
        queue.enter();
        let waited = tokio::time::timeout(hour, stall(&pulse, &queue, limit)).await;
        assert!(waited.is_err(), "stalled in the queue");
        queue.leave();
        let began = tokio::time::Instant::now();
        stall(&pulse, &queue, limit).await;
        assert!(began.elapsed() <= 2 * limit, "by the test's own clock");
    }
}
