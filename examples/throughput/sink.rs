//! An S3 endpoint on loopback that takes every upload and throws the bytes away. A thread for each connection; each
//! counts what it used itself, so that it can be taken off the process's.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustix::time::ClockId;
use s3chunk::checksum::hex;

use crate::lab::cpu_time;

/// Bytes that are read at once.
const BUFFER: usize = 256 << 10;

/// Bytes of a body's end that are kept: more than a trailer has.
const TRAILER: usize = 128;

/// A running sink; it ends with the process.
pub(crate) struct Sink {
    address: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    /// Bytes of bodies.
    bytes: AtomicU64,
    /// CPU time of the sink's threads in nanoseconds, up to their last answers.
    cpu: AtomicU64,
}

impl Sink {
    /// Starts it; it listens once this returns.
    pub(crate) fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let sink = Sink { address: listener.local_addr()?, counts: Arc::default() };
        let counts = Arc::clone(&sink.counts);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counts = Arc::clone(&counts);
                // A client that goes away in the middle ends its thread, and is told by its own error.
                std::thread::spawn(move || serve(stream, &counts));
            }
        });
        Ok(sink)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes of bodies that arrived so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.counts.bytes.load(Relaxed)
    }

    /// CPU time that the sink's threads used so far.
    pub(crate) fn cpu(&self) -> Duration {
        Duration::from_nanos(self.counts.cpu.load(Relaxed))
    }
}

fn serve(mut stream: TcpStream, counts: &Counts) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut buffer, mut counted) = (vec![0; BUFFER], 0);
    loop {
        let Some((head, early)) = read_head(&mut stream, &mut buffer)? else { return Ok(()) };
        let length = header(&head, "content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
        // The next request comes after the answer to this one: what came early is of the body.
        let mut left = u64::saturating_sub(length, early.len() as u64);
        let mut end = early;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(BUFFER).min(BUFFER);
            let read = stream.read(&mut buffer[..most])?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            left -= read as u64;
            end.extend_from_slice(&buffer[read.saturating_sub(TRAILER)..read]);
            end.drain(..end.len().saturating_sub(TRAILER));
        }
        let answer = match header(&head, "x-amz-trailer") {
            // A trailer is a header that comes late.
            Some(_) => answer(&format!("{head}\r\n{}", String::from_utf8_lossy(&end))),
            None => answer(&head),
        };
        counts.bytes.fetch_add(length, Relaxed);
        let used = u64::try_from(cpu_time(ClockId::ThreadCPUTime).as_nanos()).unwrap_or(u64::MAX);
        counts.cpu.fetch_add(used - counted, Relaxed);
        counted = used;
        stream.write_all(answer.as_bytes())?;
    }
}

/// Reads up to the empty line. Returns the head, and what came after it; `None` where nothing comes.
fn read_head(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<Option<(String, Vec<u8>)>> {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..])?;
        if read == 0 {
            return if filled == 0 { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        filled += read;
        if let Some(end) = buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            return Ok(Some((head, buffer[end + 4..filled].to_vec())));
        }
    }
}

/// Reads an answer of the sink that has no body.
pub(crate) fn read_answer(stream: &mut TcpStream) -> io::Result<()> {
    read_head(stream, &mut [0; 1024])?.map(drop).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let mut values =
        fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim());
    values.next()
}

/// Answers as AWS does: checksums are echoed, and the ETag is the MD5 where one was sent.
fn answer(head: &str) -> String {
    let line = head.lines().next().unwrap_or_default();
    let crc = header(head, "x-amz-checksum-crc64nvme");
    let (status, body) = match line.split(' ').next() {
        Some("POST") if line.contains("uploadId=") => {
            let crc =
                crc.map(|crc| format!("<ChecksumCRC64NVME>{crc}</ChecksumCRC64NVME>")).unwrap_or_default();
            let body = format!(
                "<CompleteMultipartUploadResult><ETag>\"sink\"</ETag>{crc}</CompleteMultipartUploadResult>"
            );
            ("200 OK", body)
        }
        Some("POST") => {
            let body =
                "<InitiateMultipartUploadResult><UploadId>sink</UploadId></InitiateMultipartUploadResult>";
            ("200 OK", body.to_owned())
        }
        Some("PUT") => ("200 OK", String::new()),
        // What is not kept can't be looked at.
        _ => ("403 Forbidden", String::new()),
    };
    let mut answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
    let md5 = header(head, "content-md5").and_then(|md5| BASE64.decode(md5).ok());
    let etag = md5.map_or_else(|| "sink".to_owned(), |md5| hex(&md5));
    answer += &format!("ETag: \"{etag}\"\r\n");
    for name in ["x-amz-checksum-crc64nvme", "x-amz-checksum-algorithm", "x-amz-checksum-type"] {
        if let Some(value) = header(head, name) {
            answer += &format!("{name}: {value}\r\n");
        }
    }
    answer + "\r\n" + &body
}
