//! Values as they are written on the command line.

use std::fmt;
use std::num::NonZeroU64;
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
    match any_size(text)? {
        Size(0) => Err("a chunk of nothing sends nothing; 8MiB would do".to_owned()),
        size => Ok(size),
    }
}

/// Reads a size of memory.
pub(super) fn memory(text: &str) -> Result<Size, String> {
    match any_size(text)? {
        Size(0) => Err("without memory nothing can be sent; 128MiB would do".to_owned()),
        size => Ok(size),
    }
}

/// Reads a number of parts.
pub(super) fn max_parts(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(number @ 1..=10_000) => Ok(number),
        _ => Err(format!("{text:?} is no number of parts from 1 to 10000")),
    }
}

/// Reads a size that may be zero.
pub(super) fn any_size(text: &str) -> Result<Size, String> {
    let wrong = || "a size is a number with a unit, as in 8MiB, 1.5GiB or 64MB".to_owned();
    // A bare M is a million to some and a mebibyte to others.
    if text.ends_with(['k', 'K', 'm', 'M', 'g', 'G', 't', 'T']) {
        return Err(wrong());
    }
    let size: bytesize::ByteSize = text.parse().map_err(|_| wrong())?;
    Ok(Size(size.as_u64()))
}

/// A number of requests at once, or as many as turn out to be worth it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Concurrency {
    /// As many as make the bytes flow faster.
    Auto,
    /// So many.
    Fixed(u16),
}

impl fmt::Display for Concurrency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Concurrency::Auto => f.write_str("auto"),
            Concurrency::Fixed(number) => number.fmt(f),
        }
    }
}

/// Reads `auto`, or a number from 1 to 1,000.
pub(super) fn concurrency(text: &str) -> Result<Concurrency, String> {
    match text.parse() {
        _ if text.eq_ignore_ascii_case("auto") => Ok(Concurrency::Auto),
        Ok(number @ 1..=1000) => Ok(Concurrency::Fixed(number)),
        _ => Err(format!("{text:?} is not in 1..=1000, and not auto")),
    }
}

/// Reads a SHA-256 in hexadecimal, as `sha256sum` prints it.
pub(super) fn sha256(text: &str) -> Result<[u8; 32], String> {
    let digits = text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit());
    let mut sum = [0; 32];
    for (byte, at) in sum.iter_mut().zip((0..64).step_by(2)).filter(|_| digits) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|e| e.to_string())?;
    }
    match digits {
        true => Ok(sum),
        false => Err("a SHA-256 is 64 hexadecimal digits, as sha256sum prints them".to_owned()),
    }
}

/// Reads a rate in bytes a second, say `10MiB/s`.
pub(super) fn rate(text: &str) -> Result<NonZeroU64, String> {
    let wrong = "a rate is a size a second, of 1KiB/s or more, as in 10MiB/s or 500KB/s";
    let Size(rate) = size(text.strip_suffix("/s").unwrap_or(text)).map_err(|_| wrong)?;
    NonZeroU64::new(rate).filter(|rate| rate.get() >= 1 << 10).ok_or_else(|| wrong.to_owned())
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

/// Reads a span of time that must say its unit: for what destroys, a bare number is too easily another.
pub(super) fn span_with_unit(text: &str) -> Result<Span, String> {
    match text.trim().chars().all(|c| c.is_ascii_digit()) {
        true => Err(format!("{text:?} of what? {text}d is days, {text}h is hours")),
        false => span(text),
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

/// Reads an account's number.
pub(super) fn account(text: &str) -> Result<String, String> {
    match text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()) {
        true => Ok(text.to_owned()),
        false => Err("an account is a number of 12 digits".to_owned()),
    }
}

/// Reads who pays. A variable may say yes or no as others do.
pub(super) fn payer(text: &str) -> Result<bool, String> {
    match text {
        "requester" | "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("requester is all that it can be; write --request-payer=requester".to_owned()),
    }
}
