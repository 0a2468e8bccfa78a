//! Step 2: the parts, at most so many at once.

use std::collections::HashSet;

use futures::StreamExt;
use futures::stream::FuturesUnordered;

use super::Job;
use super::initiate::Started;
use super::window::Window;
use crate::checksum::{Sums, Wanted};
use crate::error::{Error, Mismatch, Step};
use crate::event::Event;
use crate::source::{Part, SourceError};
use crate::store::{CompletedPart, Kind, Operation, Store, StoreError, UploadPart, Written};

impl<S: Store> Job<'_, S> {
    /// Uploads the parts that are not stored yet, and returns all of them by their numbers. The first
    /// that fails stops the rest.
    pub(super) async fn upload_parts(
        &self,
        started: &Started,
        mut stored: Vec<CompletedPart>,
    ) -> Result<Vec<CompletedPart>, Error> {
        let parts = started.parts;
        let there: HashSet<u32> = stored.iter().map(|part| part.number).collect();
        let mut waiting = parts.numbers().filter(|number| !there.contains(number));
        let mut window = Window::new(self.request.concurrency, self.store.throttled());
        let mut in_flight = FuturesUnordered::new();
        loop {
            // A part is looked at no sooner than it may be sent, so that nothing piles up.
            while in_flight.len() < window.limit() {
                let Some(number) = waiting.next() else { break };
                in_flight.push(self.upload_part(started, number));
            }
            match in_flight.next().await {
                Some(part) => stored.push(part?),
                None => break,
            }
            window.stored(self.store.throttled());
        }
        stored.sort_unstable_by_key(|part| part.number);
        Ok(stored)
    }

    async fn upload_part(&self, started: &Started, number: u32) -> Result<CompletedPart, Error> {
        let parts = started.parts;
        let step = Step::UploadPart { number, count: parts.count() };
        let body = self.source.part(parts.range(number));
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
        let (mut sums, mut answer) = self.send_once(started, step, number, body).await?;
        if let Err(error) = &answer
            && integrity.give_way(error, &sums)
        {
            (sums, answer) = self.send_once(started, step, number, body).await?;
        }
        Ok((sums, answer.map_err(|e| self.blame(step, e))?))
    }

    async fn send_once(
        &self,
        started: &Started,
        step: Step,
        number: u32,
        body: &Part,
    ) -> Result<(Sums, Result<Written, StoreError>), Error> {
        let sums = self.sums(step, body, started.integrity.wanted()).await?;
        let request = UploadPart {
            upload: started.upload.clone(),
            number,
            body: body.clone(),
            sums: sums.clone(),
            attributes: self.request.attributes.clone(),
            fresh: false,
        };
        let answer = self.store.upload_part(&request).await;
        Ok((sums, answer))
    }

    /// Reads some bytes of the source for what is wanted of them.
    pub(super) async fn sums(&self, step: Step, body: &Part, wanted: Wanted) -> Result<Sums, Error> {
        match body.sums(wanted).await {
            Ok(sums) => Ok(sums),
            Err(source) => {
                self.check_source(step)?;
                let path = self.source.path().to_owned();
                Err(Error::new(step, SourceError::Read { path, source }))
            }
        }
    }
}

fn no_etag() -> StoreError {
    let message = "the store took the part and named no ETag, without which it can't be completed";
    StoreError::new(Operation::UploadPart, Kind::Refused, message)
}
