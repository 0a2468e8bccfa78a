//! Does the store check the bytes at all? Asked where it confirms no checksum, before many bytes are hashed.
//!
//! An MD5 costs more than all the rest of an upload, and a checksum that goes before the bytes a second reading. A
//! store that looks at neither, and makes its ETags of something else, is not helped by them, and the user is told so.

use super::Job;
use super::initiate::Started;
use super::integrity::etag_md5;
use crate::checksum::{Checksum, Sums, md5, sha256};
use crate::event::Event;
use crate::source::Part;
use crate::store::{Store, UploadPart};

/// Bytes that are sent with their MD5 before it is worth a request to ask whether that is of use.
pub(super) const WORTH_ASKING: u64 = 64 << 20;

/// What the part holds by which the store is asked. The part of this number is sent later and replaces it.
const PROBE: &[u8] = b"?";
const OTHER: &[u8] = b"!";

impl<S: Store> Job<'_, S> {
    /// Sends a part of one byte with checksum and MD5 of another. A store that takes it and calls it by
    /// something else than its MD5 gets no more of them: the checksums are computed, and kept.
    pub(super) async fn ask_for_checks(&self, started: &Started, number: u32) {
        if !started.integrity.is_unsure() {
            return;
        }
        let sha256 = self.store.signs_payload().then(|| sha256(PROBE));
        let checksum = started.integrity.wanted().checksum;
        let checksum = checksum.map(|algorithm| Checksum::of(algorithm, OTHER));
        let request = UploadPart {
            upload: started.upload.clone(),
            number,
            body: Part::of_bytes(PROBE),
            sums: Sums { checksum, md5: Some(md5(OTHER)), sha256 },
            trailer: None,
            fresh: false,
            once: true,
        };
        let Ok(answer) = self.store.upload_part(&request).await else { return };
        if answer.etag.as_deref().and_then(etag_md5) != Some(md5(PROBE)) {
            started.integrity.leave_out();
            let how = match self.store.signs_payload() {
                true => "payloads are signed by their SHA-256",
                false => "what protects the bytes is the connection alone",
            };
            let notice = format!("the store confirms no checksum of parts, and takes wrong ones; {how}");
            self.observer.event(&Event::Notice(&notice));
        }
    }
}
