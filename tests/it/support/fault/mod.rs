//! A real S3 endpoint on loopback that is strict, and that fails where a test's script says so.
//!
//! [`FaultServer`] is what tests hold. Reading order: `route` says which operation a request asks for, `script` and
//! `when` what shall go wrong with it, `connection` serves it, `sigv4` verifies it, `ops` does it to the `state`, and
//! `log` remembers it.

// Every test uses another few of these; together they are the vocabulary.
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "a vocabulary for tests, of which not every word is said yet"
)]

mod body;
mod canonical;
mod chunked;
mod clock;
mod connection;
mod error;
mod http;
mod log;
mod ops;
mod outgoing;
mod personality;
mod route;
mod script;
mod sigv4;
mod state;
mod sums;
mod tests;
mod when;
mod xml;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

pub use log::Seen;
pub use personality::{
    Checksums, CompleteAgain, ConditionalWrites, ContentSha256, EtagKind, Listing, ObjectSize, PartOrder,
    Personality, Trailers, WrongRegion,
};
pub use route::Op;
pub use state::{Checksum, ChecksumType, Object, Part, Upload};
pub use sums::{Algorithm, Sums};
pub use when::When;

use log::{Shared, lock};
use script::Rule;

/// A running server, on a thread and runtime of its own. Dropping it stops it and closes every connection.
pub struct FaultServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FaultServer {
    /// Starts a server as strict as AWS, with one bucket called `bucket`.
    pub fn start() -> Self {
        Self::start_with(Personality::default())
    }

    /// Starts a server of that personality; it listens once this returns.
    pub fn start_with(personality: Personality) -> Self {
        let shared = Arc::new(Shared::new(personality));
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = mpsc::channel();
        let theirs = Arc::clone(&shared);
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime for the fault server");
            runtime.block_on(async {
                let listener = listen(theirs.personality.receive_buffer);
                let address = listener.local_addr().expect("a bound socket has an address");
                tell.send(address).expect("start_with waits for the address");
                tokio::select! {
                    () = accept(&theirs, listener) => {}
                    _ = stopped => {}
                }
            });
        };
        let thread = std::thread::Builder::new()
            .name("fault-server".to_owned())
            .spawn(run)
            .expect("a thread for the fault server");
        Self {
            shared,
            address: told.recv().expect("the fault server listens"),
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Returns `http://127.0.0.1:port`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn personality(&self) -> &Personality {
        &self.shared.personality
    }

    /// Begins a rule for requests of that operation.
    pub fn on(&self, op: Op) -> When<'_> {
        When::new(&self.shared, Rule::new(Some(op)))
    }

