//! A checksum behind the bytes, computed while they are sent, so that a file is read but once; and before
//! them where a store does not take that.

use super::Job;
use super::integrity::{compare_checksum, refuses_checksum};
use crate::checksum::{Algorithm, Checksum, Sums, Wanted};
use crate::error::{Error, Step};
use crate::event::Event;
use crate::source::Part;
use crate::store::{Kind, Store, StoreError, Written};

/// Where a checksum goes: before the bytes, for which they must be read once more, or behind them.
///
/// It goes behind them only where the payload is not signed, and nothing else is wanted of the bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trailers {
    /// Behind the bytes where the store is known to take that.
    #[default]
    Auto,
    /// Behind the bytes; a store that refuses that is an error.
    Always,
    /// Before the bytes.
    Never,
}

impl<S: Store> Job<'_, S> {
    /// Whether checksums may go behind the bytes.
    pub(super) fn trailers(&self) -> bool {
        !self.store.signs_payload()
            && match self.request.trailers {
                Trailers::Auto => self.store.takes_trailers(),
                Trailers::Always => true,
                Trailers::Never => false,
            }
    }

    /// Whether a checksum that went behind the bytes came to nothing, so that it must go before them.
    pub(super) fn misses_trailer(&self, outcome: &Result<Written, StoreError>) -> bool {
        match outcome {
            Ok(answer) => !confirms_trailer(answer),
            Err(error) => self.request.trailers != Trailers::Always && refuses_trailer(error),
        }
    }

    /// Says that a checksum had to go before the bytes, where that did.
    pub(super) fn mention_trailer(&self) {
        let notice = "the store does not take a checksum behind the bytes, and gets it before them";
        self.observer.event(&Event::Notice(notice));
    }

    /// Says of a refusal that it may be of what was asked for.
    pub(super) fn explain_trailer(&self, error: StoreError) -> StoreError {
        if self.request.trailers != Trailers::Always || !refuses_trailer(&error) {
            return error;
        }
        let why = "the checksum went behind the bytes, as was asked, which not every store takes";
        // A sum of frames that differs tells nothing of the bytes in them.
        let kind = if error.kind == Kind::Checksum { Kind::Refused } else { error.kind };
        StoreError { message: format!("{}; {why}", error.message), kind, ..error }
    }

    /// The checksum to send behind an object that is put whole.
    pub(super) fn trailer_of(&self, body: &Part) -> Option<Algorithm> {
        let checksum = self.request.checksum.algorithm();
        let wanted = Wanted { checksum, ..Wanted::default() };
        checksum.filter(|_| self.trailers() && trails(body, wanted))
    }

    /// Puts the object with its checksum behind the bytes. `None` where the store does not take that.
    pub(super) async fn put_trailing(
        &self,
        body: &Part,
        algorithm: Algorithm,
    ) -> Result<Option<(Sums, Written)>, Error> {
        self.check_source(Step::Put)?;
        let outcome = self.store.put_object(&self.put_request(body, Sums::default(), Some(algorithm))).await;
        let missed = self.misses_trailer(&outcome);
        let error = match outcome {
            Ok(answer)
                if !missed && compare_checksum(answer.sent.as_ref(), answer.checksum.as_ref()).is_ok() =>
            {
                return Ok(Some((Sums { checksum: answer.sent.clone(), ..Sums::default() }, answer)));
            }
            Ok(_) => None,
            Err(error) => Some(error),
        };
        // The object may be there all the same: of this try, or of one whose answer was lost.
        if error.as_ref().is_none_or(|error| error.kind == Kind::Precondition && error.outcome_unknown()) {
            let wanted = Wanted { checksum: Some(algorithm), ..Wanted::default() };
            let sums = self.sums(Step::Put, body, wanted).await?;
            if let Some(answer) = self.put_before(body, &sums).await {
                return Ok(Some((sums, answer)));
            }
        }
        match error {
            Some(error) if !missed => Err(self.blame(Step::Put, self.explain_trailer(error))),
            _ => Ok(None),
        }
    }
}

/// Whether it pays to send a checksum behind the bytes: not where it costs no reading, or there are none.
pub(super) fn trails(body: &Part, wanted: Wanted) -> bool {
    !body.is_empty() && !body.knows(wanted)
}

/// Whether an error can be one about a checksum behind the bytes: beside refusals, stores that do not
/// know the frames of such a body take it for a wrong signature, or miss its length.
pub(super) fn refuses_trailer(error: &StoreError) -> bool {
    const TAKEN_FOR: [&str; 3] =
        ["SignatureDoesNotMatch", "XAmzContentSHA256Mismatch", "MissingContentLength"];
    refuses_checksum(error) || error.code.as_deref().is_some_and(|code| TAKEN_FOR.contains(&code))
}

/// Whether an answer proves that a checksum behind the bytes was sent and looked at. A store that ignores
/// it may have stored the frames as bytes.
pub(super) fn confirms_trailer(answer: &Written) -> bool {
    let algorithm = |sum: &Option<Checksum>| sum.as_ref().map(Checksum::algorithm);
    answer.sent.is_some() && algorithm(&answer.sent) == algorithm(&answer.checksum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trailer_is_confirmed_by_a_checksum_of_its_own_algorithm() {
        let sum = |algorithm| Some(Checksum::of(algorithm, b"a"));
        let answer = |sent, checksum| Written { sent, checksum, ..Written::default() };
        let (crc, sha) = (sum(Algorithm::Crc64Nvme), sum(Algorithm::Sha1));
        assert!(confirms_trailer(&answer(crc.clone(), crc.clone())));
        assert!(!confirms_trailer(&answer(crc.clone(), sha)));
        assert!(!confirms_trailer(&answer(crc.clone(), None)));
        assert!(!confirms_trailer(&answer(None, crc)));
        assert!(!confirms_trailer(&Written::default()));
    }
}
