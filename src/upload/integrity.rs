//! How the store is made to check the bytes, and how its answers are compared with them.
//!
//! Stores differ: some know S3's checksum headers, some ignore them, some refuse them. What one does
//! is found out from its answers. Where it does not confirm a checksum, the bytes go with their MD5
//! (`Content-MD5`), and the ETag, which most stores make of it, is compared.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::checksum::{Algorithm, Checksum, Sums, Wanted, hex, md5};
use crate::error::Mismatch;
use crate::store::{CompletedPart, Kind, StoreError, Written};

/// How the user wants the bytes checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChecksumWish {
    /// CRC64NVME where the store knows it, else MD5.
    #[default]
    Auto,
    /// This algorithm, and no other.
    Algorithm(Algorithm),
    /// MD5 alone.
    Md5,
    /// None at all.
    None,
}

impl ChecksumWish {
    /// The algorithm to begin with.
    pub(super) fn algorithm(self) -> Option<Algorithm> {
        match self {
            ChecksumWish::Auto => Some(Algorithm::Crc64Nvme),
            ChecksumWish::Algorithm(algorithm) => Some(algorithm),
            ChecksumWish::Md5 | ChecksumWish::None => None,
        }
    }
}

/// How the parts of one upload are checked: settled at its start, corrected by its answers.
pub(super) struct Integrity {
    wish: ChecksumWish,
    /// What the store confirmed when the upload began.
    pub(super) confirmed: Option<Algorithm>,
    /// The store refused a part for its checksum header.
    refused: AtomicBool,
    /// A part's ETag was its MD5, so that another part's must be too.
    etags_are_md5: AtomicBool,
    /// The store takes wrong checksums and MD5s.
    useless: AtomicBool,
    /// The store was asked whether it does.
    asked: AtomicBool,
    /// A checksum may go behind the bytes.
    trailers: AtomicBool,
    sign: bool,
}

impl Integrity {
    pub(super) fn new(wish: ChecksumWish, confirmed: Option<Algorithm>, refused: bool, sign: bool) -> Self {
        Integrity {
            wish,
            confirmed,
            refused: AtomicBool::new(refused),
            etags_are_md5: AtomicBool::new(false),
            useless: AtomicBool::new(false),
            asked: AtomicBool::new(false),
            trailers: AtomicBool::new(false),
            sign,
        }
    }

    /// Says whether a checksum may go behind the bytes.
    pub(super) fn with_trailers(self, trailers: bool) -> Self {
        Integrity { trailers: AtomicBool::new(trailers), ..self }
    }

    /// The checksum to send behind a part: what is wanted of it, if that is one that the store confirmed,
    /// and nothing else.
    pub(super) fn trailer(&self) -> Option<Algorithm> {
        match self.wanted() {
            Wanted { checksum, md5: false, sha256: false } if self.trailers.load(Relaxed) => {
                checksum.filter(|_| checksum == self.confirmed)
            }
            _ => None,
        }
    }

    /// Sends every checksum before the bytes from now on. Returns whether that is new.
    pub(super) fn leave_trailers(&self) -> bool {
        self.trailers.swap(false, Relaxed)
    }

    /// What to compute of a part.
    pub(super) fn wanted(&self) -> Wanted {
        let useless = self.is_useless();
        let checksum = self.wish.algorithm().filter(|_| !useless && !self.refused.load(Relaxed));
        let md5 = match self.wish {
            ChecksumWish::Auto => self.confirmed.is_none() && !useless,
            ChecksumWish::Md5 => true,
            ChecksumWish::Algorithm(_) | ChecksumWish::None => false,
        };
        Wanted { checksum, md5, sha256: self.sign }
    }

    /// What to compute of a part while it is sent, and not to send: what the store does not look at.
    pub(super) fn kept(&self) -> Wanted {
        Wanted { checksum: self.wish.algorithm().filter(|_| self.is_useless()), ..Wanted::default() }
    }

    /// Whether MD5s go along just in case, and it has not been asked yet whether they are of use.
    pub(super) fn is_unsure(&self) -> bool {
        self.wish == ChecksumWish::Auto && self.wanted().md5 && !self.asked.swap(true, Relaxed)
    }

    /// Sends no checksum and no MD5 from now on.
    pub(super) fn leave_out(&self) {
        self.useless.store(true, Relaxed);
    }

    fn is_useless(&self) -> bool {
        self.useless.load(Relaxed)
    }

