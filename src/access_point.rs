//! Access points: other names of a bucket, written as ARNs where a bucket stands.

use std::fmt;
use std::str::FromStr;

/// A bucket's access point: `arn:PARTITION:s3:REGION:ACCOUNT:accesspoint/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AccessPoint {
    partition: String,
    region: String,
    account: String,
    name: String,
}

/// Why an ARN is none of an access point that can be used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArnError {
    /// It lacks a piece, or has one that can't be.
    #[error(
        "an access point is written arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME, the account in 12 digits"
    )]
    Form,
    /// A Multi-Region Access Point, whose requests are signed by SigV4A.
    #[error("a Multi-Region Access Point needs SigV4A signatures; use an access point of one region")]
    MultiRegion,
    /// S3 on Outposts.
    #[error("S3 on Outposts is not supported; use a bucket, or an access point of a bucket")]
    Outposts,
    /// An Object Lambda access point, which takes no uploads.
    #[error("an Object Lambda access point takes no uploads; use the access point behind it")]
    ObjectLambda,
    /// Something else of AWS's.
    #[error("it names no bucket and no access point of one")]
    Other,
}

impl AccessPoint {
    /// Splits `arn:…:accesspoint/NAME/KEY` or `arn:…:accesspoint:NAME/KEY` into access point and key.
    /// Returns `None` for a text that is no ARN.
    ///
    /// # Errors
    /// When it is the ARN of something else.
    pub(crate) fn split(text: &str) -> Option<Result<(Self, &str), ArnError>> {
        text.starts_with("arn:").then(|| Self::read(text))
    }

    fn read(text: &str) -> Result<(Self, &str), ArnError> {
        let mut pieces = text.splitn(6, ':').skip(1);
        let mut next = || pieces.next().ok_or(ArnError::Form);
        let (partition, service, region, account, resource) = (next()?, next()?, next()?, next()?, next()?);
        match service {
            "s3" => {}
            "s3-outposts" => return Err(ArnError::Outposts),
            "s3-object-lambda" => return Err(ArnError::ObjectLambda),
            _ => return Err(ArnError::Other),
        }
        let rest = match resource.strip_prefix("accesspoint") {
            Some(rest) => rest.strip_prefix(['/', ':']).ok_or(ArnError::Form)?,
            None => return Err(ArnError::Other),
        };
        let (name, key) = rest.split_once('/').unwrap_or((rest, ""));
        if region.is_empty() {
            return Err(ArnError::MultiRegion);
        }
        let digits = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
        if !is_label(partition) || !is_label(region) || !digits || !is_label(name) || name.len() > 50 {
            return Err(ArnError::Form);
        }
        let [partition, region, account, name] = [partition, region, account, name].map(str::to_owned);
        Ok((AccessPoint { partition, region, account, name }, key))
    }

    /// The partition of AWS, say `aws` or `aws-cn`.
    pub fn partition(&self) -> &str {
        &self.partition
    }

    /// The region, which requests are signed for.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// What stands first in the host's name: `NAME-ACCOUNT`.
    pub fn host_label(&self) -> String {
        format!("{}-{}", self.name, self.account)
    }
}

impl FromStr for AccessPoint {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, ArnError> {
        match Self::split(text) {
            Some(Ok((access_point, ""))) => Ok(access_point),
            Some(Err(error)) => Err(error),
            _ => Err(ArnError::Form),
        }
    }
}

impl fmt::Display for AccessPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AccessPoint { partition, region, account, name } = self;
        write!(f, "arn:{partition}:s3:{region}:{account}:accesspoint/{name}")
    }
}

/// Whether a text can stand between two dots of a host's name.
fn is_label(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty()
        && text.len() <= 63
        && text.bytes().all(allowed)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_are_one_access_point() {
        let arn = "arn:aws:s3:eu-west-1:123456789012:accesspoint/logs";
        let access_point: AccessPoint = arn.parse().unwrap();
        assert_eq!(access_point.to_string(), arn);
        assert_eq!(access_point.host_label(), "logs-123456789012");
        assert_eq!((access_point.partition(), access_point.region()), ("aws", "eu-west-1"));
        assert_eq!(arn.replace('/', ":").parse(), Ok(access_point));
    }

    #[test]
    fn the_key_is_what_follows_the_name() {
        for separator in ["/", ":"] {
            let text = format!("arn:aws:s3:r:123456789012:accesspoint{separator}ap/a:b//c");
            let (access_point, key) = AccessPoint::split(&text).unwrap().unwrap();
            assert_eq!((access_point.host_label().as_str(), key), ("ap-123456789012", "a:b//c"));
        }
        assert!(AccessPoint::split("bucket/arn:aws").is_none());
    }

    #[test]
    fn other_arns_are_refused_by_what_they_are() {
        let parse = |arn: &str| arn.parse::<AccessPoint>().unwrap_err();
        let outpost = "arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-1/accesspoint/ap";
        assert_eq!(parse(outpost), ArnError::Outposts);
        let lambda = "arn:aws:s3-object-lambda:us-west-2:123456789012:accesspoint/ap";
        assert_eq!(parse(lambda), ArnError::ObjectLambda);
        assert_eq!(parse("arn:aws:s3::123456789012:accesspoint/x.mrap"), ArnError::MultiRegion);
        assert_eq!(parse("arn:aws:s3:::bucket"), ArnError::Other);
        assert_eq!(parse("arn:aws:iam::123456789012:user/me"), ArnError::Other);
        for arn in [
            "arn:",
            "arn:aws:s3:us-west-2:123456789012",
            "arn:aws:s3:us-west-2:123456789012:accesspoint",
            "arn:aws:s3:us-west-2:123456789012:accesspoint/",
            "arn:aws:s3:us-west-2:12345678901:accesspoint/ap",
            "arn:aws:s3:us-west-2:123456789012:accesspoint/Ap",
            "arn:aws:s3:us-west-2:123456789012:accesspoint/-ap",
            "arn:aws:s3:us.west:123456789012:accesspoint/ap",
        ] {
            assert_eq!(parse(arn), ArnError::Form, "{arn}");
        }
    }
}
