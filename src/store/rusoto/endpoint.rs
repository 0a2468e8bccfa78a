//! Where requests go: the endpoint, and how the bucket is addressed there.

use std::net::IpAddr;

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::amazon::{self, Variants};
use crate::access_point::AccessPoint;

/// How the bucket is named in a request's address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Addressing {
    /// In the host for AWS, in the path elsewhere, and for dotted buckets over TLS, whose names no
    /// certificate covers.
    #[default]
    Auto,
    /// `https://endpoint/bucket/key`.
    Path,
    /// `https://bucket.endpoint/key`.
    Virtual,
}

/// Everything but the characters that RFC 3986 calls unreserved.
const STRICT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same for a key, whose slashes stand as they are.
const KEY: &AsciiSet = &STRICT.remove(b'/');

/// An S3 endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    scheme: Scheme,
    authority: Authority,
    /// A path before every bucket, without a slash at its end; mostly empty.
    prefix: String,
    addressing: Addressing,
}

impl Endpoint {
    /// Reads an endpoint URL, say `http://localhost:9000`.
    ///
    /// # Errors
    /// Says what is wrong with the URL.
    pub(super) fn parse(url: &str, addressing: Addressing) -> Result<Self, &'static str> {
        let uri: Uri = url.parse().map_err(|_| "it is no URL")?;
        let scheme = match uri.scheme_str() {
            Some("http") => Scheme::HTTP,
            Some("https") => Scheme::HTTPS,
            Some(_) => return Err("its scheme is neither http nor https"),
            None => return Err("it has no scheme: http:// or https:// must stand before the host"),
        };
        let authority = uri.authority().ok_or("it names no host")?.clone();
        if authority.as_str().contains('@') {
            return Err("it holds a user name or password, which S3 does not use");
        }
        let after_host = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
        let port = after_host.strip_prefix(':').map(|port| port.parse::<u16>());
        if !matches!(port, None | Some(Ok(1..))) || url.contains('#') {
            return Err("its port is no number from 1 to 65535, or something stands behind it");
        }
        if uri.query().is_some() {
            return Err("it has a query, which no endpoint has");
        }
        let prefix = uri.path().trim_end_matches('/').to_owned();
        let endpoint = Endpoint { scheme, authority, prefix, addressing };
        match addressing {
            Addressing::Virtual => endpoint.by_host(),
            _ => Ok(endpoint),
        }
    }

    /// Returns the AWS endpoint of a region.
    ///
    /// # Errors
    /// When the text can't be a region's name, or the region has no such endpoint.
    pub(super) fn aws(
        region: &str,
        addressing: Addressing,
        variants: Variants,
    ) -> Result<Self, &'static str> {
        // The accelerated host serves no bucket in the path.
        let addressing = if variants.accelerate { Addressing::Virtual } else { addressing };
        Endpoint::parse(&format!("https://{}", amazon::host(region, variants)?), addressing)
    }

    /// Returns the AWS endpoint of an access point, before which its label is to stand.
    ///
    /// # Errors
    /// When there is no such access point, or no such endpoint of it.
    pub(super) fn aws_access_point(
        access_point: &AccessPoint,
        variants: Variants,
    ) -> Result<Self, &'static str> {
        let host = amazon::access_point_host(access_point, variants)?;
        Endpoint::parse(&format!("https://{host}"), Addressing::Virtual)
    }

    /// Returns the same endpoint with every bucket in the host's name.
    ///
    /// # Errors
    /// When nothing can stand before this host.
    pub(super) fn by_host(self) -> Result<Self, &'static str> {
        match self.address().is_some() {
            true => Err("a bucket cannot stand before an IP address; use path addressing"),
            false => Ok(Endpoint { addressing: Addressing::Virtual, ..self }),
        }
    }

    fn address(&self) -> Option<IpAddr> {
        self.authority.host().trim_matches(['[', ']']).parse().ok()
    }

    /// Whether requests are encrypted on their way.
    pub(super) fn is_tls(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// Whether this is a host of AWS's own.
    pub(super) fn is_aws(&self) -> bool {
        let host = self.authority.host();
        let amazon =
            [".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu", ".c2s.ic.gov", ".sc2s.sgov.gov"];
        host.parse::<IpAddr>().is_err() && amazon.iter().any(|end| host.ends_with(end))
    }

    /// The URL, for a person.
    pub(super) fn url(&self) -> String {
        format!("{}://{}{}", self.scheme, self.authority, self.prefix)
    }

    /// Returns the address of a key, or of the bucket itself where the key is empty.
    ///
    /// # Errors
    /// When the bucket can't be part of a host name, as virtual addressing wants.
    pub(super) fn uri<'a>(
        &self,
        bucket: &str,
        key: &str,
        query: impl Iterator<Item = (&'a str, Option<&'a str>)>,
    ) -> Result<Uri, &'static str> {
        let key = utf8_percent_encode(key, KEY);
        let (authority, mut path) = if self.is_virtual(bucket) {
            let host = format!("{bucket}.{}", self.authority);
            let authority = host.parse().map_err(|_| "the bucket cannot stand in a host name")?;
            (authority, format!("{}/{key}", self.prefix))
        } else {
            (self.authority.clone(), format!("{}/{}/{key}", self.prefix, utf8_percent_encode(bucket, STRICT)))
        };
        for (at, (name, value)) in query.enumerate() {
            path.push(if at == 0 { '?' } else { '&' });
            path.extend(utf8_percent_encode(name, STRICT));
            if let Some(value) = value {
                path.push('=');
                path.extend(utf8_percent_encode(value, STRICT));
            }
        }
        let path: PathAndQuery = path.parse().map_err(|_| "the key is too long for an address")?;
        let uri = Uri::builder().scheme(self.scheme.clone()).authority(authority).path_and_query(path);
        uri.build().map_err(|_| "no address can be made of bucket and key")
    }

    /// Whether the bucket stands in the host's name.
    pub(super) fn is_virtual(&self, bucket: &str) -> bool {
        match self.addressing {
            Addressing::Path => false,
            Addressing::Virtual => true,
            Addressing::Auto => {
                self.is_aws() && is_host_label(bucket) && !(self.is_tls() && bucket.contains('.'))
            }
        }
    }
}