    /// Whether a part was refused for a checksum that can be left out; it then is from now on.
    pub(super) fn give_way(&self, error: &StoreError, sent: &Sums) -> bool {
        let give = self.wish == ChecksumWish::Auto
            && self.confirmed.is_none()
            && sent.checksum.is_some()
            && refuses_checksum(error);
        if give {
            self.refused.store(true, Relaxed);
        }
        give
    }

    /// Compares a part's answer with what was sent.
    pub(super) fn compare(&self, sent: &Sums, answer: &Written) -> Result<(), Mismatch> {
        compare_checksum(sent.checksum.as_ref(), answer.checksum.as_ref())?;
        if answer.checksum.is_some() || answer.encrypted {
            return Ok(());
        }
        let (Some(ours), Some(etag)) = (sent.md5, answer.etag.as_deref()) else { return Ok(()) };
        match etag_md5(etag) {
            Some(theirs) if theirs == ours => self.etags_are_md5.store(true, Relaxed),
            Some(_) => {
                return Err(Mismatch::ETag { ours: hex(&ours), theirs: bare(etag).to_owned() });
            }
            None => {}
        }
        Ok(())
    }

    /// Whether a part's ETag has been its MD5, so that one that is not means other bytes.
    ///
    /// A store may call its parts by something else that looks like an MD5.
    pub(super) fn etags_are_md5(&self) -> bool {
        self.etags_are_md5.load(Relaxed)
    }
}

/// Whether an error can be one about a checksum header: a store that does not know a header says so in
/// many ways, and those that surely mean something else are few.
pub(crate) fn refuses_checksum(error: &StoreError) -> bool {
    const OTHER: [&str; 9] = [
        "EntityTooSmall",
        "EntityTooLarge",
        "InvalidBucketName",
        "KeyTooLongError",
        "MetadataTooLarge",
        "InvalidStorageClass",
        "InvalidDigest",
        "AuthorizationHeaderMalformed",
        "InvalidTag",
    ];
    error.kind == Kind::Refused
        && matches!(error.status, Some(400 | 501))
        && !error.code.as_deref().is_some_and(|code| OTHER.contains(&code))
}

/// Compares two checksums, where there are two of one algorithm and type.
pub(super) fn compare_checksum(ours: Option<&Checksum>, theirs: Option<&Checksum>) -> Result<(), Mismatch> {
    match (ours, theirs) {
        (Some(ours), Some(theirs))
            if ours.algorithm() == theirs.algorithm()
                && ours.checksum_type() == theirs.checksum_type()
                && ours != theirs =>
        {
            Err(Mismatch::Checksum { ours: ours.clone(), theirs: theirs.clone() })
        }
        _ => Ok(()),
    }
}

/// Returns the ETag that S3 gives to an object of these parts: the MD5 of their MD5s, and their number.
///
/// `None` where a part's ETag is no MD5.
pub(super) fn multipart_etag(parts: &[CompletedPart]) -> Option<String> {
    let md5s = parts.iter().map(|part| etag_md5(&part.etag)).collect::<Option<Vec<_>>>()?;
    Some(format!("{}-{}", hex(&md5(&md5s.concat())), parts.len()))
}

/// Returns the number of parts that an ETag of S3's own form tells.
pub(super) fn multipart_count(etag: &str) -> Option<u32> {
    let (md5, count) = etag.split_once('-')?;
    etag_md5(md5)?;
    count.parse().ok()
}

