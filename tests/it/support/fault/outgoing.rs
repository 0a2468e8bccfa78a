//! An answer made ready to go: what every answer has, and what the script changes in it.

use std::time::SystemTime;

use bytes::Bytes;

use super::http::Answer;
use super::script::{Mangle, Reply};

/// An answer ready to go.
pub struct Outgoing {
    /// What the client will be told; nothing that is known of a verbatim answer.
    pub status: Option<u16>,
    answer: Answer,
    /// Instead of `answer`.
    verbatim: Option<Bytes>,
}

impl Outgoing {
    /// Makes the answer to the request of that path and order.
    pub fn of(reply: Reply, path: &str, order: usize, now: SystemTime) -> Self {
        let id = format!("REQ{order:013}");
        let mut answer = match reply {
            Reply::Canned(answer) => answer,
            Reply::Error(error) => error.answer(path, &id),
            Reply::ErrorUnder(status, error) => Answer { status, ..error.answer(path, &id) },
            Reply::Verbatim(bytes) => {
                return Self { status: None, answer: Answer::default(), verbatim: Some(bytes) };
            }
        };
        answer.set_default("x-amz-request-id", &id);
        answer.set_default("x-amz-id-2", "fault-server");
        answer.set_default("Date", httpdate::fmt_http_date(now));
        answer.set_default("Server", "AmazonS3");
        if answer.status != 204 {
            answer.set_default("Content-Length", answer.body.len());
        }
        Self { status: Some(answer.status), answer, verbatim: None }
    }

    pub fn is_verbatim(&self) -> bool {
        self.verbatim.is_some()
    }

    /// Returns the bytes to send, and where their middle is: that of the body, or of the head if there is no body.
    pub fn bytes(&self, method: &str) -> (Vec<u8>, usize) {
        let mut bytes = match &self.verbatim {
            Some(bytes) => bytes.to_vec(),
            None => self.answer.head_bytes(),
        };
        let head = bytes.len();
        if method == "HEAD" || self.answer.body.is_empty() {
            return (bytes, head / 2);
        }
        bytes.extend_from_slice(&self.answer.body);
        (bytes, head + self.answer.body.len() / 2)
    }

    /// Changes what the script wants changed.
    pub fn mangled(mut self, mangles: &[Mangle]) -> Self {
        for mangle in mangles {
            match mangle {
                Mangle::Drop(name) => self.answer.drop_header(name),
                Mangle::Set(name, value) => self.answer.set(name, value),
                Mangle::DropElement(name) => self.replace_element(name, ""),
                Mangle::Before(text) => {
                    let body = [text.as_bytes(), &self.answer.body].concat();
                    self.set_body(body.into());
                }
                Mangle::Cut(len) => {
                    let len = self.answer.body.len().min(*len);
                    self.set_body(self.answer.body.slice(..len));
                }
                Mangle::WrongEtag => {
                    let wrong = "\"00000000000000000000000000000000\"";
                    self.answer.set("ETag", wrong);
                    self.replace_element("ETag", &format!("<ETag>{wrong}</ETag>"));
                }
            }
        }
        self
    }

    fn replace_element(&mut self, name: &str, new: &str) {
        let Ok(text) = std::str::from_utf8(&self.answer.body) else {
            return;
        };
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, element)) = rest.split_once(&open)
            && let Some((_, after)) = element.split_once(&close)
        {
            out = out + before + new;
            rest = after;
        }
        self.set_body((out + rest).into());
    }

    fn set_body(&mut self, body: Bytes) {
        self.answer.set("Content-Length", body.len());
        self.answer.body = body;
    }
}
