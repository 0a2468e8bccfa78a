//! The single request of an object that fits in one chunk.

use super::complete::Expected;
use super::integrity::{compare_checksum, etag_md5, refuses_checksum};
use super::{ChecksumWish, Job, Uploaded};
use crate::checksum::{Algorithm, Sums, Wanted, hex};
use crate::error::{Error, Step};
use crate::event::Event;
use crate::source::Part;
use crate::store::{Kind, ObjectHead, Operation, PutObject, Store, StoreError, Written};

/// The largest object in bytes that is put with its MD5 as well: some 30 ms of work.
const MD5_ALONG: u64 = 16 << 20;

impl<S: Store> Job<'_, S> {
    /// Puts the whole source, which is `body`, as one object.
    pub(super) async fn put_object(&self, body: Part) -> Result<(Uploaded, Expected), Error> {
        let wish = self.request.checksum;
        let auto = wish == ChecksumWish::Auto;
        // Where it costs next to nothing the MD5 goes along, for stores that know nothing else.
        let md5 = wish == ChecksumWish::Md5 || (auto && body.len() <= MD5_ALONG);
        let trailing = match self.trailer_of(&body) {
            Some(algorithm) => Some(self.put_trailing(&body, algorithm).await?),
            None => None,
        };
        let missed = trailing == Some(None);
        let mut sent = match trailing.flatten() {
            Some(sent) => Ok(sent),
            None => self.put_checked(&body, wish.algorithm(), md5).await,
        };
        if missed && sent.is_ok() {
            self.mention_trailer();
        }
        if auto && sent.as_ref().is_err_and(|e| e.store_error().is_some_and(refuses_checksum)) {
            sent = self.put_checked(&body, None, true).await;
        }
        let (mut sums, mut answer) = sent?;
        if auto && answer.checksum.is_none() && sums.md5.is_none() {
            // The store ignored the checksum. Its ETag may prove the bytes; else it must check their MD5.
            let md5 = self.md5(&body).await?;
            if answer.encrypted || answer.etag.as_deref().and_then(etag_md5) != md5 {
                (sums, answer) = self.put_checked(&body, None, true).await?;
            }
        }
        compare_checksum(sums.checksum.as_ref(), answer.checksum.as_ref())
            .map_err(|mismatch| Error::new(Step::Verify, mismatch))?;
        if let (ChecksumWish::Algorithm(algorithm), None) = (wish, &answer.checksum) {
            self.unconfirmed(algorithm);
        }
        if answer.bare {
            self.mention_bare();
        }
        self.check_source(Step::Put)?;
        self.observer.event(&Event::Stored { part: 1, size: body.len() });
        self.request.window.stored(self.store.throttled());
        let etag = sums.md5.map(|md5| hex(&md5));
        let expected = Expected { size: body.len(), etag, checksum: sums.checksum };
        Ok((Uploaded::new(body.len(), 1, self.request.wishes.part_size, answer), expected))
    }

    pub(super) fn put_request(&self, body: &Part, sums: Sums, trailer: Option<Algorithm>) -> PutObject {
        PutObject {
            target: self.request.target.clone(),
            body: body.clone(),
            sums,
            trailer,
            attributes: self.request.attributes.clone(),
            condition: self.request.condition.clone(),
        }
    }

    async fn put_checked(
        &self,
        body: &Part,
        checksum: Option<Algorithm>,
        md5: bool,
    ) -> Result<(Sums, Written), Error> {
        let wanted = Wanted { checksum, md5, sha256: self.store.signs_payload() };
        let sums = self.sums(Step::Put, body, wanted).await?;
        self.check_source(Step::Put)?;
        let request = self.put_request(body, sums.clone(), None);
        let answer = match self.store.put_object(&request).await {
            // An earlier try, whose answer was lost, may have made the very object that is now in the way.
            Err(error) if error.kind == Kind::Precondition && error.outcome_unknown() => {
                self.put_before(body, &sums).await.ok_or(error)
            }
            // What is no answer of S3's is none: the object itself must tell.
            Ok(Written { etag: None, checksum: None, .. }) => {
                self.put_before(body, &sums).await.ok_or_else(|| {
                    let silent = "the store says nothing of the object, and has none of these bytes";
                    StoreError::new(Operation::PutObject, Kind::Temporary, silent)
                })
            }
            answer => answer,
        };
        Ok((sums, answer.map_err(|e| self.blame(Step::Put, e))?))
    }

    /// Reads the bytes once more for their MD5.
    async fn md5(&self, body: &Part) -> Result<Option<[u8; 16]>, Error> {
        Ok(self.sums(Step::Put, body, Wanted { md5: true, ..Wanted::default() }).await?.md5)
    }

    /// Returns what the store says of the object, if it is these bytes.
    pub(super) async fn put_before(&self, body: &Part, sums: &Sums) -> Option<Written> {
        let head = self.store.head_object(&self.request.target, None).await.ok()?;
        let checksum = head.checksums.iter().find(|theirs| sums.checksum.as_ref() == Some(theirs)).cloned();
        let same = match (&checksum, sums.md5) {
            (Some(_), _) => true,
            (None, md5 @ Some(_)) => head.etag.as_deref().and_then(etag_md5) == md5,
            (None, None) => head.etag.as_deref().and_then(etag_md5) == self.md5(body).await.ok()?,
        };
        let ObjectHead { size, etag, version_id, encrypted, .. } = head;
        (same && size == body.len()).then_some(Written {
            etag,
            version_id,
            checksum,
            encrypted,
            ..Written::default()
        })
    }
}
