//! How tests write the script: `server.on(Op::UploadPart).part(3).nth(1).answer(503, "SlowDown")`.

use bytes::Bytes;

use super::error::S3Error;
use super::http::Answer;
use super::log::Shared;
use super::script::{Delivery, Ending, Mangle, Plan, Reply, Rule, Stop, Times, Unread};

/// A rule being written. It is for every matching request unless `nth` or `first` say otherwise; the last call says what
/// happens. Several rules may be for one request: they add up, and where two disagree the one written first holds. Each
/// rule counts the matching requests by itself.
#[must_use = "a rule without a happening does nothing"]
pub struct When<'a> {
    shared: &'a Shared,
    rule: Rule,
    after: bool,
    headers: Vec<(String, String)>,
    elements: Vec<(String, String)>,
    message: Option<String>,
}

impl<'a> When<'a> {
    pub(super) fn new(shared: &'a Shared, rule: Rule) -> Self {
        Self { shared, rule, after: false, headers: Vec::new(), elements: Vec::new(), message: None }
    }

    /// Only requests for this part.
    pub fn part(mut self, number: u32) -> Self {
        self.rule.part = Some(number);
        self
    }

    /// Only requests for this key.
    pub fn key(mut self, key: &str) -> Self {
        self.rule.key = Some(key.to_owned());
        self
    }

    /// Only the n-th matching request from now on, the first being 1.
    pub fn nth(mut self, n: usize) -> Self {
        self.rule.times = Times::Nth(n);
        self
    }

    /// Only the first n matching requests from now on.
    pub fn first(mut self, n: usize) -> Self {
        self.rule.times = Times::First(n);
        self
    }

    /// After the server has done what was asked.
    pub fn after(mut self) -> Self {
        self.after = true;
        self
    }

