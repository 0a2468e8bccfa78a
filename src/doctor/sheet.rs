//! Where findings are written down.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::store::StoreError;

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The check: an operation's name, or a word.
    pub check: &'static str,
    /// How it went.
    pub status: Status,
    /// What was found, in one line.
    pub detail: String,
    /// What to do about it, in one line.
    pub fix: Option<String>,
}

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// As it should be.
    Ok,
    /// An upload does, with less than there could be.
    Warn,
    /// An upload would fail.
    Fail,
    /// It could not be made, since an earlier one failed, or is not called for.
    Skip,
}

/// The findings so far: each is told at once, and the first failure is kept.
pub struct Sheet<'a> {
    tell: Box<dyn Fn(&Finding) + Send + Sync + 'a>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    checks: Vec<&'static str>,
    failure: Option<StoreError>,
}

impl<'a> Sheet<'a> {
    /// Returns an empty sheet; each finding goes to `tell`.
    pub fn new(tell: impl Fn(&Finding) + Send + Sync + 'a) -> Self {
        Sheet { tell: Box::new(tell), kept: Mutex::default() }
    }

    /// All is well.
    pub fn ok(&self, check: &'static str, detail: impl Into<String>) {
        self.write(check, Status::Ok, detail.into(), None);
    }

    /// Something could be better.
    pub fn warn(&self, check: &'static str, detail: impl Into<String>, fix: impl Into<String>) {
        self.write(check, Status::Warn, detail.into(), Some(fix.into()));
    }

    /// An upload would fail, with such an error.
    pub fn fail(&self, check: &'static str, error: &StoreError, fix: impl Into<String>) {
        self.kept().failure.get_or_insert_with(|| error.clone());
        self.write(check, Status::Fail, error.to_string(), Some(fix.into()));
    }

    /// Those of these checks that have no finding yet can't be made.
    pub fn skip(&self, checks: &[&'static str], why: &str) {
        for check in checks {
            let made = self.kept().checks.contains(check);
            if !made {
                self.write(check, Status::Skip, why.to_owned(), None);
            }
        }
    }

    /// The error that the first failure showed: what an upload would have ended with.
    pub fn failure(&self) -> Option<StoreError> {
        self.kept().failure.clone()
    }

    fn write(&self, check: &'static str, status: Status, detail: String, fix: Option<String>) {
        self.kept().checks.push(check);
        (self.tell)(&Finding { check, status, detail, fix });
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
