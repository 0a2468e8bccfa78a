//! From settings and surroundings to a store: region, endpoint, credentials, trust.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, RwLock};

use aws_credential_types::Credentials;
use http::{HeaderMap, HeaderValue};

use super::amazon::Variants;
use super::credentials::{Keyring, Source, look_around};
use super::customer_key::CustomerKey;
use super::diagnosis::Origins;
use super::endpoint::{Addressing, Endpoint, check_region};
use super::rate::Rate;
use super::tls::{self, Trust};
use super::transport::{Timeouts, Transport};
use super::{Place, RusotoStore, Shared};
use crate::access_point::AccessPoint;

/// The region where nothing names one: AWS's oldest, and what most other stores expect.
pub(super) const DEFAULT_REGION: &str = "us-east-1";

/// Which store, and how to reach it. What is left out comes from the environment, the AWS config and
/// credentials files, or the services of the machine, as in every AWS tool.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// The endpoint's URL.
    pub endpoint_url: Option<String>,
    /// The region to sign for.
    pub region: Option<String>,
    /// The profile in the AWS files.
    pub profile: Option<String>,
    /// Whose credentials to use.
    pub credentials: CredentialSource,
    /// How the bucket is addressed.
    pub addressing: Addressing,
    /// Whether payloads are signed.
    pub payload_signing: PayloadSigning,
    /// A PEM file of further authorities to trust; else that of `AWS_CA_BUNDLE`.
    pub ca_bundle: Option<PathBuf>,
    /// Whether any certificate is taken.
    pub trust_anyone: bool,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// Which of AWS's own endpoints to use, beside those that `AWS_USE_DUALSTACK_ENDPOINT`,
    /// `AWS_USE_FIPS_ENDPOINT` and the profile ask for.
    pub variants: Variants,
    /// The bucket, where just one is meant: whether it has an address is then found out at once.
    pub bucket: Option<String>,
    /// The account, in 12 digits, that the bucket must be of: the store refuses every request otherwise.
    pub expected_bucket_owner: Option<String>,
    /// Whether the requester pays, where the bucket's owner does not.
    pub requester_pays: bool,
    /// The key that objects are encrypted with (SSE-C).
    pub customer_key: Option<CustomerKey>,
    /// Bytes a second that all uploads together send at the most: at least 1024.
    pub limit_rate: Option<NonZeroU64>,
}

/// Whose credentials requests are signed with.
#[derive(Clone, Debug, Default)]
pub enum CredentialSource {
    /// Those that every AWS tool would find.
    #[default]
    Surroundings,
    /// These.
    Static(Credentials),
    /// None: requests go without a signature.
    Anonymous,
}

