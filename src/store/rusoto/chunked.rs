//! aws-chunked: a body in S3's own frames, with its checksum behind the bytes.
//!
//! A checksum in a header is known only when the bytes have been read once already; one in a trailer is
//! computed while they are sent ("Signature calculations for trailing headers", S3 API reference).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body, Frame, SizeHint};

use crate::checksum::{Algorithm, Checksum, Pass, Wanted};

/// Bytes in every chunk but the last. S3 wants at least 8 KiB, and other stores hold a chunk in memory or
/// refuse very large ones; AWS's own clients send between 64 KiB and this.
const CHUNK: u64 = 1 << 20;

/// A body in frames. The bytes pass through as they come, in whatever blocks.
pub(super) struct Framed<B, F> {
    body: B,
    /// Length of the bytes.
    len: u64,
    algorithm: Algorithm,
    /// `None` once the trailer has been made.
    pass: Option<Pass>,
    /// Bytes of the body still to come.
    data_left: u64,
    /// Bytes still to come of the chunk at hand.
    chunk_left: u64,
    /// What has come of the body and belongs to the next chunk.
    block: Bytes,
    /// Bytes still to come, frames included.
    left: u64,
    /// Told the checksum when it is sent.
    keep: F,
}

impl<B, F> Framed<B, F> {
    /// Frames `body`, which has `len` bytes.
    pub(super) fn new(body: B, len: u64, algorithm: Algorithm, keep: F) -> Self {
        let pass = Some(Pass::new(Wanted { checksum: Some(algorithm), ..Wanted::default() }));
        let left = framed_len(len, algorithm);
        Framed { body, len, algorithm, pass, data_left: len, chunk_left: 0, block: Bytes::new(), left, keep }
    }

    /// Adds the headers that tell of the frames.
    ///
    /// # Errors
    /// When the content's own encoding can't stand in a header.
    pub(super) fn announce(&self, headers: &mut HeaderMap) -> Result<(), &'static str> {
        const AWS_CHUNKED: &str = "aws-chunked";
        let encoding = match headers.get(CONTENT_ENCODING).map(HeaderValue::to_str) {
            Some(Ok(own)) => format!("{own},{AWS_CHUNKED}").parse().map_err(|_| "no content encoding")?,
            Some(Err(_)) => return Err("the content encoding is not plain ASCII"),
            None => HeaderValue::from_static(AWS_CHUNKED),
        };
        headers.insert(CONTENT_ENCODING, encoding);
        headers.insert(CONTENT_LENGTH, self.left.into());
        headers.insert(HeaderName::from_static("x-amz-decoded-content-length"), self.len.into());
        let trailer = HeaderValue::from_static(self.algorithm.header());
        headers.insert(HeaderName::from_static("x-amz-trailer"), trailer);
        Ok(())
    }

    /// Returns the line before a chunk, and takes that chunk's bytes as due.
    fn begin_chunk(&mut self) -> Bytes {
        let before = if self.data_left == self.len { "" } else { "\r\n" };
        self.chunk_left = self.data_left.min(CHUNK);
        format!("{before}{:x}\r\n", self.chunk_left).into()
    }

    /// Returns the last chunk, which is empty, and the trailer; `None` when it has been returned.
    fn end(&mut self) -> Option<Bytes>
    where
        F: FnMut(&Checksum),
    {
        let checksum = self.pass.take()?.finish().checksum?;
        (self.keep)(&checksum);
        let before = if self.len == 0 { "" } else { "\r\n" };
        Some(format!("{before}0\r\n{}:{checksum}\r\n\r\n", self.algorithm.header()).into())
    }

    fn give(&mut self, bytes: Bytes) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.left = self.left.saturating_sub(bytes.len() as u64);
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}

