//! What all uploads of one run of `put` share: the store, the window, the screen, and when to stop.

use std::ffi::OsString;
use std::sync::Arc;

use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::args::{Concurrency, PutArgs};
use super::progress::Screen;
use super::report::{Exit, Object, Report, Usage};
use super::signals::Signals;
use crate::error::{Cause, Error, Mismatch, Step};
use crate::pace;
use crate::source::{FileSource, Pool};
use crate::store::rusoto::{Connection, RusotoStore};
use crate::store::{HedgePolicy, Hedging, Kind, Retrying, Store};
use crate::upload::{Proof, Request, Trailers, Verdict, Window, check_condition, verify};

/// The store as `put` uses it.
pub(super) type Uploader = Retrying<Hedging<RusotoStore>>;

const SIGNED: &str = "--checksum-trailer always: nothing can follow bytes that the signature covers; \
    use https, or --payload-signing never";

/// One run of `put`.
pub(super) struct Session<'a> {
    pub(super) args: &'a PutArgs,
    pub(super) report: &'a Report,
    pub(super) signals: &'a Signals,
    pub(super) screen: Arc<Screen>,
    pub(super) window: Window,
    /// The blocks that all files are read through.
    pub(super) pool: Pool,
    /// Cancelled when the run is to end early, for whatever reason.
    pub(super) stop: CancellationToken,
    words: &'a [OsString],
    base: Connection,
    store: OnceCell<Uploader>,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        args: &'a PutArgs,
        words: &'a [OsString],
        base: Connection,
        report: &'a Report,
        signals: &'a Signals,
        many: bool,
    ) -> Self {
        Session {
            args,
            report,
            signals,
            screen: Arc::new(Screen::new(&args.output, many)),
            window: args.transfer.window(),
            pool: Pool::default(),
            stop: signals.stop.child_token(),
            words,
            base,
            store: OnceCell::new(),
        }
    }

    /// Returns the store, connected to when it is first asked for: a dry run needs none.
    pub(super) async fn store(&self) -> anyhow::Result<&Uploader> {
        let connect = || async {
            let store = RusotoStore::connect(&self.args.connection(self.base.clone())).await?;
            if self.args.transfer.trailers() == Trailers::Always && store.signs_payload() {
                return Err(Usage(SIGNED.to_owned()).into());
            }
            let store = Hedging::new(store, HedgePolicy::default(), self.window.clone());
            let policy = self.args.store.retry_policy();
            Ok(Retrying::new(store, policy, self.screen.clone(), self.stop.clone()))
        };
        self.store.get_or_try_init(connect).await
    }

    /// Runs uploads, while the screen is kept alive and the window is fitted to the line.
    pub(super) async fn run<T>(&self, uploads: impl Future<Output = T>) -> T {
        let sent = || self.store.get().map_or(0, |store| store.inner().inner().sent());
        let fit = async {
            match self.args.transfer.concurrency {
                Concurrency::Auto => pace::keep(&self.window, sent).await,
                Concurrency::Fixed(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            done = uploads => done,
            never = self.screen.keep_talking() => match never {},
            never = fit => match never {},
        }
    }

    /// Looks whether an object is there that is these bytes. Returns what proves it, or why the file is to be sent.
    pub(super) async fn is_unchanged(
        &self,
        source: &FileSource,
        request: &Request,
    ) -> anyhow::Result<Result<Proof, &'static str>> {
        let store = self.store().await?;
        let verdict = tokio::select! {
            biased;
            verdict = verify(store, source, &request.target, request.wishes.part_size) => verdict,
            () = self.stop.cancelled() => Err(Error::new(Step::Stop, Cause::Interrupted)),
        };
        match verdict {
            Ok(Verdict::Same(proof)) => Ok(Ok(proof)),
            Ok(Verdict::Different(Mismatch::Size { .. })) => Ok(Err("the object has another size")),
            Ok(Verdict::Different(_)) => Ok(Err("the object has other bytes")),
            Ok(Verdict::Unknown) => Ok(Err("the store does not tell the object's bytes")),
            Err(error) if is_absent(&error) => Ok(Err("there is no object yet")),
            Err(error) => Err(error.into()),
        }
    }

    /// Looks whether the object's condition holds, where there is one.
    pub(super) async fn check_condition(&self, request: &Request) -> anyhow::Result<()> {
        if request.condition.is_some() {
            check_condition(self.store().await?, request).await?;
        }
        Ok(())
    }

    /// Reports a failure, and what it leaves.
    pub(super) fn failed(&self, object: Object<'_>, error: anyhow::Error) -> Exit {
        let error = self.signals.explain(error);
        let exit = self.report.failure(object, &error, self.signals.exit());
        self.report.ways_on(&error, self.words, &self.args.store);
        exit
    }
}

fn is_absent(error: &Error) -> bool {
    error.store_error().is_some_and(|error| error.kind == Kind::NotFound && !error.has_code("NoSuchBucket"))
}
