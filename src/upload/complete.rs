//! Step 3: the parts counted, the upload completed, and unclear answers cleared up.
//!
//! Success is said when the object is known to be ours. An answer that was lost, or says nothing, or
//! refuses what an earlier lost answer may have done, is followed by a look at the object itself.

use super::abort::is_gone;
use super::initiate::Started;
use super::integrity::{bare, compare_checksum, etag_md5, multipart_count, multipart_etag};
use super::unfinished::parts_of;
use super::{Job, Uploaded};
use crate::checksum::Checksum;
use crate::error::{Error, Mismatch, Step};
use crate::event::Event;
use crate::source::Source;
use crate::store::{
    CompleteMultipartUpload, CompletedPart, Kind, ObjectHead, Operation, Store, StoreError, Written,
};

/// What the finished object must be.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) size: u64,
    pub(super) etag: Option<String>,
    pub(super) checksum: Option<Checksum>,
}

impl<S: Store> Job<'_, S> {
    /// Completes the upload. Parts that the store turns out not to have are sent again, once.
    pub(super) async fn complete(
        &self,
        started: &Started,
        stored: Vec<CompletedPart>,
    ) -> Result<(Uploaded, Expected), Error> {
        match self.complete_once(started, &stored).await {
            Err(error) if error.store_error().is_some_and(|e| e.has_code("InvalidPart")) => {
                let stored = self.send_missing(started, stored, error).await?;
                self.complete_once(started, &stored).await
            }
            outcome => outcome,
        }
    }

    /// Sends the parts again that the store lacks, by its list and by its refusal. An error that is about
    /// no part of ours is returned as it is.
    async fn send_missing(
        &self,
        started: &Started,
        mut stored: Vec<CompletedPart>,
        refusal: Error,
    ) -> Result<Vec<CompletedPart>, Error> {
        let named = refusal.store_error().and_then(|error| error.part);
        // Where the store lists no parts, the one that it names must do.
        let held = parts_of(self.store, &started.upload).await.ok().map(|held| held.parts);
        let count = stored.len();
        stored.retain(|part| {
            let same =
                |held: &CompletedPart| held.number == part.number && bare(&held.etag) == bare(&part.etag);
            Some(part.number) != named && held.as_ref().is_none_or(|held| held.iter().any(same))
        });
        // What a stream gave is gone.
        if stored.len() == count || matches!(self.source, Source::Stream(_)) {
            return Err(refusal);
        }
        self.upload_parts(started, stored, None).await
    }

    async fn complete_once(
        &self,
        started: &Started,
        stored: &[CompletedPart],
    ) -> Result<(Uploaded, Expected), Error> {
        let size = match self.source {
            Source::File(file) => file.size(),
            Source::Stream(stream) => stream.taken(),
        };
        check_count(started.parts.map(|parts| parts.count()), size, stored)?;
        self.check_source(Step::Complete)?;
        self.observer.event(&Event::Completing);
        let sums = stored.iter().map(|part| Some((part.checksum.as_ref()?, part.size)));
        let checksum = sums.collect::<Option<Vec<_>>>().and_then(Checksum::of_parts);
        // What the store has not confirmed to know may be of some older object in its answers.
        let checksum = checksum.filter(|sum| Some(sum.algorithm()) == started.integrity.confirmed);
        let expected = Expected { size, etag: multipart_etag(stored), checksum };
        let request = CompleteMultipartUpload {
            upload: started.upload.clone(),
            parts: stored.to_vec(),
            size,
            checksum: expected.checksum.clone(),
            condition: self.request.condition.clone(),
        };
        let answer = match self.store.complete_multipart_upload(&request).await {
            Ok(answer) if answer.etag.is_some() => self.check_answer(answer, &expected).await?,
            Ok(answer) => self.look(started, &expected, answer, None).await?,
            Err(error) if error.outcome_unknown() => {
                self.look(started, &expected, Written::default(), Some(error)).await?
            }
            Err(error) => return Err(self.blame(Step::Complete, error)),
        };
        let upload_id = Some(started.upload.upload_id.clone());
        let part_size = started.parts.map_or(self.request.wishes.part_size, |parts| parts.part_size());
        let count = u32::try_from(stored.len()).unwrap_or(u32::MAX);
        Ok((Uploaded { upload_id, ..Uploaded::new(size, count, part_size, answer) }, expected))
    }

    /// Compares the answer with the bytes; looks at the object where the answer proves nothing.
    async fn check_answer(&self, answer: Written, expected: &Expected) -> Result<Written, Error> {
        let mismatch = |e: Mismatch| Error::new(Step::Verify, e);
        compare_checksum(expected.checksum.as_ref(), answer.checksum.as_ref()).map_err(mismatch)?;
        if answer.checksum.is_some() {
            return Ok(answer);
        }
        let head = match self.store.head_object(&self.request.target, None).await {
            Ok(head) => head,
            Err(error) if error.kind == Kind::NotFound => return Err(mismatch(Mismatch::Absent)),
            // To write is allowed where to read need not be.
            Err(_) => return Ok(answer),
        };
        let another = |theirs: &str| answer.etag.as_deref().is_some_and(|etag| bare(etag) != bare(theirs));
        if head.etag.as_deref().is_some_and(another) {
            // Somebody else has written to this key since.
            return Ok(answer);
        }
        compare_head(&head, expected).map_err(mismatch)?;
        let checksum = head.checksums.into_iter().find(|sum| Some(sum) == expected.checksum.as_ref());
        Ok(Written { checksum, ..answer })
    }

    /// Finds out whether the object is there and ours, after an answer that did not say so.
    async fn look(
        &self,
        started: &Started,
        expected: &Expected,
        answer: Written,
        error: Option<StoreError>,
    ) -> Result<Written, Error> {
        let failed = || {
            Error::new(
                Step::Complete,
                error.clone().unwrap_or_else(|| {
                    let message = "the store said neither that it made the object nor that it did not";
                    StoreError::new(Operation::CompleteMultipartUpload, Kind::Temporary, message)
                }),
            )
        };
        let head = self.store.head_object(&self.request.target, None).await.map_err(|_| failed())?;
        if compare_head(&head, expected).is_err() {
            return Err(failed());
        }
        let same = is_same(&head, expected);
        // An older object can be the same. It is ours if the upload is gone and the object no older; one
        // of the two will do where there is a proof of the bytes, and the other can't be asked for.
        let newer = started.date.zip(head.modified).map(|(began, made)| made >= began);
        let gone = match self.store.list_parts(&started.upload, None).await {
            Ok(page) => Some(page.parts.is_empty()),
            Err(error) if is_gone(&error) => Some(true),
            Err(_) => None,
        };
        let ours = match (gone, newer) {
            (Some(gone), Some(newer)) => gone && newer,
            (Some(one), None) | (None, Some(one)) => one && same,
            (None, None) => false,
        };
        if !ours {
            return Err(failed());
        }
        let checksum = head.checksums.into_iter().find(|sum| Some(sum) == expected.checksum.as_ref());
        Ok(Written {
            etag: answer.etag.or(head.etag),
            version_id: answer.version_id.or(head.version_id),
            checksum,
            encrypted: head.encrypted,
            ..Written::default()
        })
    }
}