/// Whether a host is this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    let name = host.to_ascii_lowercase();
    match name.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => name == "localhost" || name.ends_with(".localhost"),
    }
}

/// Whether a bucket can be part of the name of a host whose certificate covers one label more.
pub(super) fn is_one_label(bucket: &str) -> bool {
    is_host_label(bucket) && !bucket.contains('.')
}

/// Checks that a text can be a region's name, at AWS or elsewhere.
///
/// # Errors
/// When it can't.
pub(super) fn check_region(region: &str) -> Result<(), &'static str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    match !region.is_empty() && region.len() <= 63 && region.chars().all(allowed) {
        true => Ok(()),
        false => Err("it is no name of a region"),
    }
}

/// Whether a bucket's name can be the start of a host name.
fn is_host_label(bucket: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    bucket.len() <= 63
        && bucket.chars().all(allowed)
        && ends(bucket.chars().next())
        && ends(bucket.chars().last())
        && !bucket.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(url: &str, addressing: Addressing, bucket: &str, key: &str) -> String {
        let endpoint = Endpoint::parse(url, addressing).unwrap();
        endpoint.uri(bucket, key, std::iter::empty()).unwrap().to_string()
    }

    #[test]
    fn the_bucket_stands_where_its_store_expects_it() {
        let auto = |url, bucket| uri(url, Addressing::Auto, bucket, "k");
        assert_eq!(auto("https://s3.eu-west-1.amazonaws.com", "b"), "https://b.s3.eu-west-1.amazonaws.com/k");
        assert_eq!(
            auto("https://s3.eu-west-1.amazonaws.com", "b.c"),
            "https://s3.eu-west-1.amazonaws.com/b.c/k"
        );
        assert_eq!(
            auto("https://s3.eu-west-1.amazonaws.com", "Old_1"),
            "https://s3.eu-west-1.amazonaws.com/Old_1/k"
        );
        assert_eq!(auto("http://127.0.0.1:9000", "b"), "http://127.0.0.1:9000/b/k");
        assert_eq!(auto("http://localhost:9000/", "b"), "http://localhost:9000/b/k");
        assert_eq!(auto("https://minio.example/s3/", "b"), "https://minio.example/s3/b/k");
        assert_eq!(uri("http://h:1", Addressing::Virtual, "b", "k"), "http://b.h:1/k");
        assert_eq!(
            uri("https://s3.us-east-1.amazonaws.com", Addressing::Path, "b", "k"),
            "https://s3.us-east-1.amazonaws.com/b/k"
        );
    }

    #[test]
    fn a_bucket_stands_before_the_accelerated_host_whatever_its_name() {
        let variants = Variants { accelerate: true, ..Variants::default() };
        let endpoint = Endpoint::aws("eu-west-1", Addressing::Auto, variants).unwrap();
        let uri = endpoint.uri("b", "k", std::iter::empty()).unwrap();
        assert_eq!(uri, "https://b.s3-accelerate.amazonaws.com/k");
    }

    #[test]
    fn this_machine_is_told_from_others() {
        for host in ["localhost", "a.LOCALHOST", "127.0.0.1", "127.8.9.1", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.example", "10.0.0.1", "[::2]", "notlocalhost", "0.0.0.0"] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn keys_are_encoded_once_and_never_normalised() {
        let path = |key| uri("http://h", Addressing::Path, "b", key);
        assert_eq!(path("a b+c%2F"), "http://h/b/a%20b%2Bc%252F");
        assert_eq!(path("/lead//x/../y/./"), "http://h/b//lead//x/../y/./");
        assert_eq!(path("é?#&=;"), "http://h/b/%C3%A9%3F%23%26%3D%3B");
        assert_eq!(path(&"k".repeat(1024)).len(), "http://h/b/".len() + 1024);
    }

    #[test]
    fn a_query_is_encoded_strictly() {
        let endpoint = Endpoint::parse("http://h", Addressing::Path).unwrap();
        let query = [("prefix", Some("a/b c")), ("uploads", None)];
        let uri = endpoint.uri("b", "", query.into_iter()).unwrap();
        assert_eq!(uri.to_string(), "http://h/b/?prefix=a%2Fb%20c&uploads");
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        for url in [
            "",
            "localhost:9000",
            "h",
            "ftp://h",
            "http://",
            "http://h:0",
            "http://h:",
            "http://h:99999",
            "http://h#x",
            "http://h?x=1",
            "http://u:p@h",
            "http://h h",
        ] {
            assert!(Endpoint::parse(url, Addressing::Auto).is_err(), "{url}");
        }
        assert!(Endpoint::parse("http://[::1]:9000", Addressing::Virtual).is_err());
    }
}
