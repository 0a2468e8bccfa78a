//! What the server holds: buckets, objects, and uploads with their parts.

use std::collections::BTreeMap;
use std::time::SystemTime;

use bytes::Bytes;

use super::body::Body;
use super::http::header;
use super::personality::Personality;
use super::sums::{Algorithm, Sums};

/// Whether an object's checksum is that of its bytes or of its parts' checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChecksumType {
    FullObject,
    Composite,
}

impl ChecksumType {
    pub fn name(self) -> &'static str {
        match self {
            Self::FullObject => "FULL_OBJECT",
            Self::Composite => "COMPOSITE",
        }
    }
}

/// A checksum that the server knows of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksum {
    pub algorithm: Algorithm,
    pub kind: ChecksumType,
    /// Base64, with `-N` after a composite one.
    pub value: String,
}

/// A stored object.
#[derive(Clone, Debug)]
pub struct Object {
    pub key: String,
    pub len: u64,
    /// The bytes, if the server keeps bytes.
    pub bytes: Option<Bytes>,
    /// The SHA-256 of the bytes; unknown for an object of several parts if the server keeps no bytes.
    pub sha256: Option<[u8; 32]>,
    /// With its quotes.
    pub etag: String,
    pub checksum: Option<Checksum>,
    /// Every header of the PutObject or CreateMultipartUpload that made it.
    pub headers: Vec<(String, String)>,
    /// The parts it was made of; none if it was put.
    pub parts: Vec<Part>,
    pub modified: SystemTime,
}

impl Object {
    /// Returns a header of the request that made it.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }
}

/// A stored part.
#[derive(Clone, Debug)]
pub struct Part {
    pub number: u32,
    /// With its quotes.
    pub etag: String,
    pub sums: Sums,
    /// The bytes, if the server keeps bytes.
    pub bytes: Option<Bytes>,
    /// The checksum that came with it.
    pub checksum: Option<(Algorithm, String)>,
    pub modified: SystemTime,
}

/// An upload neither completed nor aborted.
#[derive(Clone, Debug)]
pub struct Upload {
    pub bucket: String,
    pub key: String,
    pub id: String,
    pub checksum: Option<(Algorithm, ChecksumType)>,
    /// Every header of the CreateMultipartUpload.
    pub headers: Vec<(String, String)>,
    pub parts: BTreeMap<u32, Part>,
    pub initiated: SystemTime,
    /// How many ListParts it still answers, once aborted.
    pub fading: Option<u32>,
}

impl Upload {
    /// Returns a header of the CreateMultipartUpload.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }
}

/// All of it.
#[derive(Debug, Default)]
pub struct State {
    pub buckets: BTreeMap<String, BTreeMap<String, Object>>,
    pub uploads: Vec<Upload>,
    /// The answers to completed uploads, by bucket, key and id.
    pub completed: BTreeMap<(String, String, String), String>,
    serial: u64,
}

impl State {
    pub fn new(personality: &Personality) -> Self {
        let buckets = personality.buckets.iter().cloned();
        Self { buckets: buckets.map(|name| (name, BTreeMap::new())).collect(), ..Self::default() }
    }

    /// Returns a number never returned before.
    pub fn next(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// Begins an upload and returns its id.
    pub fn begin(
        &mut self,
        bucket: &str,
        key: &str,
        headers: Vec<(String, String)>,
        checksum: Option<(Algorithm, ChecksumType)>,
        now: SystemTime,
    ) -> String {
        let serial = self.next();
        let id = format!("upload-{serial:06}.Zm9v_~{}", key.len());
        self.uploads.push(Upload {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            id: id.clone(),
            checksum,
            headers,
            parts: BTreeMap::new(),
            initiated: now,
            fading: None,
        });
        id
    }

    pub fn upload(&mut self, bucket: &str, key: &str, id: &str) -> Option<&mut Upload> {
        let mut uploads = self.uploads.iter_mut();
        uploads.find(|u| u.bucket == bucket && u.key == key && u.id == id)
    }

    pub fn forget(&mut self, id: &str) {
        self.uploads.retain(|upload| upload.id != id);
    }
}

impl Part {
    pub fn new(number: u32, etag: String, body: &Body, now: SystemTime) -> Self {
        Self {
            number,
            etag,
            sums: body.sums.clone(),
            bytes: body.bytes.clone(),
            checksum: None,
            modified: now,
        }
    }
}
