//! Step 2: the parts, at most so many at once.

use std::collections::HashSet;

use futures::stream::{self, FuturesUnordered};
use futures::{Stream, StreamExt};

use super::expect::check_not_longer;
use super::initiate::Started;
use super::probe::WORTH_ASKING;
use super::trailer::trails;
use super::window::Place;
use super::{Job, Next};
use crate::checksum::{Algorithm, Sums, Wanted};
use crate::error::{Error, Mismatch, Step};
use crate::event::Event;
use crate::plan::PlanError;
use crate::source::{FileSource, Part, Source, StreamSource};
use crate::store::{CompletedPart, Kind, Operation, Store, StoreError, UploadPart, Written};

/// A part that may be sent now.
struct Ready {
    number: u32,
    body: Part,
    place: Place,
}

impl<S: Store> Job<'_, S> {
    /// Uploads the parts that are not stored yet, and returns all of them by their numbers. The first
    /// that fails stops the rest. `next` is what is there of the first.
    pub(super) async fn upload_parts(
        &self,
        started: &Started,
        mut stored: Vec<CompletedPart>,
        next: Option<Next>,
    ) -> Result<Vec<CompletedPart>, Error> {
        let there: HashSet<u32> = stored.iter().map(|part| part.number).collect();
        if let Some(parts) = started.parts.filter(|parts| parts.size() >= WORTH_ASKING)
            && let Some(number) = parts.numbers().find(|number| !there.contains(number))
        {
            self.ask_for_checks(started, number).await;
        }
        let mut ready = std::pin::pin!(match self.source {
            Source::File(file) => self.parts_of_file(started, file, there, next).left_stream(),
            Source::Stream(stream) => self.parts_of_stream(started, stream, next).right_stream(),
        });
        let mut in_flight = FuturesUnordered::new();
        let mut more = true;
        while more || !in_flight.is_empty() {
            tokio::select! {
                biased;
                Some(part) = in_flight.next() => {
                    stored.push(part?);
                    self.request.window.stored(self.store.throttled());
                }
                part = ready.next(), if more => match part {
                    Some(part) => in_flight.push(self.upload_part(started, part?)),
                    None => more = false,
                },
            }
        }
        stored.sort_unstable_by_key(|part| part.number);
        Ok(stored)
    }

    /// The parts of a file that are not there yet. Each is looked at no sooner than it may be sent, so that
    /// nothing piles up.
    fn parts_of_file<'a>(
        &'a self,
        started: &'a Started,
        file: &'a FileSource,
        there: HashSet<u32>,
        next: Option<Next>,
    ) -> impl Stream<Item = Result<Ready, Error>> + 'a {
        let parts = started.parts.into_iter();
        let missing =
            parts.flat_map(|parts| parts.numbers().map(move |number| (number, parts.range(number))));
        let missing = missing.filter(move |(number, _)| !there.contains(number));
        let state = (missing, next.map(|next| next.place));
        stream::unfold(state, move |(mut missing, mut place)| async move {
            let (number, range) = missing.next()?;
            let place = match place.take() {
                Some(place) => place,
                None => self.request.window.enter().await,
            };
            Some((Ok(Ready { number, body: file.part(range), place }), (missing, None)))
        })
    }

    /// The parts of a stream. Each is read no sooner than it may be sent: until then the stream waits.
    fn parts_of_stream<'a>(
        &'a self,
        started: &'a Started,
        source: &'a StreamSource,
        next: Option<Next>,
    ) -> impl Stream<Item = Result<Ready, Error>> + 'a {
        stream::try_unfold((1, next), move |(number, mut next)| async move {
            let (place, first) = match next.take() {
                Some(Next { place, part }) => (place, part),
                None => (self.request.window.enter().await, None),
            };
            let body = match first {
                Some(part) => part,
                None => self.next_of_stream(started, source, number).await?,
            };
            if body.is_empty() {
                return Ok(None);
            }
            Ok(Some((Ready { number, body, place }, (number + 1, None))))
        })
    }

    async fn next_of_stream(
        &self,
        started: &Started,
        source: &StreamSource,
        number: u32,
    ) -> Result<Part, Error> {
        let (wishes, sent) = (self.request.wishes, source.taken());
        if sent >= WORTH_ASKING {
            self.ask_for_checks(started, number).await;
        }
        let step = Step::UploadPart { number, count: started.parts.map(|parts| parts.count()) };
        let failed = |e| Error::new(step, e);
        let size = started.parts.map_or_else(|| wishes.next_part_size(sent), |parts| parts.part_size());
        let part = source.next(size, started.integrity.wanted()).await.map_err(failed)?;
        check_not_longer(self.request.expect, source, source.taken()).map_err(failed)?;
        if number > wishes.max_parts && !part.is_empty() {
            let cause = PlanError::StreamTooLong { max_parts: wishes.max_parts, size: sent };
            return Err(Error::new(step, cause));
        }
        Ok(part)
    }

    async fn upload_part(&self, started: &Started, ready: Ready) -> Result<CompletedPart, Error> {
        let Ready { number, body, place: _place } = ready;
        let step = Step::UploadPart { number, count: started.parts.map(|parts| parts.count()) };
        let (sums, answer) = self.send_until_whole(started, step, number, &body).await?;
        self.check_source(step)?;
        let etag = answer.etag.ok_or_else(|| Error::new(step, no_etag()))?;
        self.observer.event(&Event::Stored { part: number, size: body.len() });
        Ok(CompletedPart { number, etag, size: body.len(), checksum: sums.checksum.or(answer.checksum) })
    }

    /// Sends a part, and once more where the store's answer tells of other bytes.
    async fn send_until_whole(
        &self,
        started: &Started,
        step: Step,
        number: u32,
        body: &Part,
    ) -> Result<(Sums, Written), Error> {
        let integrity = &started.integrity;
        let first = self.send(started, step, number, body).await?;
        let Err(mismatch) = integrity.compare(&first.0, &first.1) else { return Ok(first) };
        self.observer.event(&Event::Notice(&format!("part {number} is sent again: {mismatch}")));
        integrity.leave_trailers();
        let second = self.send(started, step, number, body).await?;
        match integrity.compare(&second.0, &second.1) {
            Ok(()) => Ok(second),
            // The store checked the MD5 that went along, and calls its parts by something else.
            Err(Mismatch::ETag { .. }) if !integrity.etags_are_md5() => Ok(second),
            Err(mismatch) => Err(Error::new(step, mismatch)),
        }
    }

    async fn send(
        &self,
        started: &Started,
        step: Step,
        number: u32,
        body: &Part,
    ) -> Result<(Sums, Written), Error> {
        let integrity = &started.integrity;
        let mut trailer = integrity.trailer().filter(|_| trails(body, integrity.wanted()));
        let (mut sums, mut answer) = self.send_once(started, step, number, body, trailer).await?;
        if trailer.is_some() && self.misses_trailer(&answer) {
            let is_first = integrity.leave_trailers();
            trailer = None;
            (sums, answer) = self.send_once(started, step, number, body, None).await?;
            if is_first && answer.is_ok() {
                self.mention_trailer();
            }
        }
        if let Err(error) = &answer
            && integrity.give_way(error, &sums)
        {
            (sums, answer) = self.send_once(started, step, number, body, None).await?;
        }
        let explain = |error| if trailer.is_some() { self.explain_trailer(error) } else { error };
        Ok((sums, answer.map_err(|e| self.blame(step, explain(e)))?))
    }

    async fn send_once(
        &self,
        started: &Started,
        step: Step,
        number: u32,
        body: &Part,
        trailer: Option<Algorithm>,
    ) -> Result<(Sums, Result<Written, StoreError>), Error> {
        let wanted = if trailer.is_some() { Wanted::default() } else { started.integrity.wanted() };
        let mut sums = self.sums(step, body, wanted).await?;
        let (body, watch) = body.watched(started.integrity.kept());
        let request = UploadPart {
            upload: started.upload.clone(),
            number,
            body,
            sums: sums.clone(),
            trailer,
            fresh: false,
            once: false,
        };
        let answer = self.store.upload_part(&request).await;
        if let Ok(Written { sent: Some(sent), .. }) = &answer {
            sums.checksum = Some(sent.clone());
        }
        sums.checksum = sums.checksum.or(watch.sums().checksum);
        Ok((sums, answer))
    }

    /// Reads some bytes of the source for what is wanted of them.
    pub(super) async fn sums(&self, step: Step, body: &Part, wanted: Wanted) -> Result<Sums, Error> {
        match body.sums(wanted).await {
            Ok(sums) => Ok(sums),
            Err(source) => {
                self.check_source(step)?;
                Err(Error::new(step, self.source.unreadable(source)))
            }
        }
    }
}

fn no_etag() -> StoreError {
    let message = "the store took the part and named no ETag, without which it can't be completed";
    StoreError::new(Operation::UploadPart, Kind::Refused, message)
}
