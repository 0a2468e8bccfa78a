//! Checksums: S3's algorithms, what one pass over a part's bytes computes, and how the parts' values
//! make the object's.
//!
//! A CRC of a whole object follows from those of its parts ([`Checksum::append`]), so that a
//! FULL_OBJECT checksum costs no second reading. SHA-1 and SHA-256 have no such law: for them S3
//! defines a COMPOSITE checksum, the hash of the parts' hashes ("Checking object integrity", S3 user
//! guide).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use crc_fast::CrcAlgorithm;
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// A checksum algorithm that S3 knows by an `x-amz-checksum-*` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// CRC-64/NVME, S3's own default: as cheap as reading, and combinable.
    Crc64Nvme,
    /// CRC-32C (Castagnoli).
    Crc32c,
    /// CRC-32 (ISO-HDLC, that of zip).
    Crc32,
    /// SHA-256.
    Sha256,
    /// SHA-1.
    Sha1,
}

/// What an object's checksum says of its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChecksumType {
    /// Of all the bytes, however they were cut.
    FullObject,
    /// Of the parts' checksums; written with `-N` for N parts.
    Composite,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Algorithm; 5] = [Self::Crc64Nvme, Self::Crc32c, Self::Crc32, Self::Sha256, Self::Sha1];

    /// S3's name of it, as `x-amz-checksum-algorithm` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc64Nvme => "CRC64NVME",
            Self::Crc32c => "CRC32C",
            Self::Crc32 => "CRC32",
            Self::Sha256 => "SHA256",
            Self::Sha1 => "SHA1",
        }
    }

    /// Returns the algorithm of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// The header that carries a value of it.
    pub fn header(self) -> &'static str {
        match self {
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Sha256 => "x-amz-checksum-sha256",
            Self::Sha1 => "x-amz-checksum-sha1",
        }
    }

    /// The type of the object's checksum in a multipart upload.
    pub fn multipart_type(self) -> ChecksumType {
        match self.crc() {
            Some(_) => ChecksumType::FullObject,
            None => ChecksumType::Composite,
        }
    }

    /// Length of a value in bytes.
    pub fn value_len(self) -> usize {
        match self {
            Self::Crc64Nvme => 8,
            Self::Crc32c | Self::Crc32 => 4,
            Self::Sha256 => 32,
            Self::Sha1 => 20,
        }
    }

    fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            Self::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            Self::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            Self::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Self::Sha256 | Self::Sha1 => None,
        }
    }
}

impl ChecksumType {
    /// Returns the type of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::FullObject, Self::Composite].into_iter().find(|kind| kind.name().eq_ignore_ascii_case(name))
    }

    /// S3's name of it, as `x-amz-checksum-type` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::FullObject => "FULL_OBJECT",
            Self::Composite => "COMPOSITE",
        }
    }
}

/// A value of an [`Algorithm`]: of some bytes, or of the parts' values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksum {
    algorithm: Algorithm,
    bytes: Vec<u8>,
    /// The number of parts where this is a composite value.
    parts: Option<u32>,
}

impl Checksum {
    /// Returns the checksum of `data`.
    pub fn of(algorithm: Algorithm, data: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(data);
        hasher.finish()
    }

    /// Reads a value as S3 writes it: base64, with `-N` behind it where it is composite.
    ///
    /// `None` where the text is no value of this algorithm.
    pub fn parse(algorithm: Algorithm, text: &str) -> Option<Self> {
        let (value, parts) = match text.split_once('-') {
            Some((value, count)) => (value, Some(count.parse().ok()?)),
            None => (text, None),
        };
        let bytes = BASE64.decode(value).ok()?;
        (bytes.len() == algorithm.value_len()).then_some(Checksum { algorithm, bytes, parts })
    }

    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether this is of all the bytes or of the parts' values.
    pub fn checksum_type(&self) -> ChecksumType {
        match self.parts {
            None => ChecksumType::FullObject,
            Some(_) => ChecksumType::Composite,
        }
    }

    /// The number of parts that a composite value is of.
    pub fn parts(&self) -> Option<u32> {
        self.parts
    }

