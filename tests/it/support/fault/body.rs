//! A request's body as it comes in: unframed, summed, kept or thrown away.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::chunked::Chunked;
use super::sums::{Running, Sums, hex};

/// Where the payload goes while it is read.
pub struct Sink {
    running: Running,
    /// What came over the wire, if that is not what is stored.
    wire: Option<Sha256>,
    kept: Option<Vec<u8>>,
    corrupt: bool,
    aws_chunked: Option<Chunked>,
    broken: bool,
}

impl Sink {
    /// `keep` the bytes or only their sums; `corrupt` flips the first byte behind the signature's back; `aws_chunked`
    /// takes that framing off first.
    pub fn new(keep: bool, corrupt: bool, aws_chunked: bool) -> Self {
        Self {
            running: Running::default(),
            wire: corrupt.then(Sha256::new),
            kept: keep.then(Vec::new),
            corrupt,
            aws_chunked: aws_chunked.then(Chunked::default),
            broken: false,
        }
    }

    pub fn take(&mut self, piece: &[u8]) {
        let Some(mut chunked) = self.aws_chunked.take() else {
            self.store(piece);
            return;
        };
        if chunked.feed(piece, |data| self.store(data)) != Some(piece.len()) {
            self.broken = true;
        }
        self.aws_chunked = Some(chunked);
    }

    fn store(&mut self, piece: &[u8]) {
        if let Some(wire) = &mut self.wire {
            wire.update(piece);
        }
        if self.corrupt && !piece.is_empty() {
            self.corrupt = false;
            let mut flipped = piece.to_vec();
            flipped[0] ^= 0x01;
            self.record(&flipped);
        } else {
            self.record(piece);
        }
    }

    fn record(&mut self, piece: &[u8]) {
        self.running.update(piece);
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(piece);
        }
    }

    pub fn finish(self) -> Body {
        let unfinished = self.aws_chunked.as_ref().is_some_and(|c| !c.is_done());
        let sums = self.running.finish();
        let wire = self.wire.map_or(sums.sha256, |wire| wire.finalize().into());
        Body {
            well_framed: !self.broken && !unfinished,
            short_chunk: self.aws_chunked.as_ref().is_some_and(|c| c.short),
            trailers: self.aws_chunked.map(|c| c.trailers).unwrap_or_default(),
            wire_sha256: hex(&wire),
            sums,
            bytes: self.kept.map(Bytes::from),
        }
    }
}

/// A body read to its end.
#[derive(Clone, Debug)]
pub struct Body {
    /// The bytes, unless only their sums are kept.
    pub bytes: Option<Bytes>,
    pub sums: Sums,
    /// The SHA-256 of what came over the wire, before any corruption, in hexadecimal.
    pub wire_sha256: String,
    pub trailers: Vec<(String, String)>,
    /// Whether an aws-chunked chunk but the last was too short.
    pub short_chunk: bool,
    /// Whether the aws-chunked frame, if there was one, was whole.
    pub well_framed: bool,
}

impl Body {
    /// Returns a kept body as text; empty if it is not.
    pub fn text(&self) -> String {
        let bytes = self.bytes.as_deref().unwrap_or_default();
        String::from_utf8_lossy(bytes).into_owned()
    }
}
