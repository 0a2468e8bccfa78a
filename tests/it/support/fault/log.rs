//! What the server saw, and who waits for what: requests, what is in flight, holds and releases.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::watch;

use super::clock::{from_unix_seconds, unix_seconds};
use super::http::{Head, header};
use super::personality::Personality;
use super::route::{Op, Route};
use super::script::{Plan, Rule, plan};
use super::state::State;

/// How long a blocking wait lasts before the test is told that it waits for nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request as it was seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its place among all requests, by the arrival of its head; the first is 0.
    pub order: usize,
    /// The number of its connection; the first is 0.
    pub connection: usize,
    pub op: Op,
    pub bucket: Option<String>,
    pub key: Option<String>,
    pub part: Option<u32>,
    pub upload_id: Option<String>,
    pub query: Vec<(String, String)>,
    pub method: String,
    /// The path and query as sent.
    pub target: String,
    pub headers: Vec<(String, String)>,
    /// How many bytes of the body were read.
    pub body_len: u64,
    /// The body, unless it is that of an object or part.
    pub body: Bytes,
    /// `None` until there is an answer, and for ever if there was none.
    pub status_answered: Option<u16>,
    /// Whether the server is done with it.
    pub ended: bool,
}

impl Seen {
    /// Returns a header, by its name in any case of letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// Returns a query parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// All that connections and the test share.
pub struct Shared {
    pub personality: Personality,
    pub state: Mutex<State>,
    log: Mutex<Log>,
    changed: Condvar,
    ticks: watch::Sender<u64>,
}

/// What is written down.
#[derive(Default)]
pub struct Log {
    pub seen: Vec<Seen>,
    pub connections: usize,
    /// How many requests wait for a release.
    pub held: usize,
    pub peak: BTreeMap<Op, usize>,
    /// The most at once of the operations whose bodies are an object's bytes.
    pub data_peak: usize,
    rules: Vec<Rule>,
    in_flight: BTreeMap<Op, usize>,
    releases: u64,
}

impl Log {
    pub fn count(&self, op: Op) -> usize {
        self.seen.iter().filter(|seen| seen.op == op).count()
    }

    pub fn ended(&self, op: Op) -> usize {
        let ended = self.seen.iter().filter(|seen| seen.op == op && seen.ended);
        ended.count()
    }
}

/// Locks even after a test's panic elsewhere.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Shared {
    pub fn new(personality: Personality) -> Self {
        Self {
            state: Mutex::new(State::new(&personality)),
            personality,
            log: Mutex::default(),
            changed: Condvar::new(),
            ticks: watch::Sender::new(0),
        }
    }

    /// Returns the time by the server's clock.
    pub fn now(&self) -> SystemTime {
        from_unix_seconds(unix_seconds(SystemTime::now()) + self.personality.clock_ahead)
    }

    pub fn log(&self) -> MutexGuard<'_, Log> {
        lock(&self.log)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Log) -> T) -> T {
        let result = change(&mut self.log());
        self.changed.notify_all();
        self.ticks.send_modify(|tick| *tick += 1);
        result
    }

    pub fn add_rule(&self, rule: Rule) {
        self.log().rules.push(rule);
    }

    pub fn forget_rules(&self) {
        self.log().rules.clear();
    }

    pub fn connect(&self) -> usize {
        self.change(|log| {
            log.connections += 1;
            log.connections - 1
        })
    }

    /// Lets every request go that has arrived so far and is, or would be, held.
    pub fn release(&self) {
        self.change(|log| log.releases += 1);
    }

    /// Writes the request down and returns its visit with what the script plans for it.
    pub fn arrive(&self, head: &Head, route: &Route, connection: usize) -> (Visit<'_>, Plan) {
        self.change(|log| {
            let order = log.seen.len();
            let in_flight = log.in_flight.entry(route.op).or_default();
            *in_flight += 1;
            let peak = log.peak.entry(route.op).or_default();
            *peak = (*peak).max(*in_flight);
            let data = [Op::PutObject, Op::UploadPart].iter().filter_map(|op| log.in_flight.get(op)).sum();
            log.data_peak = log.data_peak.max(data);
            log.seen.push(Seen {
                order,
                connection,
                op: route.op,
                bucket: route.bucket.clone(),
                key: route.key.clone(),
                part: route.part,
                upload_id: route.upload_id.clone(),
                query: route.query.clone(),
                method: head.method.clone(),
                target: head.target.clone(),
                headers: head.headers.clone(),
                body_len: 0,
                body: Bytes::new(),
                status_answered: None,
                ended: false,
            });
            let visit = Visit { shared: self, order, releases: log.releases };
            (visit, plan(&mut log.rules, route))
        })
    }

    /// Blocks until `enough` says so.
    pub fn wait(&self, what: &str, mut enough: impl FnMut(&Log) -> bool) {
        let waited = self.changed.wait_timeout_while(self.log(), PATIENCE, |log| !enough(log));
        let (log, timeout) = waited.unwrap_or_else(|poisoned| poisoned.into_inner());
        let seen: Vec<_> = log.seen.iter().map(|s| (s.op, s.part, s.status_answered)).collect();
        drop(log);
        assert!(!timeout.timed_out(), "waited in vain for {what}; seen: {seen:?}");
    }

    /// Waits until `enough` says so, without a limit.
    pub async fn until(&self, mut enough: impl FnMut(&Log) -> bool) {
        let mut ticks = self.ticks.subscribe();
        while !enough(&self.log()) {
            // The sender is in `self`: this cannot fail.
            let _ = ticks.changed().await;
        }
    }
}

/// A request being served; dropping it is its end.
pub struct Visit<'a> {
    shared: &'a Shared,
    pub order: usize,
    releases: u64,
}

impl Visit<'_> {
    /// Waits for the first release since the request arrived.
    pub async fn hold(&self) {
        self.shared.change(|log| log.held += 1);
        self.shared.until(|log| log.releases > self.releases).await;
        self.shared.change(|log| log.held -= 1);
    }

    pub fn note(&self, note: impl FnOnce(&mut Seen)) {
        self.shared.change(|log| note(&mut log.seen[self.order]));
    }

    /// The server is done with it and is about to answer, or not to.
    pub fn end(&self, status: Option<u16>) {
        self.shared.change(|log| {
            let seen = &mut log.seen[self.order];
            if std::mem::replace(&mut seen.ended, true) {
                return;
            }
            seen.status_answered = status;
            let op = seen.op;
            *log.in_flight.entry(op).or_default() -= 1;
        });
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.end(None);
    }
}
