//! Dates as they are written on the command line.

use std::fmt;
use std::time::{Duration, SystemTime};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The first second of the year 10000, counted from 1970.
const YEAR_10000: u64 = 253_402_300_800;

/// A point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Date(SystemTime);

impl Date {
    /// The date as HTTP writes it.
    pub(super) fn for_http(self) -> String {
        httpdate::fmt_http_date(self.0)
    }
}

/// As RFC 3339 has it, in UTC.
impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_rfc3339(self.0).fmt(f)
    }
}

/// Reads a date: as RFC 3339 writes it, a day alone (its beginning, in UTC), or as HTTP does.
pub(super) fn date(text: &str) -> Result<Date, String> {
    let exact = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok().map(SystemTime::from);
    let day = || exact(&format!("{text}T00:00:00Z"));
    let http = || httpdate::parse_http_date(text).ok();
    // Neither notation has others.
    let years = SystemTime::UNIX_EPOCH..SystemTime::UNIX_EPOCH + Duration::from_secs(YEAR_10000);
    let date = exact(text).or_else(day).or_else(http).filter(|date| years.contains(date));
    date.map(Date).ok_or_else(|| {
        "a date is written 2030-01-31, 2030-01-31T12:00:00+01:00 or Thu, 31 Jan 2030 12:00:00 GMT".to_owned()
    })
}

/// Reads a date that is still to come.
pub(super) fn future(text: &str) -> Result<Date, String> {
    let date = date(text)?;
    match date.0 > SystemTime::now() {
        true => Ok(date),
        false => Err("it is past; an object can be kept until a date to come".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_may_be_written_in_many_ways() {
        for text in [
            "2030-01-31T12:00:00Z",
            "2030-01-31T13:00:00+01:00",
            "2030-01-31T12:00:00.000Z",
            "Thu, 31 Jan 2030 12:00:00 GMT",
        ] {
            let date = date(text).unwrap();
            assert_eq!(date.to_string(), "2030-01-31T12:00:00Z", "{text}");
            assert_eq!(date.for_http(), "Thu, 31 Jan 2030 12:00:00 GMT", "{text}");
        }
        assert_eq!(date("9999-12-31").unwrap().to_string(), "9999-12-31T00:00:00Z");
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "soon",
            "1900-01-01T00:00:00Z",
            "9999-12-31T23:59:59-01:00",
            "2030-01-31T12:00:00",
            "2030-02-31",
            "2030-13-01",
            "1d",
            "31.1.2030",
        ] {
            assert!(date(text).is_err(), "{text}");
        }
        assert!(future("2001-01-01").is_err() && future("2200-01-01").is_ok());
    }
}
