//! SIGINT, SIGTERM, SIGHUP and the deadline: the first stops the upload in good order, a second signal ends the
//! program at once.

use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::report::Exit;

/// Listens for signals from now on.
pub(super) struct Signals {
    /// Cancelled by the first signal, or when the deadline passes.
    pub(super) stop: CancellationToken,
    exit: Arc<AtomicU8>,
    /// Hears what the task that stops the uploads has heard too, but may not have come round to.
    own: Mutex<Listener>,
}

impl Signals {
    /// Starts to listen. Must be called within a runtime.
    pub(super) fn listen(deadline: Option<Duration>) -> Self {
        let own = Mutex::new(Listener::new());
        let signals = Signals { stop: CancellationToken::new(), exit: Arc::default(), own };
        // Before the task runs: until then a signal would end the program as it stands.
        let mut next = Listener::new();
        let (stop, exit) = (signals.stop.clone(), Arc::clone(&signals.exit));
        tokio::spawn(async move {
            let first = match deadline {
                Some(deadline) => {
                    tokio::time::timeout(deadline, next.signal()).await.unwrap_or(Some(Exit::Temporary))
                }
                None => next.signal().await,
            };
            // A system that has no signals to listen for has none that could come.
            let Some(first) = first else { return };
            exit.store(first as u8, SeqCst);
            stop.cancel();
            if let Some(second) = next.signal().await {
                std::process::exit(second as i32);
            }
        });
        signals
    }

    /// The exit code that what stopped the upload asks for, where something did.
    pub(super) fn exit(&self) -> Option<Exit> {
        let stopped = self.exit.load(SeqCst);
        let exits = [Exit::Interrupted, Exit::Terminated, Exit::HungUp, Exit::Temporary];
        let heard = exits.into_iter().find(|exit| *exit as u8 == stopped);
        // A terminal's Ctrl-C ends a command that is read from as well, and its end may be known first.
        heard.or_else(|| {
            let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
            let exit = own.signal().now_or_never().flatten()?;
            self.exit.store(exit as u8, SeqCst);
            Some(exit)
        })
    }

    /// Runs a piece of work that leaves nothing behind when it is dropped, unless something stops it.
    pub(super) async fn unless<T>(&self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        tokio::select! {
            done = work => done,
            () = self.stop.cancelled() => Err(anyhow::anyhow!("interrupted")),
        }
    }

    /// Adds to an error that it was the deadline, where it was.
    pub(super) fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        match self.exit() {
            Some(Exit::Temporary) => error.context("the deadline passed"),
            _ => error,
        }
    }
}

#[cfg(unix)]
struct Listener(Option<Heard>);

/// SIGINT, SIGTERM, and SIGHUP where it is to be heard.
#[cfg(unix)]
type Heard = (Signal, Signal, Option<Signal>);

#[cfg(unix)]
impl Listener {
    fn new() -> Self {
        let open = || {
            let hangup = if hears_hangup() { signal(SignalKind::hangup()).ok() } else { None };
            Ok::<_, std::io::Error>((
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
                hangup,
            ))
        };
        Listener(open().ok())
    }

    async fn signal(&mut self) -> Option<Exit> {
        let (interrupt, terminate, hangup) = self.0.as_mut()?;
        let hung_up = async {
            match hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => Some(Exit::Interrupted),
            _ = terminate.recv() => Some(Exit::Terminated),
            _ = hung_up => Some(Exit::HungUp),
        }
    }
}

/// Whether a terminal that goes away ends the program: not where nohup or the like has asked for the contrary.
#[cfg(target_os = "linux")]
fn hears_hangup() -> bool {
    // Asked once, before the first listener changes what the system says.
    static HEARS: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *HEARS.get_or_init(|| {
        let status = procfs::process::Process::myself().and_then(|this| this.status());
        status.is_ok_and(|status| status.sigign & 1 == 0)
    })
}

#[cfg(all(unix, not(target_os = "linux")))]
fn hears_hangup() -> bool {
    false
}

#[cfg(not(unix))]
struct Listener;

#[cfg(not(unix))]
impl Listener {
    fn new() -> Self {
        Listener
    }

    async fn signal(&mut self) -> Option<Exit> {
        tokio::signal::ctrl_c().await.ok().map(|()| Exit::Interrupted)
    }
}
