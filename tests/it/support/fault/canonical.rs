//! The form of a request that Signature Version 4 signs, and the signature.

use hmac::{Hmac, KeyInit as _, Mac as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use sha2::Sha256;

use super::http::Head;
use super::route::parse_query;
use super::sums::hex;

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const IN_PATH: &AsciiSet = &UNRESERVED.remove(b'/');

/// Returns the request in the form that is signed: `signed` names headers in lower case, `payload` is the body's hash.
pub fn canonical_request(head: &Head, signed: &[String], payload: &str) -> String {
    let path: Vec<u8> = percent_decode_str(head.path()).collect();
    let mut query: Vec<(String, String)> = parse_query(head.raw_query())
        .iter()
        .filter(|(name, _)| name != "X-Amz-Signature")
        .map(|(name, value)| (encode(name), encode(value)))
        .collect();
    query.sort();
    let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let headers: String =
        signed.iter().map(|name| format!("{name}:{}\n", canonical_value(head, name))).collect();
    format!(
        "{}\n{}\n{}\n{headers}\n{}\n{payload}",
        head.method,
        percent_encode(&path, IN_PATH),
        query.join("&"),
        signed.join(";"),
    )
}

fn encode(text: &str) -> String {
    percent_encode(text.as_bytes(), UNRESERVED).to_string()
}

fn canonical_value(head: &Head, name: &str) -> String {
    let values = head.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
    let values: Vec<String> =
        values.map(|(_, value)| value.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    values.join(",")
}

/// Returns the signature of `to_sign` in `scope` (`date/region/service/aws4_request`).
pub fn sign(secret: &str, scope: &str, to_sign: &str) -> String {
    let first = format!("AWS4{secret}").into_bytes();
    let key = scope.split('/').fold(first, |key, step| mac(&key, step));
    hex(&mac(&key, to_sign))
}

fn mac(key: &[u8], message: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().to_vec()
}
