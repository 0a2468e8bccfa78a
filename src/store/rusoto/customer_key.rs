//! SSE-C: a key that the customer keeps, and sends along wherever the object's bytes are touched.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::checksum::{base64, md5};
use crate::store::Operation;

/// A key of 256 bits that the store encrypts an object with, and forgets.
#[derive(Clone, PartialEq, Eq)]
pub struct CustomerKey([u8; 32]);

impl CustomerKey {
    /// Returns the key of these bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        CustomerKey(bytes)
    }

    /// The headers that a request of this operation carries the key in.
    pub(super) fn headers(&self, operation: Operation) -> HeaderMap {
        // Those that touch no bytes need no key, and S3 knows no such header of theirs.
        if matches!(operation, Operation::AbortMultipartUpload | Operation::ListMultipartUploads) {
            return HeaderMap::new();
        }
        let header = |name, text: &str| {
            let mut value = HeaderValue::from_str(text).ok()?;
            value.set_sensitive(true);
            Some((HeaderName::from_static(name), value))
        };
        let headers = [
            header("x-amz-server-side-encryption-customer-algorithm", "AES256"),
            header("x-amz-server-side-encryption-customer-key", &base64(&self.0)),
            header("x-amz-server-side-encryption-customer-key-md5", &base64(&md5(&self.0))),
        ];
        headers.into_iter().flatten().collect()
    }
}

/// That there is one: the key itself is secret.
impl fmt::Debug for CustomerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CustomerKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_goes_where_bytes_are_touched_and_is_never_shown() {
        let key = CustomerKey::new([7; 32]);
        let headers = key.headers(Operation::UploadPart);
        assert_eq!(headers["x-amz-server-side-encryption-customer-key"], base64(&[7; 32]));
        assert_eq!(headers["x-amz-server-side-encryption-customer-key-md5"], base64(&md5(&[7; 32])));
        assert_eq!(headers["x-amz-server-side-encryption-customer-algorithm"], "AES256");
        assert!(key.headers(Operation::AbortMultipartUpload).is_empty());
        assert!(!format!("{key:?} {headers:?}").contains(&base64(&[7; 32])));
    }
}
