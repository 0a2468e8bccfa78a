//! Values of an object's own options, checked as S3 would check them, and written as it wants them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::checksum::base64;
use crate::store::rusoto::CustomerKey;

/// The most tags of an object, and characters of a tag's key and value ("Categorizing your objects using
/// tags", S3 user guide).
const MAX_TAGS: usize = 10;
const MAX_TAG_KEY: usize = 128;
const MAX_TAG_VALUE: usize = 256;

/// The longest address in bytes that a website's object may redirect to.
const MAX_REDIRECT: usize = 2 * 1024;

/// Everything but the characters that RFC 3986 calls unreserved.
const STRICT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Reads tags as a URL's query has them, and returns them so.
pub(super) fn tagging(text: &str) -> Result<String, String> {
    let mut tags = Vec::new();
    for tag in text.split('&') {
        let (key, value) =
            tag.split_once('=').ok_or("tags are written KEY=VALUE, with '&' between several")?;
        let (key, value) = (decoded(key)?, decoded(value)?);
        match (key.chars().count(), value.chars().count()) {
            (0, _) => return Err("a tag's key cannot be empty".to_owned()),
            (1..=MAX_TAG_KEY, 0..=MAX_TAG_VALUE) => {}
            (key, value) => {
                return Err(format!(
                    "a tag has a key of {key} characters and a value of {value}; S3 takes {MAX_TAG_KEY} and {MAX_TAG_VALUE}"
                ));
            }
        }
        let allowed = |c: char| c.is_alphanumeric() || " +-=._:/@".contains(c);
        if let Some(odd) = key.chars().chain(value.chars()).find(|c| !allowed(*c)) {
            return Err(format!("a tag holds letters, digits, spaces and + - = . _ : / @, and not {odd:?}"));
        }
        if key.starts_with("aws:") {
            return Err("keys of tags that begin with aws: are AWS's own".to_owned());
        }
        if tags.iter().any(|(known, _)| *known == key) {
            return Err(format!("the tag {key:?} is there twice"));
        }
        tags.push((key, value));
    }
    if tags.len() > MAX_TAGS {
        return Err(format!("these are {} tags, and an object has at most {MAX_TAGS}", tags.len()));
    }
    let encoded = |text: &str| utf8_percent_encode(text, STRICT).to_string();
    let tags: Vec<_> =
        tags.iter().map(|(key, value)| format!("{}={}", encoded(key), encoded(value))).collect();
    Ok(tags.join("&"))
}

fn decoded(text: &str) -> Result<String, String> {
    let encoded = text.split('%').skip(1);
    let mut digits = encoded.map(|rest| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count());
    let decoded = text.replace('+', " ");
    match percent_decode_str(&decoded).decode_utf8() {
        Ok(decoded) if digits.all(|digits| digits == 2) => Ok(decoded.into_owned()),
        _ => Err("a '%' in a tag must begin a percent-encoded character, as %20 does".to_owned()),
    }
}

/// Reads who is granted something, and returns it as a header has it.
pub(super) fn grantees(text: &str) -> Result<String, String> {
    let wrong = || {
        "a grantee is written id=ACCOUNT, uri=GROUP or emailAddress=ADDRESS, with commas between several"
            .to_owned()
    };
    let grantee = |text: &str| {
        let (by, whom) = text.trim().split_once('=').ok_or_else(wrong)?;
        let whom = whom.strip_prefix('"').and_then(|whom| whom.strip_suffix('"')).unwrap_or(whom);
        let known = matches!(by, "id" | "uri" | "emailAddress");
        match known && !whom.is_empty() && whom.bytes().all(|b| b.is_ascii_graphic() && b != b'"') {
            true => Ok(format!("{by}=\"{whom}\"")),
            false => Err(wrong()),
        }
    };
    Ok(text.split(',').map(grantee).collect::<Result<Vec<_>, String>>()?.join(", "))
}

