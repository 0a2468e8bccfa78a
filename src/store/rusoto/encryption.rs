//! What answers tell of the encryption at the store.

use http::HeaderMap;

use super::call::Seen;
use super::{RusotoStore, error};
use crate::store::Attributes;

impl RusotoStore {
    /// Whether an encryption was asked for of which an answer does not tell.
    pub(super) fn is_bare(&self, attributes: &Attributes, seen: &Seen) -> bool {
        const ENCRYPTION: &str = "x-amz-server-side-encryption";
        let asked = self.0.customer_key.is_some()
            || attributes.headers().any(|(name, _)| name.starts_with(ENCRYPTION));
        asked && !seen.headers.keys().any(|name| name.as_str().starts_with(ENCRYPTION))
    }
}

/// Whether headers tell of an encryption under which ETags are no MD5s.
pub(super) fn encrypted(headers: &HeaderMap) -> bool {
    let kms = error::text(headers, "x-amz-server-side-encryption").is_some_and(|how| how != "AES256");
    kms || headers.contains_key("x-amz-server-side-encryption-customer-algorithm")
}
