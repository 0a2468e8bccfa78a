//! The script: rules that say what goes wrong with which request, and the plan they make for one.

use bytes::Bytes;

use super::error::S3Error;
use super::http::Answer;
use super::route::{Op, Route};

/// Which of the matching requests a rule is for.
#[derive(Clone, Copy, Debug)]
pub enum Times {
    Always,
    First(usize),
    Nth(usize),
}

/// One line of the script.
#[derive(Clone, Debug)]
pub struct Rule {
    pub op: Option<Op>,
    pub part: Option<u32>,
    pub key: Option<String>,
    pub times: Times,
    pub plan: Plan,
    matched: usize,
}

impl Rule {
    pub fn new(op: Option<Op>) -> Self {
        Self { op, part: None, key: None, times: Times::Always, plan: Plan::default(), matched: 0 }
    }

    /// Counts the request if it matches, and returns whether it is this rule's turn.
    fn is_due(&mut self, route: &Route) -> bool {
        let matches = self.op.is_none_or(|op| op == route.op)
            && self.part.is_none_or(|part| route.part == Some(part))
            && self.key.is_none() | (self.key == route.key);
        if !matches {
            return false;
        }
        self.matched += 1;
        match self.times {
            Times::Always => true,
            Times::First(n) => self.matched <= n,
            Times::Nth(n) => self.matched == n,
        }
    }
}

/// Returns what `rules` say about a request: all that are due, the earlier rule where two disagree.
pub fn plan(rules: &mut [Rule], route: &Route) -> Plan {
    let due = rules.iter_mut().filter_map(|rule| rule.is_due(route).then(|| rule.plan.clone()));
    due.fold(Plan::default(), Plan::and)
}

/// What happens to one request, in the order of the fields. The default is nothing out of the ordinary.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Wait for a release before reading the body.
    pub hold: bool,
    /// End without reading the body.
    pub unread: Option<Unread>,
    /// Read the body only so far.
    pub stop: Option<(u64, Stop)>,
    /// Read at most that many bytes a second.
    pub rate: Option<u64>,
    /// Flip a byte of the body behind the signature's back.
    pub corrupt: bool,
    /// Answer this instead of doing what was asked.
    pub instead: Option<Reply>,
    /// Do what was asked, but answer this.
    pub after: Option<Reply>,
    /// Change the answer.
    pub mangle: Vec<Mangle>,
    /// Wait for a release before answering.
    pub hold_answer: bool,
    /// How the answer goes out.
    pub delivery: Option<Delivery>,
}

impl Plan {
    fn and(mut self, later: Self) -> Self {
        self.mangle.extend(later.mangle);
        Self {
            hold: self.hold || later.hold,
            unread: self.unread.or(later.unread),
            stop: self.stop.or(later.stop),
            rate: self.rate.or(later.rate),
            corrupt: self.corrupt || later.corrupt,
            instead: self.instead.or(later.instead),
            after: self.after.or(later.after),
            mangle: self.mangle,
            hold_answer: self.hold_answer || later.hold_answer,
            delivery: self.delivery.or(later.delivery),
        }
    }
}

/// How a request ends whose body is not read.
#[derive(Clone, Debug)]
pub enum Unread {
    Reset,
    /// Answer, then FIN.
    Close(Reply),
    /// Answer, then RST: the client may never see the answer.
    AnswerAndReset(Reply),
}

/// What happens where the reading of a body stops.
#[derive(Clone, Copy, Debug)]
pub enum Stop {
    Reset,
    /// Wait for a release, then go on.
    Stall,
}

/// A reply from the script.
#[derive(Clone, Debug)]
pub enum Reply {
    /// An S3 error with its own status.
    Error(S3Error),
    /// An S3 error whose status line says something else.
    ErrorUnder(u16, S3Error),
    Canned(Answer),
    /// These bytes and no more, then FIN: no status line or header is added.
    Verbatim(Bytes),
}

/// A change to the answer.
#[derive(Clone, Debug)]
pub enum Mangle {
    Drop(String),
    Set(String, String),
    /// An XML element with all that is in it.
    DropElement(String),
    /// Put this before the body.
    Before(String),
    /// Cut the body to that many bytes.
    Cut(usize),
    /// In the header and in the XML.
    WrongEtag,
}

/// How the answer goes out.
#[derive(Clone, Copy, Debug)]
pub enum Delivery {
    /// Not at all: RST.
    Reset,
    /// Not at all: FIN.
    Close,
    /// Whole, then FIN without having said so.
    ThenClose,
    ByteByByte,
    /// Half of it, then that.
    Half(Ending),
}

/// What follows half an answer.
#[derive(Clone, Copy, Debug)]
pub enum Ending {
    /// A wait for a release, then the rest.
    Stall,
    Reset,
    Close,
}
