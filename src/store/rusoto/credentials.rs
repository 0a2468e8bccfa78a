//! Credentials, region and endpoint, from wherever an AWS tool looks for them.
//!
//! aws-config knows the places; this file gives it our transport, and keeps what it found: fetched once
//! for all who wait, anew five minutes before the end, and the old ones for as long as they last.

use std::time::{Duration, SystemTime};

use aws_config::meta::region::ProvideRegion;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_types::service_config::ServiceConfigKey;
use bytes::Bytes;
use tokio::sync::Mutex;

use super::connect::DEFAULT_REGION;
use super::connector::causes;
use super::error::one_line;
use super::transport::{Limits, Transport, whole};

/// How long before their end credentials are fetched anew.
const AHEAD: Duration = Duration::from_secs(5 * 60);

/// How long a service of credentials may be silent, where aws-config says nothing of it.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the environment says.
pub(super) struct Surroundings {
    pub(super) provider: Option<SharedCredentialsProvider>,
    pub(super) region: Option<String>,
    pub(super) endpoint_url: Option<String>,
    pub(super) dual_stack: bool,
    pub(super) fips: bool,
}

/// Looks at the environment, the config and credentials files, and nothing else yet. The instance's
/// own service is asked for a region just where `ask_instance` says so and nothing else names one.
pub(super) async fn look_around(
    transport: &Transport,
    profile: Option<&str>,
    region: Option<&str>,
    ask_instance: bool,
) -> Surroundings {
    let mut loader: ConfigLoader =
        aws_config::defaults(BehaviorVersion::latest()).http_client(Client(transport.clone()));
    if let Some(profile) = profile {
        loader = loader.profile_name(profile);
    }
    let chosen = match region {
        Some(region) => Some(Region::new(region.to_owned())),
        None => configured_region(profile).await,
    };
    // Where the loader is given none, the chain of its credentials asks the instance all the same.
    let made_up = chosen.is_none() && !ask_instance;
    if let Some(region) = chosen.or_else(|| made_up.then(|| Region::from_static(DEFAULT_REGION))) {
        loader = loader.region(region);
    }
    let config = loader.load().await;
    let provider = match profile {
        // A profile that is asked for goes before the environment, and must be there.
        Some(profile) => {
            let surroundings = ProviderConfig::without_region()
                .with_http_client(Client(transport.clone()))
                .with_region(config.region().cloned());
            let files = ProfileFileCredentialsProvider::builder().configure(&surroundings);
            Some(SharedCredentialsProvider::new(files.profile_name(profile).build()))
        }
        None => config.credentials_provider(),
    };
    Surroundings {
        provider,
        region: config.region().filter(|_| !made_up).map(|region| region.as_ref().to_owned()),
        endpoint_url: endpoint_url(&config),
        dual_stack: config.use_dual_stack().unwrap_or_default(),
        fips: config.use_fips().unwrap_or_default(),
    }
}

async fn configured_region(profile: Option<&str>) -> Option<Region> {
    use aws_config::environment::EnvironmentVariableRegionProvider;
    use aws_config::profile::ProfileFileRegionProvider;
    if let Some(region) = EnvironmentVariableRegionProvider::new().region().await {
        return Some(region);
    }
    let mut files = ProfileFileRegionProvider::builder();
    if let Some(profile) = profile {
        files = files.profile_name(profile);
    }
    files.build().region().await
}

/// The endpoint for S3 alone goes before that for every service.
fn endpoint_url(config: &SdkConfig) -> Option<String> {
    let key = ServiceConfigKey::builder()
        .service_id("S3")
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build()
        .ok()?;
    let own = config.service_config().and_then(|services| services.load_config(key));
    own.or_else(|| config.endpoint_url().map(str::to_owned))
}

/// Credentials, kept.
pub(super) struct Keyring {
    source: Source,
    held: Mutex<Held>,
}

/// Where credentials come from.
pub(super) enum Source {
    /// Requests are not signed.
    Nowhere,
    /// These, always.
    Fixed(Credentials),
    /// From wherever an AWS tool looks for them.
    Surroundings {
        /// What carries requests to services of credentials.
        transport: Box<Transport>,
        /// The profile that the user has chosen.
        profile: Option<String>,
        /// The region of such services.
        region: String,
    },
}

#[derive(Default)]
struct Held {
    credentials: Option<Credentials>,
    /// When to look for others, while these are still good.
    renew_at: Option<SystemTime>,
    provider: Option<SharedCredentialsProvider>,
}

impl Keyring {
    /// Returns a keyring that holds no credentials yet. `provider` is what was found in the surroundings.
    pub(super) fn new(source: Source, provider: Option<SharedCredentialsProvider>) -> Self {
        Keyring { source, held: Mutex::new(Held { provider, ..Held::default() }) }
    }

    /// Whether requests are signed.
    pub(super) fn signs(&self) -> bool {
        !matches!(self.source, Source::Nowhere)
    }