    /// Begins a rule for requests of any operation.
    pub fn on_any(&self) -> When<'_> {
        When::new(&self.shared, Rule::new(None))
    }

    /// Strikes all rules.
    pub fn forget_rules(&self) {
        self.shared.forget_rules();
    }

    /// Lets go every held or stalled request that has arrived so far; later ones are held anew.
    pub fn release(&self) {
        self.shared.release();
    }

    /// Blocks until n such requests have arrived since the start; panics if that takes a minute.
    pub fn wait_for(&self, op: Op, n: usize) {
        let what = format!("{n} × {op:?}");
        self.shared.wait(&what, |log| log.count(op) >= n);
    }

    /// Blocks until the server is done with n such requests; panics if that takes a minute.
    pub fn wait_for_end_of(&self, op: Op, n: usize) {
        let what = format!("the end of {n} × {op:?}");
        self.shared.wait(&what, |log| log.ended(op) >= n);
    }

    /// Blocks until n requests are held or stalled at once; panics if that takes a minute.
    pub fn wait_for_held(&self, n: usize) {
        self.shared.wait(&format!("{n} held"), |log| log.held >= n);
    }

    /// Waits until n such requests have arrived since the start, without a limit.
    pub async fn arrived(&self, op: Op, n: usize) {
        self.shared.until(|log| log.count(op) >= n).await;
    }

    /// Waits until the server is done with n such requests, without a limit.
    pub async fn ended(&self, op: Op, n: usize) {
        self.shared.until(|log| log.ended(op) >= n).await;
    }

    /// Waits until n requests are held or stalled at once, without a limit.
    pub async fn held(&self, n: usize) {
        self.shared.until(|log| log.held >= n).await;
    }

    /// Returns every request so far, in the order of arrival.
    pub fn requests(&self) -> Vec<Seen> {
        self.shared.log().seen.clone()
    }

    /// Returns the requests of that operation, in the order of arrival.
    pub fn requests_of(&self, op: Op) -> Vec<Seen> {
        let log = self.shared.log();
        log.seen.iter().filter(|seen| seen.op == op).cloned().collect()
    }

    /// Returns how many such requests have arrived.
    pub fn count(&self, op: Op) -> usize {
        self.shared.log().count(op)
    }

    /// Returns the most such requests that were being served at one time.
    pub fn in_flight_peak(&self, op: Op) -> usize {
        self.shared.log().peak.get(&op).copied().unwrap_or(0)
    }

    /// Returns the most requests with an object's bytes that were being served at one time.
    pub fn data_peak(&self) -> usize {
        self.shared.log().data_peak
    }

    /// Returns how many connections were made.
    pub fn connections(&self) -> usize {
        self.shared.log().connections
    }

    /// Returns the object of that key in whichever bucket has it.
    pub fn object(&self, key: &str) -> Option<Object> {
        let state = lock(&self.shared.state);
        state.buckets.values().find_map(|objects| objects.get(key)).cloned()
    }

    /// Returns the keys of all objects, in order.
    pub fn keys(&self) -> Vec<String> {
        let state = lock(&self.shared.state);
        state.buckets.values().flat_map(|objects| objects.keys()).cloned().collect()
    }

    /// Returns the uploads neither completed nor aborted, oldest first.
    pub fn uploads(&self) -> Vec<Upload> {
        lock(&self.shared.state).uploads.clone()
    }

    /// Puts an object into the first bucket, as if it had long been there.
    pub fn has_object(&self, key: &str, bytes: impl Into<Bytes>) {
        let bucket = &self.personality().buckets[0];
        let now = self.shared.now();
        ops::seed_object(&mut lock(&self.shared.state), bucket, key, bytes.into(), now);
    }

    /// Begins an upload in the first bucket, as if somebody had left it there; returns its id.
    pub fn has_upload(&self, key: &str) -> String {
        let bucket = &self.personality().buckets[0];
        let now = self.shared.now();
        lock(&self.shared.state).begin(bucket, key, Vec::new(), None, now)
    }

    /// Begins an upload as [`has_upload`](Self::has_upload) does, but so long ago.
    pub fn has_old_upload(&self, key: &str, age: Duration) -> String {
        let bucket = &self.personality().buckets[0];
        let then = self.shared.now() - age;
        lock(&self.shared.state).begin(bucket, key, Vec::new(), None, then)
    }

    /// Adds a part to an upload, as if somebody had sent it; returns its ETag.
    pub fn has_part(&self, upload_id: &str, number: u32, bytes: impl Into<Bytes>) -> String {
        let now = self.shared.now();
        let mut state = lock(&self.shared.state);
        ops::seed_part(&mut state, upload_id, number, bytes.into(), now)
    }

    /// Lets an upload vanish, as if somebody had aborted it.
    pub fn forget_upload(&self, upload_id: &str) {
        lock(&self.shared.state).forget(upload_id);
    }
}

impl Drop for FaultServer {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn listen(receive_buffer: Option<u32>) -> TcpListener {
    let socket = TcpSocket::new_v4().expect("a socket");
    if let Some(bytes) = receive_buffer {
        // Set before listening, so that accepted sockets inherit it.
        socket.set_recv_buffer_size(bytes).expect("a receive buffer");
    }
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
    socket.listen(1024).expect("to listen on it")
}

async fn accept(shared: &Arc<Shared>, listener: TcpListener) {
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    let shared = Arc::clone(shared);
                    clients.spawn(async move { connection::serve(&shared, stream).await });
                }
            }
            // Cleared away as they end; a panic in one is a bug in the server and shows on the client's side as a close.
            Some(_) = clients.join_next() => {}
        }
    }
}
