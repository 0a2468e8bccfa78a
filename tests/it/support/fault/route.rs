//! Which operation a request asks for, and of what.

use percent_encoding::percent_decode_str;

use super::http::Head;

/// An operation of S3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    HeadBucket,
    GetBucketLocation,
    ListObjects,
    HeadObject,
    GetObject,
    PutObject,
    DeleteObject,
    /// CreateMultipartUpload.
    Create,
    UploadPart,
    ListParts,
    /// CompleteMultipartUpload.
    Complete,
    /// AbortMultipartUpload.
    Abort,
    /// ListMultipartUploads.
    ListUploads,
    /// Anything else; answered 501.
    Other,
}

/// Query parameters that do not choose another operation.
const PLAIN: [&str; 14] = [
    "x-id",
    "list-type",
    "prefix",
    "delimiter",
    "max-keys",
    "continuation-token",
    "start-after",
    "encoding-type",
    "fetch-owner",
    "partNumber",
    "uploadId",
    "uploads",
    "location",
    "versionId",
];
const PAGING: [&str; 5] =
    ["key-marker", "upload-id-marker", "max-uploads", "part-number-marker", "max-parts"];

/// What a request asks for.
#[derive(Clone, Debug)]
pub struct Route {
    pub op: Op,
    pub bucket: Option<String>,
    pub key: Option<String>,
    /// The parameters, decoded, in the order sent.
    pub query: Vec<(String, String)>,
    pub part: Option<u32>,
    pub upload_id: Option<String>,
}

impl Route {
    /// Reads path-style and virtual-host-style addresses; `buckets` are tried as the beginning of the host name.
    pub fn of(head: &Head, buckets: &[String]) -> Self {
        let query = parse_query(head.raw_query());
        let path = decode(head.path());
        let path = path.strip_prefix('/').unwrap_or(&path);
        let (bucket, key) = match virtual_bucket(head.header("host").unwrap_or_default(), buckets) {
            Some(bucket) => (Some(bucket), path),
            None => match path.split_once('/') {
                Some((bucket, key)) => (Some(bucket.to_owned()), key),
                None => (Some(path.to_owned()), ""),
            },
        };
        let mut route = Self {
            op: Op::Other,
            bucket: bucket.filter(|bucket| !bucket.is_empty()),
            key: (!key.is_empty()).then(|| key.to_owned()),
            part: None,
            upload_id: None,
            query,
        };
        route.part = route.parameter("partNumber").and_then(|n| n.parse().ok());
        route.upload_id = route.parameter("uploadId").map(str::to_owned);
        route.op = route.op_of(&head.method);
        route
    }

    /// Returns the value of a query parameter, empty if it has none.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    fn op_of(&self, method: &str) -> Op {
        let known =
            |name: &str| PLAIN.contains(&name) || PAGING.contains(&name) || name.starts_with("X-Amz-");
        if self.bucket.is_none() || !self.query.iter().all(|(name, _)| known(name)) {
            return Op::Other;
        }
        let has = |name| self.parameter(name).is_some();
        match (method, self.key.is_some()) {
            ("HEAD", false) => Op::HeadBucket,
            ("GET", false) if has("uploads") => Op::ListUploads,
            ("GET", false) if has("location") => Op::GetBucketLocation,
            ("GET", false) => Op::ListObjects,
            ("HEAD", true) => Op::HeadObject,
            ("GET", true) if has("uploadId") => Op::ListParts,
            ("GET", true) => Op::GetObject,
            ("PUT", true) if has("uploadId") || has("partNumber") => Op::UploadPart,
            ("PUT", true) => Op::PutObject,
            ("POST", true) if has("uploads") => Op::Create,
            ("POST", true) if has("uploadId") => Op::Complete,
            ("DELETE", true) if has("uploadId") => Op::Abort,
            ("DELETE", true) => Op::DeleteObject,
            _ => Op::Other,
        }
    }
}

fn virtual_bucket(host: &str, buckets: &[String]) -> Option<String> {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    if name.is_empty() || name.starts_with('[') || name.parse::<std::net::IpAddr>().is_ok() {
        return None;
    }
    let known = buckets.iter().find(|bucket| {
        let after = name.strip_prefix(bucket.as_str());
        after.is_some_and(|after| after.starts_with('.'))
    });
    if let Some(bucket) = known {
        return Some(bucket.clone());
    }
    let (first, _) = name.split_once('.')?;
    Some(name.strip_suffix(".localhost").unwrap_or(first).to_owned())
}

/// Returns the parameters of a raw query, decoded.
pub fn parse_query(raw: &str) -> Vec<(String, String)> {
    let pairs = raw.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let plain = |text: &str| decode(&text.replace('+', " "));
            (plain(name), plain(value))
        })
        .collect()
}

/// Takes percent-encoding off.
pub fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
