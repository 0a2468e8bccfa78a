//! SIGINT and SIGTERM: the first stops the upload in good order, a second ends the program at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};

use tokio_util::sync::CancellationToken;

use super::report::Exit;

/// Listens for signals from now on.
pub(super) struct Signals {
    /// Cancelled by the first signal.
    pub(super) stop: CancellationToken,
    exit: Arc<AtomicU8>,
}

impl Signals {
    /// Starts to listen. Must be called within a runtime.
    pub(super) fn listen() -> Self {
        let signals = Signals { stop: CancellationToken::new(), exit: Arc::default() };
        let (stop, exit) = (signals.stop.clone(), Arc::clone(&signals.exit));
        tokio::spawn(async move {
            let mut next = Listener::new();
            let Some(first) = next.signal().await else { return };
            exit.store(first as u8, SeqCst);
            stop.cancel();
            if let Some(second) = next.signal().await {
                std::process::exit(second as i32);
            }
        });
        signals
    }

    /// The exit code that the signal asks for, where there was one.
    pub(super) fn exit(&self) -> Option<Exit> {
        [Exit::Interrupted, Exit::Terminated].into_iter().find(|exit| *exit as u8 == self.exit.load(SeqCst))
    }
}

#[cfg(unix)]
struct Listener(Option<(tokio::signal::unix::Signal, tokio::signal::unix::Signal)>);

#[cfg(unix)]
impl Listener {
    fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let both =
            signal(SignalKind::interrupt()).and_then(|int| Ok((int, signal(SignalKind::terminate())?)));
        Listener(both.ok())
    }

    async fn signal(&mut self) -> Option<Exit> {
        let (interrupt, terminate) = self.0.as_mut()?;
        tokio::select! {
            _ = interrupt.recv() => Some(Exit::Interrupted),
            _ = terminate.recv() => Some(Exit::Terminated),
        }
    }
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
