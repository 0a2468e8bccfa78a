//! What to do about a refusal.

use crate::Target;
use crate::access_point::AccessPoint;
use crate::store::{Kind, StoreError};

/// The names of what a policy must allow, for the target and the probe beside it.
pub(super) struct Grants {
    bucket: String,
    objects: String,
}

impl Grants {
    pub(super) fn new(target: &Target) -> Self {
        let (bucket, key) = (target.bucket(), target.key());
        let (bucket, objects) = match bucket.parse::<AccessPoint>() {
            Ok(access_point) => (access_point.to_string(), format!("{access_point}/object")),
            Err(_) => (format!("arn:aws:s3:::{bucket}"), format!("arn:aws:s3:::{bucket}")),
        };
        // A star behind the key covers the probe too.
        Grants { bucket, objects: format!("{objects}/{key}*") }
    }

    /// What to do where `error` came instead of what the action `allows` on objects.
    pub(super) fn on_objects(&self, error: &StoreError, action: &str) -> String {
        advice(error, || format!("allow {action} on {}", self.objects))
    }

    /// The same for an action on the bucket.
    pub(super) fn on_bucket(&self, error: &StoreError, action: &str) -> String {
        advice(error, || format!("allow {action} on {}", self.bucket))
    }
}

/// Whether no other operation would fare better: it is not this one that is refused.
pub(super) fn is_hopeless(error: &StoreError) -> bool {
    let wrong_keys = ["InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "NoSuchBucket"];
    wrong_keys.iter().any(|code| error.has_code(code))
        || matches!(error.kind, Kind::NoCredentials | Kind::ExpiredCredentials | Kind::ClockSkew)
        || (error.is_temporary() && error.status.is_none())
}

fn advice(error: &StoreError, grant: impl FnOnce() -> String) -> String {
    let code = error.code.as_deref().unwrap_or_default();
    let text = match (error.kind, code) {
        (_, code) if code.starts_with("KMS.") || error.message.contains("kms:") => {
            "allow kms:GenerateDataKey and kms:Decrypt on the key that encrypts the bucket"
        }
        (Kind::NoCredentials, _) => {
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or choose a --profile; --no-sign-request does without"
        }
        (Kind::Denied, "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken") => {
            "check the access key and its secret, and that they are for this store"
        }
        (Kind::Denied, _) => return grant(),
        (Kind::ExpiredCredentials, _) => "log in again, or renew the credentials",
        (Kind::ClockSkew, _) => "set this machine's clock",
        (Kind::NotFound, "NoSuchBucket") => {
            "check the bucket's name, --region and --endpoint-url, or create the bucket"
        }
        (Kind::Temporary | Kind::Throttled, _) => {
            "try again later; s3chunk itself tries up to --max-attempts times"
        }
        _ => "ask whoever runs the store whether it knows this operation",
    };
    text.to_owned()
}
