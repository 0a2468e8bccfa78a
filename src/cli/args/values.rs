//! Values as they are written on the command line.

use std::fmt;
use std::time::Duration;

/// A size in bytes.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Size(pub(in crate::cli) u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 >> 20, self.0 % (1 << 20)) {
            (mib, 0) => write!(f, "{mib}MiB"),
            _ => write!(f, "{}", self.0),
        }
    }
}

/// Reads a size of a chunk, say `8MiB`.
pub(super) fn size(text: &str) -> Result<Size, String> {
    let wrong = || "a size is a number with a unit, as in 8MiB, 1.5GiB or 64MB".to_owned();
    // A bare M is a million to some and a mebibyte to others.
    if text.ends_with(['k', 'K', 'm', 'M', 'g', 'G', 't', 'T']) {
        return Err(wrong());
    }
    let size: bytesize::ByteSize = text.parse().map_err(|_| wrong())?;
    match size.as_u64() {
        0 => Err("a chunk of nothing sends nothing; 8MiB would do".to_owned()),
        bytes => Ok(Size(bytes)),
    }
}

/// A span of time.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Span(pub(in crate::cli) Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = humantime::format_duration(self.0).to_string();
        f.write_str(&text.replace(' ', ""))
    }
}

/// Reads a span of time, say `90s`, `15m` or `7d`; a bare number is seconds.
pub(super) fn span(text: &str) -> Result<Span, String> {
    let seconds = text.parse().map(Duration::from_secs).ok();
    let span = seconds.or_else(|| humantime::parse_duration(text).ok());
    match span {
        Some(span) if span.is_zero() => Err("no time at all is too little".to_owned()),
        Some(span) => Ok(Span(span)),
        None => Err("a time is a number with a unit, as in 90s, 15m or 7d".to_owned()),
    }
}

/// Reads `KEY=VALUE`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("metadata is written KEY=VALUE, with commas between several".to_owned()),
    }
}
