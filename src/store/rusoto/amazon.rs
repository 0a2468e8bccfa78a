//! AWS's own hosts: partitions, and the endpoints beside the plain one.

use super::endpoint::check_region;
use crate::access_point::AccessPoint;

/// Which of AWS's endpoints to use; the plain one where nothing is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Variants {
    /// By the edge location that is nearest (S3 Transfer Acceleration).
    pub accelerate: bool,
    /// By IPv6 as well as IPv4.
    pub dual_stack: bool,
    /// By the TLS endpoints that are validated by FIPS 140.
    pub fips: bool,
}

/// A partition of AWS: regions with accounts and a domain of their own.
struct Partition {
    name: &'static str,
    domain: &'static str,
}

/// The partitions, as AWS's own clients know them, by how their regions begin.
const PARTITIONS: [(&str, Partition); 8] = [
    ("cn-", Partition { name: "aws-cn", domain: "amazonaws.com.cn" }),
    ("us-gov-", Partition { name: "aws-us-gov", domain: "amazonaws.com" }),
    ("us-iso-", Partition { name: "aws-iso", domain: "c2s.ic.gov" }),
    ("us-isob-", Partition { name: "aws-iso-b", domain: "sc2s.sgov.gov" }),
    ("us-isof-", Partition { name: "aws-iso-f", domain: "csp.hci.ic.gov" }),
    ("eu-isoe-", Partition { name: "aws-iso-e", domain: "cloud.adc-e.uk" }),
    ("eusc-", Partition { name: "aws-eusc", domain: "amazonaws.eu" }),
    ("", COMMERCIAL),
];
const COMMERCIAL: Partition = Partition { name: "aws", domain: "amazonaws.com" };

impl Variants {
    /// Checks that these can be had together, and whether there is an endpoint URL or the bucket is to
    /// stand in the path.
    ///
    /// # Errors
    /// Says what can't.
    pub(super) fn check(self, by_url: bool, by_path: bool) -> Result<(), &'static str> {
        match self {
            _ if by_url && self != Variants::default() => Err(
                "accelerated, dual-stack and FIPS endpoints are AWS's own, and none can be had with an endpoint URL",
            ),
            Variants { accelerate: true, fips: true, .. } => {
                Err("transfer acceleration has no FIPS endpoint; choose one of the two")
            }
            Variants { accelerate: true, .. } if by_path => Err(
                "transfer acceleration wants the bucket in the host name, and path addressing is asked for",
            ),
            _ => Ok(()),
        }
    }

    /// What stands between the service and the region in a host's name.
    fn infixes(self) -> (&'static str, &'static str) {
        (if self.fips { "-fips" } else { "" }, if self.dual_stack { ".dualstack" } else { "" })
    }
}

/// Returns the host of a region's buckets.
///
/// # Errors
/// When the text can't be a region's name, or the region has no such endpoint.
pub(super) fn host(region: &str, variants: Variants) -> Result<String, &'static str> {
    let Partition { name, domain } = partition(region, variants)?;
    let (fips, dual_stack) = variants.infixes();
    Ok(match variants.accelerate {
        true if name != COMMERCIAL.name => return Err("AWS has no transfer acceleration there"),
        true => format!("s3-accelerate{dual_stack}.{domain}"),
        false => format!("s3{fips}{dual_stack}.{region}.{domain}"),
    })
}

/// Returns the host before which an access point's own label stands.
///
/// # Errors
/// When there is no such access point, or no such endpoint of it.
pub(super) fn access_point_host(
    access_point: &AccessPoint,
    variants: Variants,
) -> Result<String, &'static str> {
    let region = access_point.region();
    let Partition { name, domain } = partition(region, variants)?;
    if name != access_point.partition() {
        return Err("the ARN's region is not one of its partition");
    }
    if variants.accelerate {
        return Err("transfer acceleration is for buckets, and not for access points");
    }
    let (fips, dual_stack) = variants.infixes();
    Ok(format!("s3-accesspoint{fips}{dual_stack}.{region}.{domain}"))
}

