//! The rate at which bodies go out, all requests together.

use std::io;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use leaky_bucket::{AcquireOwned, RateLimiter};

use super::transport::Body;

/// How often there is room for more bytes.
const INTERVAL: Duration = Duration::from_millis(50);

/// Intervals whose bytes may go out at once after a time in which none did: half a second's.
const SAVED: usize = 10;

/// The largest slice in bytes: what files are read in.
const SLICE: usize = 64 << 10;

/// A limit that all bodies share; first come, first served. Cheap to clone.
#[derive(Clone)]
pub(super) struct Rate {
    limiter: Arc<RateLimiter>,
    /// Bytes that a body is let send at a time. Few where the rate is low: a store drops a connection on
    /// which nothing comes for some 20 s.
    slice: usize,
}

/// Whether a request's body waits for its turn.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue(Arc<AtomicBool>);

impl Queue {
    /// Whether it waits now.
    pub(super) fn waits(&self) -> bool {
        self.0.load(Relaxed)
    }

    pub(super) fn enter(&self) {
        self.0.store(true, Relaxed);
    }

    pub(super) fn leave(&self) {
        self.0.store(false, Relaxed);
    }
}

impl Rate {
    /// Returns a limit of that many bytes a second.
    pub(super) fn new(bytes: NonZeroU64) -> Self {
        let intervals = 1000 / INTERVAL.as_millis() as u64;
        let each = usize::try_from(bytes.get() / intervals).unwrap_or(usize::MAX).clamp(1, usize::MAX >> 8);
        let limiter =
            RateLimiter::builder().initial(0).refill(each).interval(INTERVAL).max(each * SAVED).build();
        Rate { limiter: Arc::new(limiter), slice: each.min(SLICE) }
    }

    /// Returns a request whose body keeps to the limit, and whose extensions tell when it waits for that.
    pub(super) fn limit(&self, request: Request<Body>) -> Request<Body> {
        let queue = Queue::default();
        let (mut head, body) = request.into_parts();
        head.extensions.insert(queue.clone());
        let limited = Limited { body, rate: self.clone(), held: Bytes::new(), turn: None, queue };
        Request::from_parts(head, limited.boxed_unsync())
    }
}

/// A body that is let out slice by slice.
struct Limited {
    body: Body,
    rate: Rate,
    /// What has been read of it and not been let out.
    held: Bytes,
    /// The slice that waits for its turn: its bytes.
    turn: Option<(usize, Pin<Box<AcquireOwned>>)>,
    queue: Queue,
}

impl HttpBody for Limited {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        loop {
            if let Some((bytes, turn)) = &mut this.turn {
                ready!(turn.as_mut().poll(cx));
                this.queue.leave();
                let slice = this.held.split_to(*bytes);
                this.turn = None;
                return Poll::Ready(Some(Ok(Frame::data(slice))));
            }
            if this.held.is_empty() {
                match ready!(Pin::new(&mut this.body).poll_frame(cx)).map(|read| read.map(Frame::into_data)) {
                    Some(Ok(Ok(block))) => this.held = block,
                    Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    None => return Poll::Ready(None),
                }
                continue;
            }
            let bytes = this.held.len().min(this.rate.slice);
            this.queue.enter();
            this.turn = Some((bytes, Box::pin(Arc::clone(&this.rate.limiter).acquire_owned(bytes))));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (held, rest) = (self.held.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + held);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + held);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::super::transport::whole;
    use super::*;
    use futures::future::join_all;
    use tokio::time::Instant;

    const KIB: u64 = 1 << 10;

    fn rate(bytes: u64) -> Rate {
        Rate::new(NonZeroU64::new(bytes).unwrap())
    }

    /// Sends bodies of `len` bytes, `count` at once. Returns how long that takes, and the largest slice.
    async fn send(rate: &Rate, len: u64, count: usize) -> (Duration, usize) {
        let began = Instant::now();
        let bytes = Bytes::from(vec![7; usize::try_from(len).unwrap()]);
        let one = || async {
            let request = rate.limit(Request::new(whole(bytes.clone())));
            assert_eq!(request.body().size_hint().exact(), Some(len));
            let (mut body, mut sent, mut largest) = (request.into_body(), Vec::new(), 0);
            while let Some(frame) = body.frame().await {
                let slice = frame.unwrap().into_data().unwrap();
                largest = largest.max(slice.len());
                sent.extend_from_slice(&slice);
                assert_eq!(body.size_hint().exact(), Some(len - sent.len() as u64));
            }
            assert!(sent == bytes && body.is_end_stream());
            largest
        };
        let largest = join_all((0..count).map(|_| one())).await.into_iter().max().unwrap();
        (began.elapsed(), largest)
    }

    /// Whether a time is that many seconds, give or take what rounding and two intervals come to.
    fn near(took: Duration, seconds: f64) -> bool {
        (took.as_secs_f64() - seconds).abs() <= seconds * 0.01 + 2.0 * INTERVAL.as_secs_f64()
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_take_as_long_as_their_bytes_whether_one_by_one_or_together() {
        for (bytes, len) in [(KIB, 10 * KIB), (16 * KIB, 64 * KIB), (10 << 20, 30 << 20)] {
            for count in [1, 3, 8] {
                let (took, _) = send(&rate(bytes), len, count).await;
                let seconds = len as f64 * count as f64 / bytes as f64;
                assert!(
                    near(took, seconds),
                    "{count} of {len} bytes at {bytes}/s: {took:?}, not {seconds} s"
                );
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slice_is_small_where_the_rate_is_and_never_more_than_a_block() {
        assert_eq!(send(&rate(20 * KIB), 100 * KIB, 2).await.1 as u64, KIB);
        assert_eq!(send(&rate(1 << 30), 1 << 20, 1).await.1, SLICE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rest_saves_half_a_second_and_no_more() {
        let rate = rate(100 * KIB);
        send(&rate, KIB, 1).await;
        tokio::time::advance(Duration::from_secs(3600)).await;
        let (took, _) = send(&rate, 300 * KIB, 1).await;
        assert!(near(took, 2.5), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_gives_the_turn_to_the_next() {
        let rate = rate(KIB);
        let mut given_up = rate.limit(Request::new(whole(Bytes::from(vec![7; 1 << 20])))).into_body();
        assert!(tokio::time::timeout(Duration::from_millis(1), given_up.frame()).await.is_err());
        drop(given_up);
        let (took, _) = send(&rate, KIB, 1).await;
        assert!(near(took, 1.0), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_waits_says_so() {
        let request = rate(KIB).limit(Request::new(whole(Bytes::from_static(b"some bytes"))));
        let queue: Queue = request.extensions().get().cloned().unwrap();
        let mut body = request.into_body();
        assert!(!queue.waits());
        let first = tokio::time::timeout(Duration::from_millis(1), body.frame()).await;
        assert!(first.is_err() && queue.waits());
        body.frame().await.unwrap().unwrap();
        assert!(!queue.waits());
    }
}
