//! Where an object goes: `bucket/key` or `s3://bucket/key`, the bucket by its name or by an access point's ARN.
//!
//! A key is taken literally. Nothing is normalised, decoded or matched: spaces, `+`, `%`, `//`,
//! `..` and a leading `/` are part of the name, as they are in S3.

use std::fmt;
use std::str::FromStr;

use crate::access_point::{AccessPoint, ArnError};

/// The longest key in bytes of UTF-8 ("Creating object key names", S3 user guide).
pub const MAX_KEY_BYTES: usize = 1024;

/// The longest bucket name in bytes. S3 takes 63; stores of its kin and its own oldest buckets, 255.
const MAX_BUCKET_BYTES: usize = 255;

/// An object's address: a bucket, and a key that may still lack its last piece.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    bucket: String,
    key: String,
}

/// Why a text is no [`Target`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Nothing stands where the bucket's name should.
    #[error("it names no bucket")]
    NoBucket,
    /// The bucket's name has a character that no store allows, or is too long.
    #[error("{0:?} is no bucket name (letters, digits, '.', '-' and '_', at most 255)")]
    Bucket(String),
    /// The bucket is an ARN, and none that can be used.
    #[error("the ARN: {0}")]
    Arn(#[from] ArnError),
    /// The key is longer than [`MAX_KEY_BYTES`].
    #[error("the key has {0} bytes, and S3 takes at most {MAX_KEY_BYTES}")]
    LongKey(usize),
    /// Another scheme than `s3://`.
    #[error("it is a {0}:// URL, and only s3:// is known")]
    Scheme(String),
}

impl Target {
    /// Returns the target of `key` in `bucket`.
    ///
    /// # Errors
    /// When S3 could not hold such a bucket or key.
    pub fn new(bucket: impl Into<String>, key: impl Into<String>) -> Result<Self, TargetError> {
        let (bucket, key) = (bucket.into(), key.into());
        if bucket.is_empty() {
            return Err(TargetError::NoBucket);
        }
        let bucket = match bucket.starts_with("arn:") {
            true => bucket.parse::<AccessPoint>()?.to_string(),
            false => check_name(bucket)?,
        };
        if key.len() > MAX_KEY_BYTES {
            return Err(TargetError::LongKey(key.len()));
        }
        Ok(Target { bucket, key })
    }

    /// The bucket: its name, or the ARN of an access point.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The key; empty, or ending in `/`, where a file's name is still to be appended.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether the key is whole, so that an object can be put there.
    pub fn is_object(&self) -> bool {
        !self.key.is_empty() && !self.key.ends_with('/')
    }

    /// Returns the object that a file called `name` becomes: this target, or below it where it is a
    /// bucket alone or ends in `/`.
    ///
    /// # Errors
    /// When the key grows too long.
    pub fn for_file(&self, name: &str) -> Result<Self, TargetError> {
        if self.is_object() {
            return Ok(self.clone());
        }
        Target::new(self.bucket.clone(), format!("{}{name}", self.key))
    }
}

/// Checks that some store could have a bucket of this name.
fn check_name(bucket: String) -> Result<String, TargetError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    // A bucket of dots alone would be a path segment that clients and proxies resolve away.
    let dots = bucket.chars().all(|c| c == '.');
    match bucket.len() > MAX_BUCKET_BYTES || dots || !bucket.chars().all(allowed) {
        true => Err(TargetError::Bucket(bucket)),
        false => Ok(bucket),
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let rest = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("s3") => rest,
            Some((scheme, _)) if scheme.chars().all(|c| c.is_ascii_alphanumeric()) => {
                return Err(TargetError::Scheme(scheme.to_owned()));
            }
            _ => text,
        };
        if let Some(access_point) = AccessPoint::split(rest) {
            let (access_point, key) = access_point?;
            return Target::new(access_point.to_string(), key);
        }
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        Target::new(bucket, key)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<(String, String), TargetError> {
        text.parse::<Target>().map(|t| (t.bucket, t.key))
    }

    #[test]
    fn both_spellings_name_the_same_object() {
        assert_eq!(parse("b/k/x"), Ok(("b".into(), "k/x".into())));
        assert_eq!(parse("s3://b/k/x"), parse("b/k/x"));
        assert_eq!(parse("S3://b/k/x"), parse("b/k/x"));
    }

    #[test]
    fn keys_are_literal() {
        for key in ["/lead", "a//b", "../x", "./y", "a%2Fb", "a+b c", "ключ", "a://b"] {
            assert_eq!(parse(&format!("b/{key}")), Ok(("b".into(), key.into())));
        }
    }

    #[test]
    fn an_access_point_stands_where_a_bucket_does() {
        let arn = "arn:aws:s3:eu-west-1:123456789012:accesspoint/ap";
        for text in [format!("{arn}/a:b/c"), format!("s3://{}/a:b/c", arn.replace("t/ap", "t:ap"))] {
            assert_eq!(parse(&text), Ok((arn.into(), "a:b/c".into())));
        }
        let target: Target = arn.parse().unwrap();
        assert_eq!(target.for_file("f").unwrap().to_string(), format!("s3://{arn}/f"));
        assert_eq!(target.to_string().parse(), Ok(target));
        assert_eq!(parse("arn:aws:s3:::bucket/key"), Err(TargetError::Arn(ArnError::Other)));
    }

    #[test]
    fn a_file_name_completes_a_bucket_or_a_folder_only() {
        let object = |text: &str| text.parse::<Target>().unwrap().for_file("f.bin").unwrap().key;
        assert_eq!(object("b"), "f.bin");
        assert_eq!(object("b/"), "f.bin");
        assert_eq!(object("b/dir/"), "dir/f.bin");
        assert_eq!(object("b/name"), "name");
        assert_eq!(object("b//"), "/f.bin");
    }

    #[test]
    fn what_no_store_could_hold_is_refused() {
        assert_eq!(parse(""), Err(TargetError::NoBucket));
        assert_eq!(parse("/k"), Err(TargetError::NoBucket));
        assert_eq!(parse("s3:///k"), Err(TargetError::NoBucket));
        assert_eq!(parse("https://b/k"), Err(TargetError::Scheme("https".into())));
        assert_eq!(parse("a b/k"), Err(TargetError::Bucket("a b".into())));
        assert_eq!(parse("../k"), Err(TargetError::Bucket("..".into())));
        assert!(parse(&format!("b/{}", "k".repeat(1024))).is_ok());
        assert_eq!(parse(&format!("b/{}", "k".repeat(1025))), Err(TargetError::LongKey(1025)));
    }

    proptest! {
        #[test]
        fn a_target_survives_being_written_out(bucket in "[a-z0-9][a-z0-9.-]{1,20}[a-z0-9]", key in "\\PC{0,200}") {
            let target = Target::new(bucket, key).unwrap();
            prop_assert_eq!(target.to_string().parse::<Target>().unwrap(), target);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC*") {
            let _ = text.parse::<Target>();
        }
    }
}