    /// Returns the object's checksum from its parts' values and sizes in bytes, in order.
    ///
    /// `None` for no parts, or parts of different algorithms.
    pub fn of_parts<'a>(parts: impl IntoIterator<Item = (&'a Checksum, u64)>) -> Option<Self> {
        let parts: Vec<_> = parts.into_iter().collect();
        let algorithm = parts.first()?.0.algorithm;
        if parts.iter().any(|(sum, _)| sum.algorithm != algorithm) {
            return None;
        }
        if algorithm.multipart_type() == ChecksumType::Composite {
            let mut hasher = Hasher::new(algorithm);
            parts.iter().for_each(|(sum, _)| hasher.update(&sum.bytes));
            let count = u32::try_from(parts.len()).ok()?;
            return Some(Checksum { parts: Some(count), ..hasher.finish() });
        }
        let mut whole = Checksum::of(algorithm, b"");
        for (sum, size) in parts {
            whole = whole.append(sum, size)?;
        }
        Some(whole)
    }

    /// Returns the checksum of these bytes followed by `size` more whose checksum is `next`.
    ///
    /// `None` unless both are of the same CRC.
    pub fn append(&self, next: &Checksum, size: u64) -> Option<Self> {
        let crc = self.algorithm.crc().filter(|_| self.algorithm == next.algorithm)?;
        let value = crc_fast::checksum_combine(crc, self.number(), next.number(), size);
        Some(Checksum::of_number(self.algorithm, value))
    }

    fn of_number(algorithm: Algorithm, value: u64) -> Self {
        let bytes = value.to_be_bytes()[8 - algorithm.value_len()..].to_vec();
        Checksum { algorithm, bytes, parts: None }
    }

    fn number(&self) -> u64 {
        self.bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
    }
}

/// As S3 writes it.
impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64(&self.bytes))?;
        match self.parts {
            Some(count) => write!(f, "-{count}"),
            None => Ok(()),
        }
    }
}

/// What a pass over bytes is to compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// A checksum for an `x-amz-checksum-*` header.
    pub checksum: Option<Algorithm>,
    /// The MD5 for `Content-MD5`, and for the ETag of many stores.
    pub md5: bool,
    /// The SHA-256 that a signed payload is signed by.
    pub sha256: bool,
}

/// What a pass over bytes computed; what was not [`Wanted`] is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// The checksum.
    pub checksum: Option<Checksum>,
    /// The MD5.
    pub md5: Option<[u8; 16]>,
    /// The SHA-256.
    pub sha256: Option<[u8; 32]>,
}

impl Sums {
    /// Whether everything wanted is there.
    pub(crate) fn hold(&self, wanted: Wanted) -> bool {
        let checksum = wanted
            .checksum
            .is_none_or(|algorithm| self.checksum.as_ref().is_some_and(|sum| sum.algorithm() == algorithm));
        checksum && (!wanted.md5 || self.md5.is_some()) && (!wanted.sha256 || self.sha256.is_some())
    }

    /// Returns just those that are wanted.
    pub(crate) fn only(&self, wanted: Wanted) -> Sums {
        let checksum = self.checksum.clone().filter(|sum| Some(sum.algorithm()) == wanted.checksum);
        Sums { checksum, md5: self.md5.filter(|_| wanted.md5), sha256: self.sha256.filter(|_| wanted.sha256) }
    }
}

impl Wanted {
    /// Whether nothing is wanted, so that the bytes need no reading.
    pub fn is_nothing(&self) -> bool {
        *self == Wanted::default()
    }
}

/// One pass over bytes, block by block, while they are in the processor's cache.
pub struct Pass {
    checksum: Option<Hasher>,
    md5: Option<Md5>,
    sha256: Option<Sha256>,
}

impl Pass {
    /// Returns a pass that has seen no byte yet.
    pub fn new(wanted: Wanted) -> Self {
        Pass {
            checksum: wanted.checksum.map(Hasher::new),
            md5: wanted.md5.then(Md5::new),
            sha256: wanted.sha256.then(Sha256::new),
        }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, block: &[u8]) {
        if let Some(checksum) = &mut self.checksum {
            checksum.update(block);
        }
        if let Some(md5) = &mut self.md5 {
            md5.update(block);
        }
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(block);
        }
    }

    /// Returns the sums of all the bytes taken.
    pub fn finish(self) -> Sums {
        Sums {
            checksum: self.checksum.map(Hasher::finish),
            md5: self.md5.map(|md5| md5.finalize().into()),
            sha256: self.sha256.map(|sha256| sha256.finalize().into()),
        }
    }
}

enum Hasher {
    Crc(Algorithm, Box<crc_fast::Digest>),
    Sha256(Sha256),
    Sha1(Sha1),
}

impl Hasher {
    fn new(algorithm: Algorithm) -> Self {
        match (algorithm, algorithm.crc()) {
            (_, Some(crc)) => Hasher::Crc(algorithm, Box::new(crc_fast::Digest::new(crc))),
            (Algorithm::Sha1, _) => Hasher::Sha1(Sha1::new()),
            _ => Hasher::Sha256(Sha256::new()),
        }
    }

