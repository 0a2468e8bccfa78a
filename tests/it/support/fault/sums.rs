//! Every sum that S3 knows, taken in one pass over the bytes.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use crc_fast::{CrcAlgorithm, checksum_combine};
use md5::{Digest as _, Md5};
use sha1::Sha1;
use sha2::Sha256;

/// A checksum algorithm of the `x-amz-checksum-*` family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    Crc64Nvme,
    Crc32,
    Crc32c,
    Sha256,
    Sha1,
}

impl Algorithm {
    pub const ALL: [Self; 5] = [Self::Crc64Nvme, Self::Crc32, Self::Crc32c, Self::Sha256, Self::Sha1];

    /// Returns the name that `x-amz-checksum-algorithm` uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc64Nvme => "CRC64NVME",
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Sha256 => "SHA256",
            Self::Sha1 => "SHA1",
        }
    }

    /// Returns the algorithm of that name, in any case of letters.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.name().eq_ignore_ascii_case(name))
    }

    /// Returns the header that carries its value.
    pub fn header(self) -> String {
        format!("x-amz-checksum-{}", self.name().to_lowercase())
    }

    /// Returns the XML element that carries its value.
    pub fn element(self) -> String {
        format!("Checksum{}", self.name())
    }

    /// Returns the length of the raw value in bytes.
    pub fn width(self) -> usize {
        match self {
            Self::Crc64Nvme => 8,
            Self::Crc32 | Self::Crc32c => 4,
            Self::Sha256 => 32,
            Self::Sha1 => 20,
        }
    }

    /// Returns whether sums of parts can be combined into the sum of the whole.
    pub fn is_crc(self) -> bool {
        matches!(self, Self::Crc64Nvme | Self::Crc32 | Self::Crc32c)
    }

    fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            Self::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            Self::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Self::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            Self::Sha256 | Self::Sha1 => None,
        }
    }

    /// Returns the sum of `bytes`.
    pub fn of(self, bytes: &[u8]) -> Vec<u8> {
        let mut running = Running::default();
        running.update(bytes);
        running.finish().raw(self)
    }
}

/// Sums still being taken.
pub struct Running {
    len: u64,
    md5: Md5,
    sha1: Sha1,
    sha256: Sha256,
    crcs: [crc_fast::Digest; 3],
}

impl Default for Running {
    fn default() -> Self {
        Self {
            len: 0,
            md5: Md5::new(),
            sha1: Sha1::new(),
            sha256: Sha256::new(),
            crcs: [
                crc_fast::Digest::new(CrcAlgorithm::Crc64Nvme),
                crc_fast::Digest::new(CrcAlgorithm::Crc32IsoHdlc),
                crc_fast::Digest::new(CrcAlgorithm::Crc32Iscsi),
            ],
        }
    }
}

impl Running {
    pub fn update(&mut self, bytes: &[u8]) {
        self.len += bytes.len() as u64;
        self.md5.update(bytes);
        self.sha1.update(bytes);
        self.sha256.update(bytes);
        for crc in &mut self.crcs {
            crc.update(bytes);
        }
    }

    pub fn finish(self) -> Sums {
        Sums {
            len: self.len,
            md5: self.md5.finalize().into(),
            sha1: self.sha1.finalize().into(),
            sha256: self.sha256.finalize().into(),
            crcs: self.crcs.map(|crc| crc.finalize()),
        }
    }
}

/// All sums of one run of bytes, and its length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sums {
    pub len: u64,
    pub md5: [u8; 16],
    pub sha256: [u8; 32],
    sha1: [u8; 20],
    crcs: [u64; 3],
}

impl Sums {
    pub fn of(bytes: &[u8]) -> Self {
        let mut running = Running::default();
        running.update(bytes);
        running.finish()
    }

    fn crc(&self, algorithm: Algorithm) -> u64 {
        match algorithm {
            Algorithm::Crc32 => self.crcs[1],
            Algorithm::Crc32c => self.crcs[2],
            _ => self.crcs[0],
        }
    }

    /// Returns the raw sum, CRCs in network byte order.
    pub fn raw(&self, algorithm: Algorithm) -> Vec<u8> {
        match algorithm {
            Algorithm::Sha256 => self.sha256.to_vec(),
            Algorithm::Sha1 => self.sha1.to_vec(),
            _ => crc_bytes(algorithm, self.crc(algorithm)),
        }
    }

    /// Returns the sum as headers and XML carry it.
    pub fn base64(&self, algorithm: Algorithm) -> String {
        BASE64.encode(self.raw(algorithm))
    }
}

fn crc_bytes(algorithm: Algorithm, crc: u64) -> Vec<u8> {
    crc.to_be_bytes()[8 - algorithm.width()..].to_vec()
}

/// Returns the CRC of the whole object made of `parts`, in base64; `None` for a hash, which cannot be combined.
pub fn full_object<'a>(algorithm: Algorithm, parts: impl IntoIterator<Item = &'a Sums>) -> Option<String> {
    let crc = algorithm.crc()?;
    let whole = parts
        .into_iter()
        .map(|sums| (sums.crc(algorithm), sums.len))
        .reduce(|(whole, len), (part, more)| (checksum_combine(crc, whole, part, more), len + more))
        .map_or(0, |(whole, _)| whole);
    Some(BASE64.encode(crc_bytes(algorithm, whole)))
}

/// Returns the checksum of the parts' checksums, `-` and their number: S3's composite checksum.
pub fn composite<'a>(algorithm: Algorithm, parts: impl IntoIterator<Item = &'a Sums>) -> String {
    let raw: Vec<Vec<u8>> = parts.into_iter().map(|sums| sums.raw(algorithm)).collect();
    let sum = algorithm.of(&raw.concat());
    format!("{}-{}", BASE64.encode(sum), raw.len())
}

/// Returns S3's multipart ETag: the MD5 of the parts' MD5s, `-` and their number.
pub fn multipart_etag<'a>(parts: impl IntoIterator<Item = &'a Sums>) -> String {
    let raw: Vec<[u8; 16]> = parts.into_iter().map(|sums| sums.md5).collect();
    format!("{}-{}", hex(&Md5::digest(raw.concat())), raw.len())
}

/// Returns lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the SHA-256 of `bytes` in hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}
