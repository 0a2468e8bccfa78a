//! The small upload: created, given a few parts, right and wrong ones, and dropped.

use super::fix::is_hopeless;
use super::{
    ABORT, CHECKSUMS, CONTENT_MD5, CREATE, Exam, HEAD_OBJECT, LIST_PARTS, LIST_UPLOADS, TRAILERS,
    UPLOAD_PART, probe_sums,
};
use crate::checksum::{Algorithm, Checksum, Sums, md5};
use crate::error::Fate;
use crate::source::Part;
use crate::store::{
    Attributes, CreateMultipartUpload, Created, Kind, Store, StoreError, Upload, UploadPart, Written,
};
use crate::upload::{abort, refuses_checksum, uploads_of};

/// The bytes of a part; of one alone S3 wants no more.
pub(super) const BYTES: &[u8] = b"s3chunk doctor";

/// The checksum that an upload would ask for.
pub(super) const ALGORITHM: Algorithm = Algorithm::Crc64Nvme;

/// What depends on an upload that can be created and dropped.
pub(super) const OF_UPLOAD: [&str; 7] =
    [CREATE, UPLOAD_PART, CHECKSUMS, TRAILERS, CONTENT_MD5, LIST_PARTS, ABORT];

impl<S: Store> Exam<'_, S> {
    /// Lists unfinished uploads. Returns whether it is worth to go on.
    pub(super) async fn listing(&self) -> bool {
        let page = self.store.list_multipart_uploads(self.probe.bucket(), self.probe.key(), None).await;
        let needed = "list, clean, abort without --upload-id and put --resume need it";
        match page {
            Ok(_) => self.sheet.ok(LIST_UPLOADS, "allowed"),
            Err(error) if is_hopeless(&error) => {
                self.sheet.fail(LIST_UPLOADS, &error, self.grants.on_bucket(&error, ""));
                return false;
            }
            Err(error) => {
                let fix = match error.kind {
                    Kind::Refused => "nothing: put does without".to_owned(),
                    _ => self.grants.on_bucket(&error, "s3:ListBucketMultipartUploads"),
                };
                self.sheet.warn(LIST_UPLOADS, format!("{error}; {needed}"), fix);
            }
        }
        true
    }

    /// Makes the small upload and drops it.
    pub(super) async fn upload(&self) {
        if !self.may_abort().await {
            return self.sheet.skip(&OF_UPLOAD, "an upload could not be dropped again");
        }
        let Some((created, refused)) = self.create().await else {
            return self.sheet.skip(&OF_UPLOAD, "no upload can be started");
        };
        let upload = self.upload_of(created.upload_id.clone());
        tokio::select! {
            () = self.parts(&upload, created.checksum, refused) => {}
            () = self.stop.cancelled() => {}
        }
        self.drop_upload(&upload, created.lost_since.is_some()).await;
    }

    /// Asks to abort an upload that is not there, before there is one that could not be dropped.
    async fn may_abort(&self) -> bool {
        let made_up = self.upload_of(format!("{:032x}", fastrand::u128(..)));
        match self.store.abort_multipart_upload(&made_up).await {
            // Some stores answer so to each id that they do not know, in any operation.
            Err(error) if error.kind == Kind::Denied && !self.is_denied_a_part(&made_up).await => {
                self.sheet.fail(ABORT, &error, self.grants.on_objects(&error, "s3:AbortMultipartUpload"));
                false
            }
            _ => true,
        }
    }

    async fn is_denied_a_part(&self, upload: &Upload) -> bool {
        let sent = self.send(upload, 1, self.sums(None)).await;
        sent.is_err_and(|error| error.kind == Kind::Denied)
    }

    /// Starts the upload. Returns it, and the error that its checksum was refused with.
    async fn create(&self) -> Option<(Created, Option<StoreError>)> {
        let mut refused = None;
        let mut created = self.create_with(Some(ALGORITHM)).await;
        if created.as_ref().is_err_and(refuses_checksum) {
            refused = created.err();
            created = self.create_with(None).await;
        }
        match created {
            Ok(created) => {
                self.sheet.ok(CREATE, "allowed");
                Some((created, refused))
            }
            Err(error) => {
                if error.outcome_unknown() {
                    self.sweep().await;
                }
                self.sheet.fail(CREATE, &error, self.grants.on_objects(&error, "s3:PutObject"));
                None
            }
        }
    }

    pub(super) async fn create_with(&self, checksum: Option<Algorithm>) -> Result<Created, StoreError> {
        let (target, attributes) = (self.probe.clone(), Attributes::default());
        self.store.create_multipart_upload(&CreateMultipartUpload { target, attributes, checksum }).await
    }

    async fn parts(&self, upload: &Upload, confirmed: Option<Algorithm>, refused: Option<StoreError>) {
        let sums = self.sums(confirmed);
        match self.send(upload, 1, sums).await {
            Ok(_) => self.sheet.ok(UPLOAD_PART, "allowed"),
            Err(error) => {
                self.sheet.fail(UPLOAD_PART, &error, self.grants.on_objects(&error, "s3:PutObject"));
                self.sheet.skip(&[CHECKSUMS, TRAILERS, CONTENT_MD5], "no part can be stored");
                self.list_parts(upload, false).await;
                return;
            }
        }
        let verified = self.checksums(upload, confirmed, refused).await;
        self.trailers(upload, confirmed).await;
        self.content_md5(upload, verified).await;
        self.list_parts(upload, true).await;
    }

    /// Whether the store verifies checksums: sends one that is not the bytes'.
    async fn checksums(
        &self,
        upload: &Upload,
        confirmed: Option<Algorithm>,
        refused: Option<StoreError>,
    ) -> bool {
        let name = ALGORITHM.name();
        let instead = "nothing: put sends Content-MD5 here, and compares ETags";
        if let Some(error) = refused {
            self.sheet.warn(CHECKSUMS, format!("{name} is refused: {error}"), instead);
            return false;
        }
        let with = |bytes: &[u8]| Sums {
            checksum: Some(Checksum::of(ALGORITHM, bytes)),
            md5: None,
            ..self.sums(None)
        };
        if confirmed.is_none()
            && let Err(error) = self.send(upload, 2, with(BYTES)).await
        {
            self.sheet.warn(CHECKSUMS, format!("{name} is refused with a part: {error}"), instead);
            return false;
        }
        let word = if confirmed.is_some() { "confirmed" } else { "not confirmed" };
        match self.send(upload, 2, with(b"other bytes")).await {
            Ok(_) if confirmed.is_some() => {
                let detail = format!("{name} is {word}, and not verified: a wrong one was taken");
                self.sheet.warn(CHECKSUMS, detail, "use --checksum md5, and --verify");
                false
            }
            Ok(_) => {
                self.sheet.warn(CHECKSUMS, format!("{name} is ignored: a wrong one was taken"), instead);
                false
            }
            Err(error) if refuses(&error) => {
                self.sheet.ok(CHECKSUMS, format!("{name} is {word} and verified: a wrong one was refused"));
                true
            }
            Err(error) => {
                self.sheet.warn(CHECKSUMS, format!("cannot tell: {error}"), "try again later");
                false
            }
        }
    }

    /// Whether the store takes a checksum behind the bytes, so that a file is read once.
    async fn trailers(&self, upload: &Upload, confirmed: Option<Algorithm>) {
        if self.store.signs_payload() {
            let why = "payloads are signed before they are sent, and their checksum with them";
            return self.sheet.skip(&[TRAILERS], why);
        }
        if confirmed.is_none() {
            return self.sheet.skip(&[TRAILERS], "the store confirms no checksum that could be one");
        }
        let part = UploadPart { trailer: Some(ALGORITHM), ..self.part(upload, 4, Sums::default()) };
        match self.store.upload_part(&part).await {
            Ok(Written { checksum: Some(theirs), sent: Some(ours), .. }) if theirs == ours => {
                let used = match self.store.takes_trailers() {
                    true => "taken, and used: a file is read once",
                    false => "taken; --checksum-trailer always would read a file once",
                };
                self.sheet.ok(TRAILERS, used);
            }
            Ok(_) => self.sheet.ok(TRAILERS, "not known here; checksums go before the bytes"),
            Err(error) if refuses(&error) => {
                self.sheet.ok(TRAILERS, "refused here; checksums go before the bytes");
            }
            Err(error) => self.sheet.warn(TRAILERS, format!("cannot tell: {error}"), "try again later"),
        }
    }

    /// Whether the store verifies `Content-MD5`.
    async fn content_md5(&self, upload: &Upload, verified: bool) {
        let sums = Sums { md5: Some(md5(b"other bytes")), ..self.sums(None) };
        match self.send(upload, 3, sums).await {
            Err(error) if refuses(&error) => {
                self.sheet.ok(CONTENT_MD5, "verified: a wrong one was refused");
            }
            Err(error) => self.sheet.warn(CONTENT_MD5, format!("cannot tell: {error}"), "try again later"),
            Ok(_) if verified => {
                self.sheet.ok(CONTENT_MD5, "ignored, and not needed where checksums are verified");
            }
            Ok(_) => self.sheet.warn(
                CONTENT_MD5,
                "ignored: the store verifies nothing that it is sent",
                "put --verify compares what is stored; over plain HTTP signed payloads are verified",
            ),
        }
    }

    /// Lists the upload's parts, where part 1 is `stored`.
    async fn list_parts(&self, upload: &Upload, stored: bool) {
        let again = "nothing: put --resume sends all parts again here";
        let page = match self.store.list_parts(upload, None).await {
            Ok(page) => page,
            Err(error) => {
                let fix = match error.kind {
                    Kind::Refused => again.to_owned(),
                    _ => self.grants.on_objects(&error, "s3:ListMultipartUploadParts"),
                };
                return self.sheet.warn(LIST_PARTS, format!("{error}; put --resume needs it"), fix);
            }
        };
        let first = page.parts.iter().find(|part| part.number == 1);
        match first {
            _ if !stored => self.sheet.ok(LIST_PARTS, "allowed"),
            None => self.sheet.warn(LIST_PARTS, "allowed, but a part that is stored is not listed", again),
            Some(part) if part.etag.is_empty() => {
                self.sheet.warn(LIST_PARTS, "allowed, but parts are listed without their ETags", again);
            }
            Some(part) if part.checksum.is_some() => {
                self.sheet.ok(LIST_PARTS, "allowed; parts are listed with their checksums");
            }
            Some(_) => self.sheet.ok(LIST_PARTS, "allowed; parts are listed with their ETags alone"),
        }
    }

    /// Asks for an object that is not there.
    pub(super) async fn head_object(&self) {
        match self.store.head_object(&self.probe, None).await {
            Ok(_) => self.sheet.ok(HEAD_OBJECT, "allowed"),
            Err(error) if error.kind == Kind::NotFound => self.sheet.ok(HEAD_OBJECT, "allowed"),
            Err(error) => {
                let fix = match error.kind {
                    Kind::Denied => {
                        let read = self.grants.on_objects(&error, "s3:GetObject");
                        format!("{read}, and {}", self.grants.on_bucket(&error, "s3:ListBucket"))
                    }
                    _ => self.grants.on_objects(&error, "s3:GetObject"),
                };
                let needed = "put needs it where an answer is lost, and for --verify";
                self.sheet.warn(HEAD_OBJECT, format!("{error}; {needed}"), fix);
            }
        }
    }

    async fn drop_upload(&self, upload: &Upload, others: bool) {
        let dropped = abort(self.store, upload, false).await;
        if others {
            self.sweep().await;
        }
        let by_hand = format!("remove it: s3chunk abort {} --upload-id {}", upload.target, upload.upload_id);
        match dropped {
            Ok(()) => self.sheet.ok(ABORT, "allowed; the upload is gone"),
            Err(Fate::Stuck(Some(error))) => {
                let fix = self.grants.on_objects(&error, "s3:AbortMultipartUpload");
                self.sheet.fail(ABORT, &error, format!("{fix}; an upload is left, {by_hand}"));
            }
            Err(_) => self.sheet.warn(ABORT, "the abort is taken, and the upload is still there", by_hand),
        }
    }

    /// Drops whatever uploads of the probe's key there are: lost answers may have left some.
    async fn sweep(&self) {
        for listed in uploads_of(self.store, &self.probe).await.unwrap_or_default() {
            let _ = abort(self.store, &self.upload_of(listed.upload_id), false).await;
        }
    }

    pub(super) fn upload_of(&self, upload_id: String) -> Upload {
        Upload { target: self.probe.clone(), upload_id }
    }

    pub(super) async fn send(&self, upload: &Upload, number: u32, sums: Sums) -> Result<Written, StoreError> {
        self.store.upload_part(&self.part(upload, number, sums)).await
    }

    fn part(&self, upload: &Upload, number: u32, sums: Sums) -> UploadPart {
        UploadPart {
            upload: upload.clone(),
            number,
            body: Part::of_bytes(BYTES),
            sums,
            trailer: None,
            fresh: false,
            once: false,
        }
    }

    /// What an upload would send of the bytes: the confirmed checksum, else their MD5.
    pub(super) fn sums(&self, confirmed: Option<Algorithm>) -> Sums {
        probe_sums(BYTES, confirmed, self.store.signs_payload())
    }
}

/// Whether an error can be one about the bytes: any by which the store says that the request is wrong.
fn refuses(error: &StoreError) -> bool {
    matches!(error.kind, Kind::Checksum | Kind::Refused) && error.status.is_some_and(|status| status < 500)
}