/// Checks that the parts are all there, each once and in order, before the store is told so.
///
/// `count` is not known of a stream, whose parts must be without a gap all the same.
fn check_count(count: Option<u32>, size: u64, stored: &[CompletedPart]) -> Result<(), Error> {
    let in_order = (1..).zip(stored).all(|(number, part)| part.number == number);
    let all = count.is_none_or(|count| usize::try_from(count) == Ok(stored.len()));
    let stored_size: u64 = stored.iter().map(|part| part.size).sum();
    if in_order && all && stored_size == size {
        return Ok(());
    }
    let message = format!("{} parts with {stored_size} of {size} bytes were stored", stored.len());
    let error = StoreError::new(Operation::CompleteMultipartUpload, Kind::Refused, message);
    Err(Error::new(Step::Complete, error))
}

/// Whether the store proves that the object is what it must be: by checksum or ETag.
pub(super) fn is_same(head: &ObjectHead, expected: &Expected) -> bool {
    head.checksums.iter().any(|sum| Some(sum) == expected.checksum.as_ref())
        || expected.etag.as_deref().is_some_and(|ours| head.etag.as_deref().map(bare) == Some(ours))
}

/// What an ETag looks like: an MD5, or one of the MD5s of so many parts.
fn form(etag: &str) -> (bool, Option<u32>) {
    (etag_md5(etag).is_some(), multipart_count(etag))
}

/// Compares what the store says of the object with what it must be, as far as it says anything.
pub(super) fn compare_head(head: &ObjectHead, expected: &Expected) -> Result<(), Mismatch> {
    if head.size != expected.size {
        return Err(Mismatch::Size { ours: expected.size, theirs: head.size });
    }
    for theirs in &head.checksums {
        compare_checksum(expected.checksum.as_ref(), Some(theirs))?;
    }
    let theirs = head.etag.as_deref().map(bare).filter(|_| !head.encrypted);
    match (&expected.etag, theirs) {
        // An ETag of S3's own form, and with as many parts, is of other parts if it differs.
        (Some(ours), Some(theirs)) if ours != theirs && form(theirs) == form(ours) => {
            Err(Mismatch::ETag { ours: ours.clone(), theirs: theirs.to_owned() })
        }
        _ => Ok(()),
    }
}
