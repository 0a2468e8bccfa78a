//! Tests of the fault server itself: a bare client that signs, and what the server does to it.

mod answers;
mod bodies;
mod listings;
mod signature;
mod strictness;
mod uploads;
mod wire;

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::SystemTime;

use super::canonical::{canonical_request, sign};
use super::clock::basic;
use super::http::{Head, header};
use super::sums::sha256_hex;
use super::{FaultServer, Personality};

/// A client of one connection, by hand.
struct Client {
    stream: TcpStream,
    address: SocketAddr,
    personality: Personality,
}

/// A request being made.
struct Call<'a> {
    client: &'a mut Client,
    head: Head,
    body: Vec<u8>,
    payload: Option<String>,
}

/// What came back.
#[derive(Debug)]
struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Client {
    fn of(server: &FaultServer) -> Self {
        Self {
            stream: TcpStream::connect(server.address()).expect("to connect"),
            address: server.address(),
            personality: server.personality().clone(),
        }
    }

    fn call(&mut self, method: &str, target: &str) -> Call<'_> {
        let host = self.address.to_string();
        Call {
            client: self,
            head: Head {
                method: method.to_owned(),
                target: target.to_owned(),
                headers: vec![("Host".to_owned(), host)],
            },
            body: Vec::new(),
            payload: None,
        }
    }

    fn put(&mut self, target: &str, body: &[u8]) -> Reply {
        self.call("PUT", target).body(body).send()
    }

    /// Creates an upload of `key` and returns its id.
    fn create(&mut self, key: &str) -> String {
        let reply = self.call("POST", &format!("/bucket/{key}?uploads")).send();
        reply.element("UploadId").to_owned()
    }

    fn complete(&mut self, key: &str, id: &str, xml: &str) -> Reply {
        let target = format!("/bucket/{key}?uploadId={id}");
        self.call("POST", &target).body(xml.as_bytes()).send()
    }

    fn read_reply(&mut self, head_only: bool) -> io::Result<Reply> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            self.stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).expect("a head of text");
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().expect("a status line");
        let status = status.split(' ').nth(1).expect("a status").parse().expect("a number");
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(": ").expect("a header"))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let length = header(&headers, "content-length").map_or(0, |l| l.parse().expect("a length"));
        let mut body = vec![0; if head_only { 0 } else { length }];
        self.stream.read_exact(&mut body)?;
        Ok(Reply { status, headers, body: String::from_utf8(body).expect("a body of text") })
    }
}

impl Call<'_> {
    fn header(mut self, name: &str, value: &str) -> Self {
        self.head.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self.head.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self.header("Content-Length", &body.len().to_string())
    }

    /// Sends this as `x-amz-content-sha256`, whatever the body is.
    fn payload(mut self, payload: &str) -> Self {
        self.payload = Some(payload.to_owned());
        self
    }

    /// Signs with every header that is there now.
    fn signed(self) -> Self {
        let now = basic(SystemTime::now());
        self.signed_at(&now)
    }

    fn signed_at(mut self, date: &str) -> Self {
        let payload = self.payload.clone().unwrap_or_else(|| sha256_hex(&self.body));
        if let Some(token) = self.client.personality.session_token.clone() {
            self = self.header("x-amz-security-token", &token);
        }
        self = self.header("x-amz-date", date).header("x-amz-content-sha256", &payload);
        let names = self.head.headers.iter().map(|(name, _)| name.to_lowercase());
        let mut names: Vec<String> = names.collect();
        names.sort();
        let Personality { access_key, secret_key, region, .. } = &self.client.personality;
        let scope = format!("{}/{region}/s3/aws4_request", &date[..8]);
        let canonical = sha256_hex(canonical_request(&self.head, &names, &payload).as_bytes());
        let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{canonical}");
        let signature = sign(secret_key, &scope, &to_sign);
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={access_key}/{scope},SignedHeaders={},Signature={signature}",
            names.join(";")
        );
        self.header("Authorization", &authorization)
    }

    fn send(self) -> Reply {
        self.try_send().expect("an answer")
    }

    fn try_send(self) -> io::Result<Reply> {
        let call = self.signed();
        call.write()?;
        call.read()
    }

    /// Sends it as it is.
    fn write(&self) -> io::Result<()> {
        let mut stream = &self.client.stream;
        stream.write_all(&self.bytes())
    }

    fn read(self) -> io::Result<Reply> {
        let head_only = self.head.method == "HEAD";
        self.client.read_reply(head_only)
    }

    fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.head.method, self.head.target);
        for (name, value) in &self.head.headers {
            head += &format!("{name}: {value}\r\n");
        }
        [(head + "\r\n").as_bytes(), &self.body].concat()
    }
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// Returns the text of the first such element; empty if there is none.
    fn element(&self, name: &str) -> &str {
        let after = self.body.split_once(&format!("<{name}>")).map(|(_, after)| after);
        let element = after.and_then(|after| after.split_once(&format!("</{name}>")));
        element.map_or("", |(text, _)| text)
    }

    /// Asserts that it is this error.
    #[track_caller]
    fn is(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.element("Code")), (status, code), "{}", self.body);
        assert!(self.header("x-amz-request-id").is_some_and(|id| id == self.element("RequestId")));
    }
}

/// Puts a small object on a connection of its own.
fn put(server: &FaultServer) -> Result<Reply, ErrorKind> {
    let mut client = Client::of(server);
    let call = client.call("PUT", "/bucket/key").body(b"body");
    call.try_send().map_err(|error| error.kind())
}

/// Returns the XML of a completion.
fn completion(parts: &[(u32, &str)]) -> String {
    let parts: Vec<String> = parts
        .iter()
        .map(|(number, etag)| format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"))
        .collect();
    let parts = parts.concat();
    format!(
        "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{parts}</CompleteMultipartUpload>"
    )
}

/// Starts a server that takes small parts and is otherwise changed so.
fn with(change: impl FnOnce(&mut Personality)) -> FaultServer {
    let mut personality = Personality { min_part_size: 4, ..Personality::default() };
    change(&mut personality);
    FaultServer::start_with(personality)
}

/// Starts a server that takes small parts.
fn lenient_size() -> FaultServer {
    with(|_| ())
}
