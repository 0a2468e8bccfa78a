//! What a source must be for an object to be made of it: the caller's own knowledge of size and hash.

use super::Job;
use crate::checksum::{Wanted, hex};
use crate::error::{Error, Mismatch, Step};
use crate::plan::Plan;
use crate::source::{FileSource, Source, SourceError, StreamSource};
use crate::store::Store;

/// What a source must be for an object to be made of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expect {
    /// Its size in bytes. A stream of a size that is known beforehand is cut into even parts.
    pub size: Option<u64>,
    /// Its least size in bytes.
    pub min_size: Option<u64>,
    /// The SHA-256 of all its bytes. A stream must have been told to compute it.
    pub sha256: Option<[u8; 32]>,
}

impl<S: Store> Job<'_, S> {
    /// Checks before a byte is sent that a file is what is expected.
    pub(super) async fn check_expected(&self, file: &FileSource) -> Result<(), Error> {
        let expect = self.request.expect;
        check_size(expect, self.source, file.size()).map_err(|e| Error::new(Step::Plan, e))?;
        if expect.sha256.is_some() {
            let wanted = Wanted { sha256: true, ..Wanted::default() };
            let sums = self.sums(Step::Plan, &file.part(0..file.size()), wanted).await?;
            check_sha256(expect, sums.sha256).map_err(|e| Error::new(Step::Plan, e))?;
        }
        Ok(())
    }

    /// Checks that a stream which was to fit in one request, or whose size nobody knows, may go on after
    /// its first part.
    pub(super) fn check_going_on(&self, stream: &StreamSource) -> Result<(), Error> {
        let least = stream.taken() + 1;
        check_not_longer(self.request.expect, stream, least).map_err(|e| Error::new(Step::Plan, e))?;
        let plan = Plan::new(least, self.request.wishes);
        plan.map(drop).map_err(|e| Error::new(Step::Plan, e))
    }

    /// Checks at the end of a stream, before an object is made, that it is whole and what is expected.
    pub(super) async fn finish_source(&self, step: Step) -> Result<(), Error> {
        let Source::Stream(stream) = self.source else { return Ok(()) };
        let sums = stream.finish().await.map_err(|e| Error::new(step, e))?;
        check_size(self.request.expect, self.source, stream.taken()).map_err(|e| Error::new(step, e))?;
        check_sha256(self.request.expect, sums.sha256).map_err(|e| Error::new(step, e))
    }
}

fn check_size(expect: Expect, source: Source<'_>, found: u64) -> Result<(), SourceError> {
    let expected = match expect {
        Expect { size: Some(size), .. } if size != found => size.to_string(),
        Expect { min_size: Some(least), .. } if found < least => format!("at least {least}"),
        _ => return Ok(()),
    };
    Err(SourceError::Size { name: source.name(), expected, found: found.to_string() })
}

/// Checks that a stream which has at least so many bytes has no more than are expected.
pub(super) fn check_not_longer(expect: Expect, stream: &StreamSource, least: u64) -> Result<(), SourceError> {
    match expect.size {
        Some(size) if least > size => Err(SourceError::Size {
            name: stream.name().to_owned(),
            expected: size.to_string(),
            found: format!("more than {size}"),
        }),
        _ => Ok(()),
    }
}

fn check_sha256(expect: Expect, found: Option<[u8; 32]>) -> Result<(), Mismatch> {
    let Some(expected) = expect.sha256 else { return Ok(()) };
    match found {
        Some(found) if found == expected => Ok(()),
        found => {
            let found = found.map_or_else(|| "not known".to_owned(), |found| hex(&found));
            Err(Mismatch::Unexpected { expected: hex(&expected), found })
        }
    }
}