impl<B, F> Body for Framed<B, F>
where
    B: Body<Data = Bytes, Error = io::Error> + Unpin,
    F: FnMut(&Checksum) + Unpin,
{
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        if this.data_left == 0 {
            return match this.end() {
                Some(end) => this.give(end),
                None => Poll::Ready(None),
            };
        }
        if this.chunk_left == 0 {
            let line = this.begin_chunk();
            return this.give(line);
        }
        while !this.block.has_remaining() {
            match ready!(Pin::new(&mut this.body).poll_frame(cx)).map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(block))) => {
                    if let Some(pass) = &mut this.pass {
                        pass.update(&block);
                    }
                    this.block = block;
                }
                Some(Ok(Err(_))) => {}
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
            }
        }
        let most = usize::try_from(this.chunk_left).unwrap_or(usize::MAX);
        let bytes = this.block.split_to(this.block.len().min(most));
        this.chunk_left -= bytes.len() as u64;
        this.data_left -= bytes.len() as u64;
        this.give(bytes)
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Returns the length of a framed body of `len` bytes.
fn framed_len(len: u64, algorithm: Algorithm) -> u64 {
    const LINE_END: u64 = 2;
    let chunk = |size: u64| format!("{size:x}").len() as u64 + LINE_END + size + LINE_END;
    let (whole, rest) = (len / CHUNK, len % CHUNK);
    let value = 4 * (algorithm.value_len() as u64).div_ceil(3);
    let trailer = algorithm.header().len() as u64 + 1 + value + LINE_END;
    let last = if rest > 0 { chunk(rest) } else { 0 };
    whole * chunk(CHUNK) + last + 1 + LINE_END + trailer + LINE_END
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;
    use http_body_util::{BodyExt, StreamBody};
    use proptest::prelude::*;

    async fn framed(blocks: Vec<Vec<u8>>, algorithm: Algorithm) -> (io::Result<Vec<u8>>, u64) {
        let len = blocks.iter().map(|block| block.len() as u64).sum();
        framed_as(blocks, len, algorithm).await
    }

    async fn framed_as(blocks: Vec<Vec<u8>>, len: u64, algorithm: Algorithm) -> (io::Result<Vec<u8>>, u64) {
        let blocks = blocks.into_iter().map(|block| Ok(Frame::data(Bytes::from(block))));
        let framed = Framed::new(StreamBody::new(stream::iter(blocks)), len, algorithm, |_: &Checksum| {});
        let announced = framed.size_hint().exact().unwrap();
        (framed.collect().await.map(|body| body.to_bytes().to_vec()), announced)
    }

    #[tokio::test]
    async fn the_checksum_stands_behind_the_bytes() {
        let (body, _) = framed(vec![b"1234".to_vec(), b"56789".to_vec()], Algorithm::Crc32).await;
        let expected = "9\r\n123456789\r\n0\r\nx-amz-checksum-crc32:y/Q5Jg==\r\n\r\n";
        assert_eq!(String::from_utf8(body.unwrap()).unwrap(), expected);
        let (body, _) = framed(Vec::new(), Algorithm::Crc32).await;
        assert_eq!(body.unwrap(), b"0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n");
    }

    #[tokio::test]
    async fn a_body_that_ends_early_is_an_error_and_has_no_trailer() {
        let (body, _) = framed_as(vec![b"1234".to_vec()], 5, Algorithm::Crc32).await;
        assert_eq!(body.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn chunks_are_as_announced_in_whatever_blocks_the_bytes_come(
            sizes in prop::collection::vec(prop_oneof![0usize..10, 1usize..200_000, Just(1usize << 20)], 0..8),
            at in 0usize..5,
        ) {
            let algorithm = Algorithm::ALL[at];
            let blocks: Vec<_> = sizes.iter().enumerate().map(|(n, size)| vec![n as u8; *size]).collect();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (body, announced) = runtime.block_on(framed(blocks.clone(), algorithm));
            let mut rest = body.unwrap();
            prop_assert_eq!(rest.len() as u64, announced);
            let (mut data, whole) = (Vec::new(), blocks.concat());
            loop {
                let line = rest.windows(2).position(|two| two == b"\r\n").unwrap();
                let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
                rest.drain(..line + 2);
                if size == 0 {
                    break;
                }
                prop_assert!(size as u64 == CHUNK || data.len() + size == whole.len());
                data.extend(rest.drain(..size));
                prop_assert_eq!(rest.drain(..2).collect::<Vec<_>>(), b"\r\n");
            }
            prop_assert_eq!(&data, &whole);
            let trailer = format!("{}:{}\r\n\r\n", algorithm.header(), Checksum::of(algorithm, &whole));
            prop_assert_eq!(String::from_utf8(rest).unwrap(), trailer);
        }
    }
}
