//! The options of `put` that describe the object.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use clap::Args;
use clap::builder::{FalseyValueParser, NonEmptyStringValueParser, PathBufValueParser, TypedValueParser};

use super::date::{Date, date, future};
use super::object_values::{customer_key, grantees, kms_context, redirect, storage_class, tagging};
use super::values::pair;
use crate::store::rusoto::CustomerKey;
use crate::store::{AttributeError, Attributes};

/// Access rules that S3 has names for.
const CANNED_ACLS: [&str; 7] = [
    "private",
    "public-read",
    "public-read-write",
    "authenticated-read",
    "aws-exec-read",
    "bucket-owner-read",
    "bucket-owner-full-control",
];

/// Bytes of a file that tell its type.
pub(in crate::cli) const HEAD: u64 = 8 * 1024;

/// What is said of the object.
#[derive(Debug, Args)]
#[command(next_help_heading = "Object")]
pub(super) struct ObjectArgs {
    /// Media type; guessed from the source's name, else from its first bytes, where it is not given
    #[arg(long, env = "S3CHUNK_CONTENT_TYPE", value_name = "TYPE", value_parser = NonEmptyStringValueParser::new())]
    content_type: Option<String>,
    /// How caches may keep it, say "max-age=3600"
    #[arg(long, env = "S3CHUNK_CACHE_CONTROL", value_name = "DIRECTIVES", value_parser = NonEmptyStringValueParser::new())]
    cache_control: Option<String>,
    /// How a browser is to show it, say 'attachment; filename="a.pdf"'
    #[arg(long, env = "S3CHUNK_CONTENT_DISPOSITION", value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    content_disposition: Option<String>,
    /// How the bytes are packed already, say gzip; they are sent as they are
    #[arg(long, env = "S3CHUNK_CONTENT_ENCODING", value_name = "CODING", value_parser = NonEmptyStringValueParser::new())]
    content_encoding: Option<String>,
    /// Language that it is in, say en or de-CH
    #[arg(long, env = "S3CHUNK_CONTENT_LANGUAGE", value_name = "LANGUAGE", value_parser = NonEmptyStringValueParser::new())]
    content_language: Option<String>,
    /// When caches should ask for it anew: a date, say 2030-01-31, 2030-01-31T12:00:00Z or as in HTTP
    #[arg(long, env = "S3CHUNK_EXPIRES", value_name = "DATE", value_parser = date)]
    expires: Option<Date>,
    /// User-defined metadata
    #[arg(long, env = "S3CHUNK_METADATA", value_name = "KEY=VALUE,…", value_delimiter = ',', value_parser = pair)]
    metadata: Vec<(String, String)>,
    /// Tags, at most 10; special characters percent-encoded, as in a URL's query
    #[arg(long, env = "S3CHUNK_TAGGING", value_name = "KEY=VALUE&…", value_parser = tagging)]
    tagging: Option<String>,
    /// Who may read or write it, by a name of S3's for such a rule
    #[arg(long, env = "S3CHUNK_ACL", value_name = "ACL", value_parser = CANNED_ACLS, conflicts_with_all = ["grant_read", "grant_read_acp", "grant_write_acp", "grant_full_control"])]
    acl: Option<String>,
    /// Who may read it: id=ACCOUNT, uri=GROUP or emailAddress=ADDRESS, with commas between several
    #[arg(long, env = "S3CHUNK_GRANT_READ", value_name = "WHO", value_parser = grantees)]
    grant_read: Option<String>,
    /// Who may read its access rules
    #[arg(long, env = "S3CHUNK_GRANT_READ_ACP", value_name = "WHO", value_parser = grantees)]
    grant_read_acp: Option<String>,
    /// Who may change its access rules
    #[arg(long, env = "S3CHUNK_GRANT_WRITE_ACP", value_name = "WHO", value_parser = grantees)]
    grant_write_acp: Option<String>,
    /// Who may read it, and read and change its access rules
    #[arg(long, env = "S3CHUNK_GRANT_FULL_CONTROL", value_name = "WHO", value_parser = grantees)]
    grant_full_control: Option<String>,
    /// Storage class, say STANDARD_IA or GLACIER_IR
    #[arg(long, env = "S3CHUNK_STORAGE_CLASS", value_name = "CLASS", value_parser = storage_class)]
    storage_class: Option<String>,
    /// Encryption at the store: AES256, aws:kms or aws:kms:dsse
    #[arg(long, env = "S3CHUNK_SSE", value_name = "ALGORITHM", value_parser = ["AES256", "aws:kms", "aws:kms:dsse"])]
    sse: Option<String>,
    /// KMS key to encrypt with, for --sse aws:kms or aws:kms:dsse
    #[arg(long, env = "S3CHUNK_SSE_KMS_KEY_ID", value_name = "KEY", value_parser = NonEmptyStringValueParser::new())]
    sse_kms_key_id: Option<String>,
    /// What KMS is told of the object, for --sse aws:kms or aws:kms:dsse: names and texts, say
    /// {"project":"x"}
    #[arg(long, env = "S3CHUNK_SSE_KMS_CONTEXT", value_name = "JSON", value_parser = kms_context)]
    sse_kms_context: Option<String>,
    /// Ask KMS less often, by a key of the bucket's; for --sse aws:kms
    #[arg(long, env = "S3CHUNK_BUCKET_KEY", value_parser = FalseyValueParser::new())]
    bucket_key: bool,
    /// Encryption at the store by a key that you keep: a file of 32 raw bytes. Whoever reads the object
    /// needs the same key; https only
    #[arg(long, env = "S3CHUNK_SSE_C_KEY", value_name = "FILE", value_parser = PathBufValueParser::new().try_map(customer_key), conflicts_with = "sse")]
    sse_c_key: Option<CustomerKey>,
    /// Let nobody delete or overwrite this version until --object-lock-retain-until; GOVERNANCE can be
    /// lifted by who may do so, COMPLIANCE by nobody
    #[arg(long, env = "S3CHUNK_OBJECT_LOCK_MODE", value_name = "MODE", value_parser = ["GOVERNANCE", "COMPLIANCE"], requires = "object_lock_retain_until")]
    object_lock_mode: Option<String>,
    /// How long --object-lock-mode holds: a date, say 2030-01-31 or 2030-01-31T12:00:00Z
    #[arg(long, env = "S3CHUNK_OBJECT_LOCK_RETAIN_UNTIL", value_name = "DATE", value_parser = future, requires = "object_lock_mode")]
    object_lock_retain_until: Option<Date>,
    /// Let nobody delete or overwrite this version until the hold is lifted
    #[arg(long, env = "S3CHUNK_OBJECT_LOCK_LEGAL_HOLD", value_name = "STATUS", value_parser = ["ON", "OFF"])]
    object_lock_legal_hold: Option<String>,
    /// Where a bucket that is a website sends who asks for it: a key, after a '/', or a URL
    #[arg(long, env = "S3CHUNK_WEBSITE_REDIRECT", value_name = "TARGET", value_parser = redirect)]
    website_redirect: Option<String>,
}