    /// The answer has this header too.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The error's XML has this element too.
    pub fn with_element(mut self, name: &str, value: &str) -> Self {
        self.elements.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The error's message.
    pub fn with_message(mut self, message: &str) -> Self {
        self.message = Some(message.to_owned());
        self
    }

    /// Answers with an S3 error; without `after()`, the body is read and nothing done.
    pub fn answer(self, status: u16, code: &str) {
        let reply = Reply::Error(self.error(status, code));
        self.reply(reply);
    }

    /// Answers 200 with an S3 error as the body, as CompleteMultipartUpload may.
    pub fn answer_in_200(self, code: &str) {
        let reply = Reply::ErrorUnder(200, self.error(200, code));
        self.reply(reply);
    }

    /// Answers with this status and body, whatever it is.
    pub fn raw(self, status: u16, body: impl Into<Bytes>) {
        let reply = Reply::Canned(Answer { status, headers: self.headers.clone(), body: body.into() });
        self.reply(reply);
    }

    /// Sends exactly these bytes as the answer and closes.
    pub fn verbatim(self, bytes: impl Into<Bytes>) {
        let reply = Reply::Verbatim(bytes.into());
        self.reply(reply);
    }

    /// Answers with an S3 error without reading the body, and closes.
    pub fn answer_early(mut self, status: u16, code: &str) {
        let reply = Reply::Error(self.error(status, code));
        self.rule.plan.unread = Some(Unread::Close(reply));
        self.write();
    }

    /// Answers with an S3 error without reading the body, and resets: the answer may be lost.
    pub fn answer_early_and_reset(mut self, status: u16, code: &str) {
        let reply = Reply::Error(self.error(status, code));
        self.rule.plan.unread = Some(Unread::AnswerAndReset(reply));
        self.write();
    }

    /// Resets the connection before the body is read; with `after()`, when all is done but the answer.
    pub fn reset(mut self) {
        if self.after {
            return self.deliver(Delivery::Reset);
        }
        self.rule.plan.unread = Some(Unread::Reset);
        self.write();
    }

    /// Resets the connection after that many bytes of the body, or at its end if it is shorter; nothing is done.
    pub fn reset_after_bytes(mut self, bytes: u64) {
        self.rule.plan.stop = Some((bytes, Stop::Reset));
        self.write();
    }

    /// Does what was asked and closes without an answer.
    pub fn close_without_answer(self) {
        self.deliver(Delivery::Close);
    }

    /// Answers, then closes without having said `Connection: close`.
    pub fn close_after_answer(self) {
        self.deliver(Delivery::ThenClose);
    }

    /// Stops reading after that many bytes of the body until `release()`.
    pub fn stall_after_bytes(mut self, bytes: u64) {
        self.rule.plan.stop = Some((bytes, Stop::Stall));
        self.write();
    }

    /// Waits for `release()` before reading the body; with `after()`, before answering.
    pub fn hold(mut self) {
        let plan: &mut Plan = &mut self.rule.plan;
        match self.after {
            true => plan.hold_answer = true,
            false => plan.hold = true,
        }
        self.write();
    }

    /// Does what was asked but does not answer until `release()`.
    pub fn never_answer(self) {
        self.after().hold();
    }

    /// Sends half of the answer, and the rest only after `release()`.
    pub fn stall_in_answer(self) {
        self.deliver(Delivery::Half(Ending::Stall));
    }

    /// Sends half of the answer and resets.
    pub fn reset_in_answer(self) {
        self.deliver(Delivery::Half(Ending::Reset));
    }

    /// Sends half of the answer and closes.
    pub fn close_in_answer(self) {
        self.deliver(Delivery::Half(Ending::Close));
    }

    /// Reads the body at no more than that many bytes a second, in real time.
    pub fn read_slowly(mut self, bytes_per_second: u64) {
        self.rule.plan.rate = Some(bytes_per_second.max(1));
        self.write();
    }

    /// Sends the answer byte by byte.
    pub fn answer_byte_by_byte(self) {
        self.deliver(Delivery::ByteByByte);
    }

    /// Flips a byte of the body once its signature is verified and before its checksums are.
    pub fn corrupt(mut self) {
        self.rule.plan.corrupt = true;
        self.write();
    }

    /// Leaves a header out of the answer.
    pub fn drop_header(self, name: &str) {
        self.mangle(Mangle::Drop(name.to_owned()));
    }

    /// Sets a header of the answer.
    pub fn set_header(self, name: &str, value: &str) {
        self.mangle(Mangle::Set(name.to_owned(), value.to_owned()));
    }

    /// Leaves an XML element out of the answer.
    pub fn drop_element(self, name: &str) {
        self.mangle(Mangle::DropElement(name.to_owned()));
    }

    /// Puts this before the answer's body, as S3 puts white space before a slow completion's.
    pub fn begin_answer_with(self, text: &str) {
        self.mangle(Mangle::Before(text.to_owned()));
    }

    /// Cuts the answer's body to that many bytes, and says so in its `Content-Length`.
    pub fn cut_answer(self, bytes: usize) {
        self.mangle(Mangle::Cut(bytes));
    }

    /// Answers with an ETag that the server does not know.
    pub fn wrong_etag(self) {
        self.mangle(Mangle::WrongEtag);
    }

    fn error(&self, status: u16, code: &str) -> S3Error {
        let message = self.message.as_deref().unwrap_or("As the script says.");
        let mut error = S3Error::new(status, code, message);
        for (name, value) in &self.elements {
            error = error.with(name, value);
        }
        for (name, value) in &self.headers {
            error = error.header(name, value);
        }
        error
    }

    fn reply(mut self, reply: Reply) {
        match self.after {
            true => self.rule.plan.after = Some(reply),
            false => self.rule.plan.instead = Some(reply),
        }
        self.write();
    }

    fn deliver(mut self, delivery: Delivery) {
        self.rule.plan.delivery = Some(delivery);
        self.write();
    }

    fn mangle(mut self, mangle: Mangle) {
        self.rule.plan.mangle.push(mangle);
        self.write();
    }

    fn write(self) {
        self.shared.add_rule(self.rule);
    }
}