/// Reads a storage class. Stores have classes of their own, so any word will do.
pub(super) fn storage_class(text: &str) -> Result<String, String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    match !text.is_empty() && text.bytes().all(allowed) {
        true => Ok(text.to_owned()),
        false => Err("a storage class is one word, as STANDARD_IA or GLACIER_IR".to_owned()),
    }
}

/// Reads the context that a KMS key is used in, and returns it as a header has it.
pub(super) fn kms_context(text: &str) -> Result<String, String> {
    let wrong = || "the context is JSON, an object of texts, say {\"project\":\"x\"}".to_owned();
    let context: BTreeMap<String, String> = serde_json::from_str(text).map_err(|_| wrong())?;
    match context.is_empty() {
        true => Err(wrong()),
        false => Ok(base64(serde_json::to_string(&context).map_err(|_| wrong())?.as_bytes())),
    }
}

/// Reads the key that a file holds.
pub(super) fn customer_key(path: PathBuf) -> Result<CustomerKey, String> {
    let mut bytes = Vec::new();
    // One byte more than a key has tells a file that is longer.
    let read = File::open(path).and_then(|file| file.take(33).read_to_end(&mut bytes));
    read.map_err(|error| format!("it cannot be read: {error}"))?;
    let length = match bytes.len() {
        33 => "more than 32 bytes".to_owned(),
        length => format!("{length} bytes"),
    };
    let wrong =
        || format!("it has {length}, and a key is 32 raw bytes, as `openssl rand -out FILE 32` makes");
    bytes.try_into().map(CustomerKey::new).map_err(|_| wrong())
}

/// Reads where a website's object redirects to.
pub(super) fn redirect(text: &str) -> Result<String, String> {
    let known = ["/", "http://", "https://"].iter().any(|start| text.starts_with(start));
    match known && text.len() <= MAX_REDIRECT && text.bytes().all(|b| b.is_ascii_graphic()) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "it is a key after a '/', or a URL that begins with http:// or https://, percent-encoded, of at most {MAX_REDIRECT} bytes"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_encoded_once() {
        for (text, expected) in [
            ("a=1&b=2", "a=1&b=2"),
            ("a=", "a="),
            ("a=b=c", "a=b%3Dc"),
            ("a b=c+d%2Be", "a%20b=c%20d%2Be"),
            ("é=x", "%C3%A9=x"),
            ("%C3%A9=x%26y".trim_end_matches("%26y"), "%C3%A9=x"),
        ] {
            assert_eq!(tagging(text).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn tags_have_limits() {
        let many = |n: usize| (0..n).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join("&");
        assert!(tagging(&many(10)).is_ok() && tagging(&many(11)).unwrap_err().contains("11 tags"));
        let long = |key, value| tagging(&format!("{}={}", "é".repeat(key), "v".repeat(value)));
        assert!(long(128, 256).is_ok() && long(129, 1).is_err() && long(1, 257).is_err());
        for text in ["", "a", "=v", "a=1&", "a=1&a=2", "aws:x=1", "a=100%", "a=%zz", "a=%ff", "a=b?"] {
            assert!(tagging(text).is_err(), "{text}");
        }
    }

    #[test]
    fn grantees_are_quoted() {
        let who = "id=abc, uri=\"http://acs.amazonaws.com/groups/global/AllUsers\",emailAddress=a@b.c";
        let header =
            "id=\"abc\", uri=\"http://acs.amazonaws.com/groups/global/AllUsers\", emailAddress=\"a@b.c\"";
        assert_eq!(grantees(who).as_deref(), Ok(header));
        for wrong in ["", "abc", "id=", "id=\"\"", "name=x", "id=a,", "id=a\"b", "id=a b"] {
            assert!(grantees(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_context_is_an_object_of_texts() {
        assert_eq!(kms_context("{ \"a\": \"b\" }"), Ok(base64(b"{\"a\":\"b\"}")));
        for wrong in ["", "{}", "[]", "{\"a\":1}", "{\"a\":{\"b\":\"c\"}}", "a=b"] {
            assert!(kms_context(wrong).is_err(), "{wrong}");
        }
    }
}