impl ObjectArgs {
    /// The key of the customer's own.
    pub(super) fn customer_key(&self) -> Option<CustomerKey> {
        self.sse_c_key.clone()
    }

    /// What is said of the object that a source called `name` becomes, which is `file` where it is one.
    ///
    /// # Errors
    /// When it can't be sent.
    pub(super) fn attributes(
        &self,
        name: &Path,
        first: FirstBytes<'_>,
    ) -> Result<Attributes, AttributeError> {
        self.check_encryption()?;
        let mut attributes = Attributes::new();
        let content_type = self.content_type.clone().unwrap_or_else(|| guess(name, first));
        attributes.set("content-type", content_type)?;
        let expires = self.expires.map(|date| date.for_http());
        let retain_until = self.object_lock_retain_until.map(|date| date.to_string());
        let bucket_key = self.bucket_key.then(|| "true".to_owned());
        let optional = [
            ("cache-control", &self.cache_control),
            ("content-disposition", &self.content_disposition),
            ("content-encoding", &self.content_encoding),
            ("content-language", &self.content_language),
            ("expires", &expires),
            ("x-amz-tagging", &self.tagging),
            ("x-amz-acl", &self.acl),
            ("x-amz-grant-read", &self.grant_read),
            ("x-amz-grant-read-acp", &self.grant_read_acp),
            ("x-amz-grant-write-acp", &self.grant_write_acp),
            ("x-amz-grant-full-control", &self.grant_full_control),
            ("x-amz-storage-class", &self.storage_class),
            ("x-amz-server-side-encryption", &self.sse),
            ("x-amz-server-side-encryption-aws-kms-key-id", &self.sse_kms_key_id),
            ("x-amz-server-side-encryption-context", &self.sse_kms_context),
            ("x-amz-server-side-encryption-bucket-key-enabled", &bucket_key),
            ("x-amz-object-lock-mode", &self.object_lock_mode),
            ("x-amz-object-lock-retain-until-date", &retain_until),
            ("x-amz-object-lock-legal-hold", &self.object_lock_legal_hold),
            ("x-amz-website-redirect-location", &self.website_redirect),
        ];
        for (header, value) in optional {
            if let Some(value) = value {
                attributes.set(header, value.as_str())?;
            }
        }
        for (at, (key, value)) in self.metadata.iter().enumerate() {
            if self.metadata[..at].iter().any(|(other, _)| other.eq_ignore_ascii_case(key)) {
                return Err(AttributeError::Together("--metadata names a key twice"));
            }
            attributes.set_metadata(key, value.as_str())?;
        }
        Ok(attributes)
    }