/// Whether the signature covers the payload, which costs a SHA-256 of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PayloadSigning {
    /// Where nothing else protects it: not over TLS.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Why there is no store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionError {
    /// The endpoint's URL is none.
    #[error("the endpoint {url:?}: {why}")]
    Endpoint {
        /// The URL.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The region's name is none.
    #[error("the region {region:?}: {why}")]
    Region {
        /// The name.
        region: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The endpoint can't be had as asked for.
    #[error("{0}")]
    Variants(&'static str),
    /// The bucket has no address.
    #[error("the bucket {bucket:?}: {why}")]
    Bucket {
        /// The bucket.
        bucket: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The account can't be one.
    #[error("the bucket's owner {0:?}: an account is a number of 12 digits")]
    Owner(String),
    /// A customer's key would be readable on its way.
    #[error(
        "the endpoint {0:?}: a key of one's own is sent with each request, and only over https is it safe"
    )]
    KeyInTheClear(String),
    /// The authorities can't be read.
    #[error("the CA bundle {}: {why}", path.display())]
    CaBundle {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl RusotoStore {
    /// Finds out where the store is and whose credentials to use. Nothing is sent to the store yet.
    ///
    /// # Errors
    /// When a setting is wrong. Missing credentials are an error of the first operation.
    pub async fn connect(connection: &Connection) -> Result<Self, ConnectionError> {
        let by_variable = || std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty());
        let ca_bundle = connection.ca_bundle.clone().or_else(|| by_variable().map(PathBuf::from));
        if let Some(path) = &ca_bundle {
            tls::read_bundle(path).map_err(|why| ConnectionError::CaBundle { path: path.clone(), why })?;
        }
        let trust = match connection.trust_anyone {
            true => Trust::Anyone,
            false => Trust::Authorities(ca_bundle),
        };
        let transport = Transport::new(trust, connection.timeouts);
        // Elsewhere than on AWS the region is a formality, not worth a wait for the instance's service.
        let named = |variable| std::env::var_os(variable).is_some_and(|url| !url.is_empty());
        let on_aws =
            connection.endpoint_url.is_none() && !named("AWS_ENDPOINT_URL") && !named("AWS_ENDPOINT_URL_S3");
        // An ARN's region goes before whatever else names one.
        let access_point = connection.bucket.as_deref().and_then(|bucket| bucket.parse().ok());
        let by_arn = access_point.map(|access_point: AccessPoint| access_point.region().to_owned());
        let region = by_arn.or_else(|| connection.region.clone());
        let found = look_around(&transport, connection.profile.as_deref(), region.as_deref(), on_aws).await;
        let origins = Origins::of(connection, found.region.is_some(), found.endpoint_url.is_some());
        let region = found.region.unwrap_or_else(|| DEFAULT_REGION.to_owned());
        let url = connection.endpoint_url.clone().or(found.endpoint_url).filter(|url| !url.is_empty());
        let variants = Variants {
            dual_stack: connection.variants.dual_stack || found.dual_stack,
            fips: connection.variants.fips || found.fips,
            ..connection.variants
        };
        let by_path = connection.addressing == Addressing::Path;
        variants.check(url.is_some(), by_path).map_err(ConnectionError::Variants)?;
        let place = Place::new(url.as_deref(), region, connection.addressing, variants)?;
        let clear = |url: String| url.parse().is_ok_and(|url| transport.is_in_the_clear(&url));
        if connection.customer_key.is_some() && clear(place.endpoint.url()) {
            return Err(ConnectionError::KeyInTheClear(place.endpoint.url()));
        }
        let source = match &connection.credentials {
            CredentialSource::Surroundings => Source::Surroundings {
                transport: Box::new(transport.clone()),
                profile: connection.profile.clone(),
                region: place.region.clone(),
            },
            CredentialSource::Static(credentials) => Source::Fixed(credentials.clone()),
            CredentialSource::Anonymous => Source::Nowhere,
        };
        let keyring = Keyring::new(source, found.provider);
        let signs_payload = keyring.signs()
            && match connection.payload_signing {
                PayloadSigning::Auto => !place.endpoint.is_tls(),
                PayloadSigning::Always => true,
                PayloadSigning::Never => false,
            };
        let shared = Shared {
            transport,
            keyring,
            place: RwLock::new(place),
            addressing: connection.addressing,
            variants,
            headers: connection.headers()?,
            customer_key: connection.customer_key.clone(),
            origins,
            signs_payload,
            timeouts: connection.timeouts,
            rate: connection.limit_rate.map(Rate::new),
            clock_offset: AtomicI64::new(0),
        };
        if let Some(bucket) = &connection.bucket {
            let wrong = |why| ConnectionError::Bucket { bucket: bucket.clone(), why };
            shared.place_of(bucket).map_err(wrong)?;
        }
        Ok(RusotoStore(Arc::new(shared)))
    }
}

impl Connection {
    /// Returns the connection for this bucket alone.
    #[must_use]
    pub fn to_bucket(self, bucket: &str) -> Self {
        Connection { bucket: Some(bucket.to_owned()), ..self }
    }

    /// What every request carries.
    fn headers(&self) -> Result<HeaderMap, ConnectionError> {
        let mut headers = HeaderMap::new();
        if let Some(owner) = &self.expected_bucket_owner {
            let wrong = || ConnectionError::Owner(owner.clone());
            let is_account = owner.len() == 12 && owner.bytes().all(|b| b.is_ascii_digit());
            let value = HeaderValue::from_str(owner).ok().filter(|_| is_account).ok_or_else(wrong)?;
            headers.insert("x-amz-expected-bucket-owner", value);
        }
        if self.requester_pays {
            headers.insert("x-amz-request-payer", HeaderValue::from_static("requester"));
        }
        Ok(headers)
    }
}

impl Place {
    /// Returns the place that a URL names, or AWS's own in `region`.
    ///
    /// # Errors
    /// When either can't be used.
    pub(super) fn new(
        url: Option<&str>,
        region: String,
        addressing: Addressing,
        variants: Variants,
    ) -> Result<Self, ConnectionError> {
        let no_region = |why| ConnectionError::Region { region: region.clone(), why };
        check_region(&region).map_err(no_region)?;
        let (endpoint, is_aws) = match url {
            Some(url) => {
                let wrong = |why| ConnectionError::Endpoint { url: url.to_owned(), why };
                (Endpoint::parse(url, addressing).map_err(wrong)?, false)
            }
            None => (Endpoint::aws(&region, addressing, variants).map_err(no_region)?, true),
        };
        Ok(Place { endpoint, region, is_aws })
    }
}
