//! What an error means to a user: its exit code, and what to do about it.

use super::report::{Exit, Usage};
use crate::error::{Cause, Error, Left, Mismatch, Step};
use crate::plan::PlanError;
use crate::source::SourceError;
use crate::store::rusoto::ConnectionError;
use crate::store::{AttributeError, Kind, StoreError};

/// The store's error, where that is the cause.
pub(super) fn store_error(error: &anyhow::Error) -> Option<&StoreError> {
    error.downcast_ref::<Error>()?.store_error()
}

/// The upload that an error leaves.
pub(super) fn left(error: &anyhow::Error) -> Option<&Left> {
    error.downcast_ref::<Error>()?.left.as_deref()
}

/// The exit code that an error asks for.
pub(super) fn exit_of(error: &anyhow::Error) -> Exit {
    if let Some(error) = error.downcast_ref::<Error>() {
        return match &error.cause {
            Cause::Plan(PlanError::StreamTooLong { .. }) => Exit::Failed,
            Cause::Plan(_) => Exit::Usage,
            Cause::Source(_) => Exit::Source,
            Cause::Mismatch(mismatch) if **mismatch == Mismatch::Absent => Exit::Temporary,
            Cause::Mismatch(_) => Exit::Checksum,
            Cause::NoKey => Exit::Usage,
            Cause::Interrupted => Exit::Interrupted,
            Cause::Store(error) => match error.kind {
                Kind::NoCredentials | Kind::Denied | Kind::ExpiredCredentials => Exit::Denied,
                Kind::NotFound => Exit::NotFound,
                Kind::Precondition => Exit::Precondition,
                Kind::Checksum => Exit::Checksum,
                Kind::Throttled | Kind::Temporary => Exit::Temporary,
                Kind::Body => Exit::Source,
                Kind::ClockSkew | Kind::Refused => Exit::Failed,
            },
        };
    }
    if error.is::<SourceError>() {
        Exit::Source
    } else if error.is::<Usage>() || error.is::<AttributeError>() || error.is::<ConnectionError>() {
        Exit::Usage
    } else {
        Exit::Failed
    }
}

/// What to do about an error, where there is something.
pub(super) fn hint(error: &anyhow::Error) -> Option<String> {
    if let Some(SourceError::Special(_)) = error.downcast_ref() {
        return Some("upload what can be read from it as a stream: s3chunk put - TARGET < FILE".into());
    }
    if let Some(SourceError::Folder(_)) = error.downcast_ref() {
        return Some("use --recursive to upload what is in it, or pack it first, say with tar".into());
    }
    let error = error.downcast_ref::<Error>()?;
    if error.step == Step::Diagnose {
        // The findings have said it, and better.
        return None;
    }
    let text = match &error.cause {
        Cause::Plan(PlanError::PartTooSmall { .. }) => "use --chunk-size 5MiB or more",
        Cause::Plan(PlanError::StreamTooLong { .. }) => {
            "use --expect-size, or a larger --chunk-size or --max-parts"
        }
        Cause::Plan(PlanError::PartTooLarge { .. }) => "use --chunk-size 5GiB or less",
        Cause::Source(SourceError::Changed { .. }) => {
            "upload it again when nothing writes to it, or a copy of it"
        }
        Cause::Store(error) => return store_hint(error).map(str::to_owned),
        _ => return None,
    };
    Some(text.to_owned())
}

fn store_hint(error: &StoreError) -> Option<&'static str> {
    Some(match (error.kind, error.code.as_deref().unwrap_or_default()) {
        (Kind::NoCredentials, _) => {
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or choose a --profile; --no-sign-request does without"
        }
        (Kind::Denied, "InvalidAccessKeyId" | "SignatureDoesNotMatch") => {
            "check the access key and its secret, and that they are for this store"
        }
        (Kind::Denied, _) => {
            "the credentials need s3:PutObject and s3:AbortMultipartUpload on this bucket and key"
        }
        (Kind::ExpiredCredentials, _) => "log in again, or renew the credentials",
        (Kind::ClockSkew, _) => "set this machine's clock",
        (Kind::NotFound, "NoSuchBucket") => {
            "check the bucket's name, --region and --endpoint-url, or create the bucket"
        }
        (Kind::Temporary, _) if error.status.is_none() => {
            "check --endpoint-url and the network, or try again later"
        }
        (Kind::Temporary | Kind::Throttled, _) => "try again later",
        (Kind::Refused, _) if error.message.contains("certificate") => {
            "if the store is to be trusted all the same, name its authority's certificate by --ca-bundle"
        }
        (Kind::Checksum, _) => "the bytes were damaged on their way more than once; check memory and network",
        _ => return None,
    })
}
