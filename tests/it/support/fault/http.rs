//! HTTP/1.1 by hand: heads and bodies in, answers out, every byte under control.

use std::io;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::body::Sink;
use super::chunked::Chunked;

const MAX_HEAD: usize = 64 * 1024;
const READ: u64 = 64 * 1024;

/// A request's first line and headers, as sent.
#[derive(Clone, Debug)]
pub struct Head {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
}

impl Head {
    /// Returns the first header of that name, in any case of letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    pub fn raw_query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.split("\r\n");
        let mut first = lines.next()?.split(' ');
        let (method, target) = (first.next()?, first.next()?);
        if first.next()? != "HTTP/1.1" || !target.starts_with('/') {
            return None;
        }
        let headers = lines
            .map(|line| {
                let (name, value) = line.split_once(':')?;
                let tidy = !name.is_empty() && !name.contains([' ', '\t']);
                tidy.then(|| (name.to_owned(), value.trim().to_owned()))
            })
            .collect::<Option<_>>()?;
        Some(Self { method: method.to_owned(), target: target.to_owned(), headers })
    }

    /// Returns how long the body is; `Err` is a contradiction.
    pub fn framing(&self) -> Result<Framing, &'static str> {
        let length = self.header("content-length");
        match self.header("transfer-encoding") {
            Some(_) if length.is_some() => Err("both Content-Length and Transfer-Encoding"),
            Some(coding) if coding.eq_ignore_ascii_case("chunked") => {
                Ok(Framing::Chunked(Chunked::default()))
            }
            Some(_) => Err("unknown transfer coding"),
            None => match length.map(str::parse) {
                Some(Ok(length)) => Ok(Framing::Length(length)),
                Some(Err(_)) => Err("Content-Length is no number"),
                None => Ok(Framing::Length(0)),
            },
        }
    }
}

/// Returns the first of `headers` of that name, in any case of letters.
pub fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

/// How much of the body is still to come.
pub enum Framing {
    Length(u64),
    Chunked(Chunked),
}

impl Framing {
    pub fn is_done(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(chunked) => chunked.is_done(),
        }
    }
}

/// One client's connection.
pub struct Conn {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Conn {
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    /// Returns the next request's head; `None` if the client is done.
    pub async fn read_head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                let head = self.buffer.split_to(end + 4);
                let head = std::str::from_utf8(&head[..end]).ok().and_then(Head::parse);
                return head.map(Some).ok_or_else(|| broken("not an HTTP/1.1 request"));
            }
            if self.buffer.len() > MAX_HEAD {
                return Err(broken("head too long"));
            }
            if self.fill(READ).await? == 0 {
                return match self.buffer.is_empty() {
                    true => Ok(None),
                    false => Err(broken("closed within a head")),
                };
            }
        }
    }

    /// Reads at most `limit` bytes of body into `sink`, waiting for some; returns how many came.
    pub async fn read_body(&mut self, framing: &mut Framing, limit: u64, sink: &mut Sink) -> io::Result<u64> {
        let room = match framing {
            Framing::Length(left) => limit.min(*left),
            Framing::Chunked(_) => limit,
        };
        if self.buffer.is_empty() && self.fill(room.min(READ)).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let n = self.buffer.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        let piece = &self.buffer[..n];
        let taken = match framing {
            Framing::Length(left) => {
                sink.take(piece);
                *left -= n as u64;
                n
            }
            Framing::Chunked(chunked) => {
                chunked.feed(piece, |data| sink.take(data)).ok_or_else(|| broken("broken chunk"))?
            }
        };
        self.buffer.advance(taken);
        Ok(taken as u64)
    }

    async fn fill(&mut self, limit: u64) -> io::Result<usize> {
        self.buffer.reserve(usize::try_from(limit).unwrap_or(0));
        (&mut self.stream).take(limit).read_buf(&mut self.buffer).await
    }

    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Writes each byte by itself.
    pub async fn write_byte_by_byte(&mut self, bytes: &[u8]) -> io::Result<()> {
        for byte in bytes.chunks(1) {
            self.stream.write_all(byte).await?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Ends the connection with a RST; what was not yet delivered is lost.
    pub fn reset(self) {
        let _ = self.stream.set_zero_linger();
    }

    /// Ends the connection with a FIN and then ignores what still comes, so that the FIN is not followed by a RST.
    pub async fn close(mut self) {
        let _ = self.stream.shutdown().await;
        let mut ignored = vec![0; 64 * 1024];
        while matches!(self.stream.read(&mut ignored).await, Ok(n) if n > 0) {}
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// A reply.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Answer {
    pub fn new(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub fn xml(status: u16, xml: String) -> Self {
        let mut answer = Self::new(status);
        answer.set("Content-Type", "application/xml");
        answer.body = xml.into();
        answer
    }

    /// Sets a header, instead of any of that name.
    pub fn set(&mut self, name: &str, value: impl ToString) {
        self.drop_header(name);
        self.headers.push((name.to_owned(), value.to_string()));
    }

    /// Sets a header unless there is one of that name.
    pub fn set_default(&mut self, name: &str, value: impl ToString) {
        if header(&self.headers, name).is_none() {
            self.set(name, value);
        }
    }

    pub fn drop_header(&mut self, name: &str) {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
    }

    /// Returns the status line and headers, with the empty line.
    pub fn head_bytes(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        (head + "\r\n").into_bytes()
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        412 => "Precondition Failed",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Whatever",
    }
}