    /// Checks that what is said of a KMS key goes with an encryption by one.
    fn check_encryption(&self) -> Result<(), AttributeError> {
        let sse = self.sse.as_deref().unwrap_or_default();
        let kms = matches!(sse, "aws:kms" | "aws:kms:dsse");
        let wrong = if self.sse_kms_key_id.is_some() && !kms {
            "--sse-kms-key-id goes with --sse aws:kms or aws:kms:dsse alone"
        } else if self.sse_kms_context.is_some() && !kms {
            "--sse-kms-context goes with --sse aws:kms or aws:kms:dsse alone"
        } else if self.bucket_key && sse != "aws:kms" {
            "--bucket-key goes with --sse aws:kms alone"
        } else {
            return Ok(());
        };
        Err(AttributeError::Together(wrong))
    }
}

/// Where the first bytes of a source are to be had.
#[derive(Clone, Copy)]
pub(in crate::cli) enum FirstBytes<'a> {
    /// In this file.
    OfFile(&'a Path),
    /// They are these, as far as they are known.
    Known(&'a [u8]),
}

/// The media type of a source by its name, else by its first bytes.
fn guess(name: &Path, first: FirstBytes<'_>) -> String {
    if let Some(guess) = mime_guess::from_path(name).first_raw() {
        return guess.to_owned();
    }
    let mut head = Vec::new();
    match first {
        FirstBytes::Known(bytes) => head.extend_from_slice(bytes),
        FirstBytes::OfFile(path) => {
            if let Ok(file) = File::open(path)
                && file.take(HEAD).read_to_end(&mut head).is_err()
            {
                head.clear();
            }
        }
    }
    infer::get(&head).map_or("application/octet-stream", |found| found.mime_type()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_guessed_by_the_name_then_by_the_bytes() {
        let folder = std::env::temp_dir().join(format!("s3chunk-types-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
        for (name, bytes, expected) in [
            ("a.json", &b"{}"[..], "application/json"),
            ("a.tar.gz", b"", "application/gzip"),
            ("a.bin", png, "application/octet-stream"),
            ("picture", png, "image/png"),
            ("packed", b"\x1f\x8b\x08", "application/gzip"),
            ("words", b"some words", "application/octet-stream"),
            ("empty", b"", "application/octet-stream"),
        ] {
            let path = folder.join(name);
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(guess(&path, FirstBytes::OfFile(&path)), expected, "{name}");
        }
        // A stream may have the name of a file that it is not.
        assert_eq!(guess(&folder.join("picture"), FirstBytes::Known(b"")), "application/octet-stream");
        assert_eq!(guess(&folder.join("words"), FirstBytes::Known(png)), "image/png");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