fn partition(region: &str, variants: Variants) -> Result<Partition, &'static str> {
    check_region(region)?;
    let found = PARTITIONS.into_iter().find(|(start, _)| region.starts_with(start));
    let partition = found.map_or(COMMERCIAL, |(_, partition)| partition);
    match variants.fips && partition.name == "aws-cn" {
        true => Err("AWS has no FIPS endpoints there"),
        false => Ok(partition),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Variants = Variants { accelerate: false, dual_stack: false, fips: false };
    const ACCELERATED: Variants = Variants { accelerate: true, ..PLAIN };
    const DUAL_STACK: Variants = Variants { dual_stack: true, ..PLAIN };
    const FIPS: Variants = Variants { fips: true, ..PLAIN };
    const BOTH: Variants = Variants { dual_stack: true, ..FIPS };

    #[test]
    fn each_endpoint_has_its_host() {
        for (region, variants, expected) in [
            ("eu-west-1", PLAIN, "s3.eu-west-1.amazonaws.com"),
            ("eu-west-1", DUAL_STACK, "s3.dualstack.eu-west-1.amazonaws.com"),
            ("us-east-2", FIPS, "s3-fips.us-east-2.amazonaws.com"),
            ("us-east-2", BOTH, "s3-fips.dualstack.us-east-2.amazonaws.com"),
            ("eu-west-1", ACCELERATED, "s3-accelerate.amazonaws.com"),
            (
                "eu-west-1",
                Variants { dual_stack: true, ..ACCELERATED },
                "s3-accelerate.dualstack.amazonaws.com",
            ),
            ("us-gov-west-1", BOTH, "s3-fips.dualstack.us-gov-west-1.amazonaws.com"),
            ("cn-north-1", DUAL_STACK, "s3.dualstack.cn-north-1.amazonaws.com.cn"),
            ("us-iso-east-1", FIPS, "s3-fips.us-iso-east-1.c2s.ic.gov"),
            ("us-isob-east-1", PLAIN, "s3.us-isob-east-1.sc2s.sgov.gov"),
            ("us-isof-south-1", PLAIN, "s3.us-isof-south-1.csp.hci.ic.gov"),
            ("eu-isoe-west-1", PLAIN, "s3.eu-isoe-west-1.cloud.adc-e.uk"),
            ("eusc-de-east-1", PLAIN, "s3.eusc-de-east-1.amazonaws.eu"),
        ] {
            assert_eq!(host(region, variants).as_deref(), Ok(expected));
        }
        for (region, variants) in [
            ("cn-north-1", FIPS),
            ("cn-north-1", ACCELERATED),
            ("us-gov-west-1", ACCELERATED),
            ("evil.example/", PLAIN),
        ] {
            assert!(host(region, variants).is_err(), "{region} {variants:?}");
        }
    }

    #[test]
    fn an_access_point_has_a_host_in_its_own_region_and_partition() {
        let host = |partition: &str, region: &str, variants| {
            let arn = format!("arn:{partition}:s3:{region}:123456789012:accesspoint/ap");
            access_point_host(&arn.parse().unwrap(), variants)
        };
        let ok = |text: &str| Ok(text.to_owned());
        assert_eq!(host("aws", "eu-west-1", PLAIN), ok("s3-accesspoint.eu-west-1.amazonaws.com"));
        assert_eq!(
            host("aws", "us-east-1", BOTH),
            ok("s3-accesspoint-fips.dualstack.us-east-1.amazonaws.com")
        );
        assert_eq!(host("aws-cn", "cn-north-1", PLAIN), ok("s3-accesspoint.cn-north-1.amazonaws.com.cn"));
        assert!(host("aws", "cn-north-1", PLAIN).is_err());
        assert!(host("aws", "eu-west-1", ACCELERATED).is_err());
    }

    #[test]
    fn what_cannot_be_had_together_is_refused() {
        assert!(PLAIN.check(true, true).is_ok() && BOTH.check(false, true).is_ok());
        assert!(Variants { fips: true, ..ACCELERATED }.check(false, false).is_err());
        assert!(ACCELERATED.check(false, true).is_err() && ACCELERATED.check(false, false).is_ok());
        assert!(DUAL_STACK.check(true, false).is_err() && FIPS.check(true, false).is_err());
    }
}