/// Returns the MD5 that an ETag may be.
pub(super) fn etag_md5(etag: &str) -> Option<[u8; 16]> {
    let text = bare(etag);
    if text.len() != 32 || !text.is_ascii() {
        return None;
    }
    let mut md5 = [0; 16];
    for (byte, at) in md5.iter_mut().zip((0..32).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(md5)
}

/// Returns an ETag without its quotes, which some stores leave out.
pub(super) fn bare(etag: &str) -> &str {
    etag.trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Operation;

    fn part(number: u32, etag: &str) -> CompletedPart {
        CompletedPart { number, etag: etag.into(), size: 1, checksum: None }
    }

    fn answer(etag: &str) -> Written {
        Written { etag: Some(etag.into()), ..Written::default() }
    }

    fn sums(data: &[u8]) -> Sums {
        Sums { checksum: Some(Checksum::of(Algorithm::Crc64Nvme, data)), md5: Some(md5(data)), sha256: None }
    }

    #[test]
    fn a_multipart_etag_is_the_md5_of_the_parts_md5s() {
        let (one, two) = (hex(&md5(b"a")), hex(&md5(b"b")));
        let whole = hex(&md5(&[md5(b"a"), md5(b"b")].concat()));
        let parts = [part(1, &format!("\"{one}\"")), part(2, &two)];
        assert_eq!(multipart_etag(&parts), Some(format!("{whole}-2")));
        assert_eq!(multipart_etag(&[part(1, "\"opaque\"")]), None);
        assert_eq!(etag_md5("ééééééééééééééée"), None);
    }

    #[test]
    fn an_etag_is_compared_where_it_can_be_an_md5_of_the_bytes() {
        let integrity = Integrity::new(ChecksumWish::Auto, None, false, false);
        assert!(integrity.compare(&sums(b"a"), &answer("\"opaque\"")).is_ok());
        assert!(!integrity.etags_are_md5());
        assert!(integrity.compare(&sums(b"a"), &answer(&hex(&md5(b"a")))).is_ok());
        assert!(integrity.etags_are_md5());
        let other = answer(&hex(&md5(b"b")));
        assert!(matches!(integrity.compare(&sums(b"a"), &other), Err(Mismatch::ETag { .. })));
        let encrypted = Written { encrypted: true, ..other };
        assert!(integrity.compare(&sums(b"a"), &encrypted).is_ok());
    }

    #[test]
    fn the_checksum_of_the_answer_is_compared() {
        let integrity = Integrity::new(ChecksumWish::Auto, Some(Algorithm::Crc64Nvme), false, false);
        let of = |data: &[u8]| Written { checksum: sums(data).checksum, ..Written::default() };
        assert!(integrity.compare(&sums(b"a"), &of(b"a")).is_ok());
        assert!(matches!(integrity.compare(&sums(b"a"), &of(b"b")), Err(Mismatch::Checksum { .. })));
    }

    #[test]
    fn md5_goes_along_where_the_store_confirmed_no_checksum() {
        let wanted = |wish, confirmed| Integrity::new(wish, confirmed, false, true).wanted();
        let crc = Some(Algorithm::Crc64Nvme);
        assert_eq!(wanted(ChecksumWish::Auto, crc), Wanted { checksum: crc, md5: false, sha256: true });
        assert_eq!(wanted(ChecksumWish::Auto, None), Wanted { checksum: crc, md5: true, sha256: true });
        assert_eq!(wanted(ChecksumWish::None, None), Wanted { checksum: None, md5: false, sha256: true });
    }

    #[test]
    fn a_checksum_goes_behind_the_bytes_where_it_is_confirmed_and_alone() {
        let of = |wish, confirmed, sign| {
            Integrity::new(wish, confirmed, false, sign).with_trailers(true).trailer()
        };
        let crc = Some(Algorithm::Crc64Nvme);
        assert_eq!(of(ChecksumWish::Auto, crc, false), crc);
        assert_eq!(of(ChecksumWish::Auto, crc, true), None);
        assert_eq!(of(ChecksumWish::Auto, None, false), None);
        assert_eq!(of(ChecksumWish::Algorithm(Algorithm::Sha1), crc, false), None);
        assert_eq!(of(ChecksumWish::None, None, false), None);
        let integrity = Integrity::new(ChecksumWish::Auto, crc, false, false).with_trailers(true);
        assert!(integrity.leave_trailers() && !integrity.leave_trailers());
        assert_eq!(integrity.trailer(), None);
    }

    #[test]
    fn an_upload_gives_way_just_to_a_refusal_that_may_be_about_the_checksum() {
        let refused = |status, code: &str| StoreError {
            status: Some(status),
            code: Some(code.into()),
            ..StoreError::new(Operation::UploadPart, Kind::Refused, "")
        };
        let auto = || Integrity::new(ChecksumWish::Auto, None, false, false);
        assert!(auto().give_way(&refused(501, "NotImplemented"), &sums(b"")));
        assert!(auto().give_way(&refused(400, "InvalidRequest"), &sums(b"")));
        assert!(!auto().give_way(&refused(400, "EntityTooSmall"), &sums(b"")));
        assert!(!auto().give_way(&refused(405, "MethodNotAllowed"), &sums(b"")));
        let asked = ChecksumWish::Algorithm(Algorithm::Crc64Nvme);
        let asked = Integrity::new(asked, None, false, false);
        assert!(!asked.give_way(&refused(501, "NotImplemented"), &sums(b"")));
    }
}