    /// The profile that the user has chosen, here or by `AWS_PROFILE`.
    pub(super) fn profile(&self) -> Option<String> {
        let Source::Surroundings { profile, .. } = &self.source else { return None };
        profile.clone().or_else(|| std::env::var("AWS_PROFILE").ok()).filter(|name| !name.is_empty())
    }

    /// Returns credentials that are good at `now`, or `None` where requests are not signed.
    ///
    /// # Errors
    /// Says in one line why none could be had.
    pub(super) async fn credentials(&self, now: SystemTime) -> Result<Option<Credentials>, String> {
        let (transport, profile, region) = match &self.source {
            Source::Nowhere => return Ok(None),
            Source::Fixed(credentials) => return Ok(Some(credentials.clone())),
            Source::Surroundings { transport, profile, region } => (transport, profile, region),
        };
        // Locked while they are fetched, so that one fetch serves all.
        let mut held = self.held.lock().await;
        let good_at = |credentials: &Credentials, time| credentials.expiry().is_none_or(|end| end > time);
        let fresh = held.renew_at.is_none_or(|renew_at| now < renew_at);
        if let Some(credentials) = held.credentials.as_ref().filter(|held| fresh && good_at(held, now)) {
            return Ok(Some(credentials.clone()));
        }
        let provider = match held.provider.take() {
            Some(provider) => Some(provider),
            // A provider has read its files once and for all; what was renewed on disk needs a new one.
            None => look_around(transport, profile.as_deref(), Some(region), false).await.provider,
        };
        let fetched = match &provider {
            Some(provider) => provider.provide_credentials().await,
            None => Err(CredentialsError::not_loaded_no_source()),
        };
        match fetched {
            Ok(fetched) => {
                held.renew_at = fetched.expiry().map(|end| match end.checked_sub(AHEAD) {
                    Some(ahead) if ahead > now => ahead,
                    // Those that live no longer are used for half of what is left.
                    _ => now + end.duration_since(now).unwrap_or_default() / 2,
                });
                held.credentials = Some(fetched.clone());
                Ok(Some(fetched))
            }
            Err(error) => match held.credentials.as_ref().filter(|held| good_at(held, now)) {
                Some(credentials) => Ok(Some(credentials.clone())),
                None => Err(reason(&error, profile.as_deref())),
            },
        }
    }

    /// Forgets these credentials, which a store called expired, so that the next request fetches others.
    pub(super) async fn forget(&self, expired: Option<&Credentials>) {
        let mut held = self.held.lock().await;
        if held.credentials.as_ref() == expired {
            held.credentials = None;
        }
    }
}

fn reason(error: &CredentialsError, profile: Option<&str>) -> String {
    match error {
        CredentialsError::CredentialsNotLoaded(_) if profile.is_some() => {
            format!(
                "the AWS files have no profile {:?}, or no credentials in it",
                profile.unwrap_or_default()
            )
        }
        CredentialsError::CredentialsNotLoaded(_) => {
            "no credentials in the environment, the AWS files, or from a service".to_owned()
        }
        CredentialsError::ProviderTimedOut(_) => "the provider of credentials did not answer".to_owned(),
        _ => one_line(&causes(error)),
    }
}

/// Our transport, as aws-config wants it.
#[derive(Clone)]
struct Client(Transport);

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl HttpClient for Client {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        let stall = settings.read_timeout().unwrap_or(PATIENCE);
        SharedHttpConnector::new(Exchange {
            transport: self.0.clone(),
            stall,
            connect: settings.connect_timeout(),
        })
    }
}

struct Exchange {
    transport: Transport,
    stall: Duration,
    connect: Option<Duration>,
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Exchange")
    }
}

impl HttpConnector for Exchange {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let transport = self.transport.clone();
        let limits = Limits { stall: self.stall, fresh: false };
        // An address that drops packets answers no sooner than this, connection and all.
        let within = self.connect.map_or(Duration::MAX, |connect| connect + self.stall);
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|e| ConnectorError::user(e.into()))?;
            let (mut head, body) = request.into_parts();
            let body = Bytes::copy_from_slice(body.bytes().unwrap_or_default());
            if let Some(host) = head.uri.authority().and_then(|host| host.as_str().parse().ok()) {
                head.headers.entry(http::header::HOST).or_insert(host);
            }
            let sent = transport.send(http::Request::from_parts(head, whole(body)), limits);
            let response = match tokio::time::timeout(within, sent).await {
                Ok(Ok(response)) => response.map(SdkBody::from),
                Ok(Err(error)) => return Err(ConnectorError::io(error.message.into())),
                Err(elapsed) => return Err(ConnectorError::timeout(elapsed.into())),
            };
            HttpResponse::try_from(response).map_err(|e| ConnectorError::other(e.into(), None))
        })
    }
}