    fn update(&mut self, block: &[u8]) {
        match self {
            Hasher::Crc(_, crc) => crc.update(block),
            Hasher::Sha256(sha) => sha.update(block),
            Hasher::Sha1(sha) => sha.update(block),
        }
    }

    fn finish(self) -> Checksum {
        let (algorithm, bytes) = match self {
            Hasher::Crc(algorithm, crc) => return Checksum::of_number(algorithm, crc.finalize()),
            Hasher::Sha256(sha) => (Algorithm::Sha256, sha.finalize().to_vec()),
            Hasher::Sha1(sha) => (Algorithm::Sha1, sha.finalize().to_vec()),
        };
        Checksum { algorithm, bytes, parts: None }
    }
}

/// Returns the MD5 of `data`.
pub fn md5(data: &[u8]) -> [u8; 16] {
    Md5::digest(data).into()
}

/// Returns the SHA-256 of `data`.
pub fn sha256(data: &[u8]) -> [u8; 32] {
    Sha256::digest(data).into()
}

/// Returns `bytes` in base64, as the headers of checksums have them.
pub fn base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// Returns `bytes` in lower-case hexadecimal, as ETags and signatures have them.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The check values of the CRC catalogue and of RFC 1321, RFC 3174 and FIPS 180: all of "123456789".
    #[test]
    fn the_published_check_values_come_out() {
        let check = |algorithm| hex(&Checksum::of(algorithm, b"123456789").bytes);
        assert_eq!(check(Algorithm::Crc64Nvme), "ae8b14860a799888");
        assert_eq!(check(Algorithm::Crc32c), "e3069283");
        assert_eq!(check(Algorithm::Crc32), "cbf43926");
        assert_eq!(check(Algorithm::Sha1), "f7c3bc1d808e04732adf679965ccc34ca7ae3441");
        assert_eq!(
            check(Algorithm::Sha256),
            "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"
        );
        assert_eq!(hex(&md5(b"123456789")), "25f9e794323b453885f5181f1b624d0b");
    }

    #[test]
    fn a_composite_value_is_the_hash_of_the_parts_hashes() {
        let parts = [Checksum::of(Algorithm::Sha256, b"one"), Checksum::of(Algorithm::Sha256, b"two")];
        let whole = Checksum::of_parts(parts.iter().map(|sum| (sum, 3))).unwrap();
        let hashes = [&parts[0].bytes[..], &parts[1].bytes[..]].concat();
        assert_eq!(whole.bytes, Checksum::of(Algorithm::Sha256, &hashes).bytes);
        assert!(whole.to_string().ends_with("-2"));
        assert_eq!(whole.checksum_type(), ChecksumType::Composite);
    }

    #[test]
    fn a_text_that_is_no_value_is_refused() {
        assert_eq!(Checksum::parse(Algorithm::Crc32, "not base64!"), None);
        assert_eq!(Checksum::parse(Algorithm::Crc32, "AAAA"), None);
        assert_eq!(Checksum::parse(Algorithm::Crc32, "y/Q5Jg==-x"), None);
        assert!(Checksum::parse(Algorithm::Crc32, "y/Q5Jg==").is_some());
        assert_eq!(Checksum::of_parts([]), None);
    }

    proptest! {
        #[test]
        fn the_parts_crcs_make_the_objects(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..8),
        ) {
            for algorithm in [Algorithm::Crc64Nvme, Algorithm::Crc32c, Algorithm::Crc32] {
                let sums: Vec<_> = pieces.iter().map(|p| Checksum::of(algorithm, p)).collect();
                let sized = sums.iter().zip(&pieces).map(|(sum, piece)| (sum, piece.len() as u64));
                let whole = Checksum::of_parts(sized).unwrap();
                prop_assert_eq!(&whole, &Checksum::of(algorithm, &pieces.concat()));
                prop_assert_eq!(Checksum::parse(algorithm, &whole.to_string()), Some(whole));
            }
        }

        #[test]
        fn blocks_make_no_difference(data in prop::collection::vec(any::<u8>(), 0..500), cut in 0usize..500) {
            let wanted = Wanted { checksum: Some(Algorithm::Crc64Nvme), md5: true, sha256: true };
            let (mut whole, mut cut_up) = (Pass::new(wanted), Pass::new(wanted));
            let (head, tail) = data.split_at(cut.min(data.len()));
            whole.update(&data);
            cut_up.update(head);
            cut_up.update(tail);
            let sums = whole.finish();
            prop_assert_eq!(sums.md5, Some(md5(&data)));
            prop_assert_eq!(sums, cut_up.finish());
        }
    }
}
