//! What is said of an object beside its bytes: content type, metadata, storage class, encryption.
//!
//! On the wire each is a header of PutObject and of CreateMultipartUpload alike, and that is how they
//! are kept: a list of headers, checked when added, instead of a struct of some thirty optional fields
//! written out twice. A key that the customer keeps (SSE-C) is not among them: the gateway has it, since
//! it goes with reading as well.

use std::fmt;

/// The largest user-defined metadata in bytes, names and values together ("Working with object
/// metadata", S3 user guide).
pub const MAX_METADATA_BYTES: usize = 2 * 1024;

/// The prefix of a user-defined metadata header.
const METADATA: &str = "x-amz-meta-";

/// Headers that describe an object, in the order they were added, each at most once.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Attributes(Vec<(String, String)>);

/// Why an attribute can't be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttributeError {
    /// The name can't be a header's.
    #[error("{0:?} is no name that HTTP allows (letters, digits and '-')")]
    Name(String),
    /// The value holds a line break or another control character. The value is not repeated: it may be secret.
    #[error("the value of {0} is not plain ASCII, or holds a control character or a surrounding space")]
    Value(String),
    /// Attributes that do not go together, or one that lacks another. Says which.
    #[error("{0}")]
    Together(&'static str),
    /// The user-defined metadata is too large.
    #[error("the metadata has {0} bytes, and S3 takes at most {MAX_METADATA_BYTES}")]
    MetadataSize(usize),
}

impl Attributes {
    /// Returns no attributes.
    pub fn new() -> Self {
        Attributes::default()
    }

    /// Sets a header, say `content-type`, in place of one of that name.
    ///
    /// # Errors
    /// When HTTP could not carry the name or the value.
    pub fn set(&mut self, name: &str, value: impl Into<String>) -> Result<(), AttributeError> {
        let (name, value) = (name.to_ascii_lowercase(), value.into());
        let token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || !name.chars().all(token) {
            return Err(AttributeError::Name(name));
        }
        // A surrounding space would be cut off on the way, and the signature with it.
        if !value.is_ascii() || value.chars().any(char::is_control) || value.trim() != value {
            return Err(AttributeError::Value(name));
        }
        self.0.retain(|(known, _)| *known != name);
        self.0.push((name, value));
        Ok(())
    }

    /// Sets a piece of user-defined metadata, `x-amz-meta-NAME` on the wire.
    ///
    /// # Errors
    /// When HTTP could not carry the name or the value, or S3 no more metadata.
    pub fn set_metadata(&mut self, name: &str, value: impl Into<String>) -> Result<(), AttributeError> {
        if name.is_empty() {
            return Err(AttributeError::Name(name.to_owned()));
        }
        self.set(&format!("{METADATA}{name}"), value)?;
        let metadata = self.0.iter().filter_map(|(n, v)| Some(n.strip_prefix(METADATA)?.len() + v.len()));
        match metadata.sum() {
            size if size > MAX_METADATA_BYTES => Err(AttributeError::MetadataSize(size)),
            _ => Ok(()),
        }
    }

    /// The headers, their names in lower case.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of a header.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.headers().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

/// Names alone: a value may be a secret, as an SSE-C key is.
impl fmt::Debug for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.headers().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_value_takes_the_place_of_an_earlier() {
        let mut attributes = Attributes::new();
        attributes.set("Content-Type", "a/b").unwrap();
        attributes.set("content-type", "c/d").unwrap();
        assert_eq!(attributes.headers().collect::<Vec<_>>(), [("content-type", "c/d")]);
    }

    #[test]
    fn what_would_break_the_request_is_refused() {
        let mut attributes = Attributes::new();
        assert!(matches!(attributes.set("a b", "x"), Err(AttributeError::Name(_))));
        assert!(matches!(attributes.set_metadata("", "x"), Err(AttributeError::Name(_))));
        for value in ["é", "a\r\nhost: evil", "\0", " led", "trailed "] {
            assert!(matches!(attributes.set_metadata("k", value), Err(AttributeError::Value(_))));
        }
        assert_eq!(attributes, Attributes::new());
    }

    #[test]
    fn metadata_has_a_limit() {
        let mut attributes = Attributes::new();
        attributes.set_metadata("k", "v".repeat(MAX_METADATA_BYTES - 1)).unwrap();
        assert_eq!(attributes.set_metadata("l", ""), Err(AttributeError::MetadataSize(2049)));
    }

    #[test]
    fn no_value_is_shown() {
        let mut attributes = Attributes::new();
        attributes.set_metadata("k", "secret").unwrap();
        assert_eq!(format!("{attributes:?}"), "[\"x-amz-meta-k\"]");
    }
}
