//! What a diagnosis wants to know of the gateway: where it leads, whether anybody answers there, and whose
//! credentials it has.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_credential_types::credential_feature::AwsCredentialFeature as Feature;
use bytes::Bytes;
use http::header::{HOST, PROXY_AUTHORIZATION};
use http::{Method, Request, StatusCode, Uri};
use rusoto_s3::{DeleteObjectRequest, HeadBucketRequest, S3};
use rustls::ProtocolVersion;

use super::connector::{Pulse, addresses};
use super::transport::{Limits, whole};
use super::{Connection, Place, RusotoStore, date, error};
use crate::Target;
use crate::store::{BucketHead, Kind, Operation, StoreError};

/// Where a setting came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The [`Connection`] says it.
    Asked,
    /// This variable of the environment says it.
    Variable(&'static str),
    /// The AWS files say it, or a service of the machine.
    Surroundings,
    /// Nothing says it.
    Assumed,
}

/// Where requests for a bucket go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// The endpoint's URL.
    pub url: String,
    /// Who named it.
    pub url_from: Origin,
    /// The host that is connected to.
    pub host: String,
    /// Whether the bucket is part of the host's name.
    pub is_virtual: bool,
    /// The region that requests are signed for.
    pub region: String,
    /// Who named it.
    pub region_from: Origin,
    /// Host and port of the proxy in between.
    pub proxy: Option<String>,
    /// Whether any certificate is taken.
    pub trusts_anyone: bool,
}

/// What the answer to a first request tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The version of TLS; `None` for plain HTTP.
    pub tls: Option<String>,
    /// Seconds that the store's clock is ahead of ours, where it tells.
    pub clock_ahead: Option<i64>,
}

/// Whose credentials requests are signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Where they come from, for a person.
    pub source: String,
    /// The access key's id, all but its end hidden.
    pub access_key_id: String,
    /// When they end.
    pub expires: Option<SystemTime>,
}

/// Who named the endpoint and the region.
#[derive(Clone, Copy)]
pub(super) struct Origins {
    url: Origin,
    region: Origin,
}

impl Origins {
    /// Returns the origins of what `connection` asks for, where surroundings named a region or a URL.
    pub(super) fn of(connection: &Connection, region_found: bool, url_found: bool) -> Self {
        Origins {
            url: origin(
                connection.endpoint_url.is_some(),
                ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"],
                url_found,
            ),
            region: origin(connection.region.is_some(), ["AWS_REGION", "AWS_DEFAULT_REGION"], region_found),
        }
    }
}

fn origin(asked: bool, variables: [&'static str; 2], found: bool) -> Origin {
    let set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    match variables.into_iter().find(set) {
        _ if asked => Origin::Asked,
        _ if !found => Origin::Assumed,
        Some(variable) => Origin::Variable(variable),
        None => Origin::Surroundings,
    }
}

impl RusotoStore {
    /// Returns where requests for a bucket go. Nothing is sent.
    ///
    /// # Errors
    /// When no address can be made of the bucket's name.
    pub fn outlook(&self, bucket: &str) -> Result<Outlook, StoreError> {
        let (place, label, uri) = self.place_and_address(bucket)?;
        let connector = self.0.transport.connector();
        Ok(Outlook {
            url: place.endpoint.url(),
            url_from: self.0.origins.url,
            host: uri.host().unwrap_or_default().to_owned(),
            is_virtual: place.endpoint.is_virtual(&label),
            region: place.region,
            region_from: self.0.origins.region,
            proxy: connector.proxy(&uri),
            trusts_anyone: connector.trusts_anyone(),
        })
    }

    /// Looks up a host's addresses, as connections do.
    ///
    /// # Errors
    /// When there are none, or nobody who knows can be asked.
    pub async fn addresses(&self, host: &str) -> std::io::Result<Vec<IpAddr>> {
        addresses(host).await
    }

    /// Asks for the bucket without a signature, to see whether anybody answers, whatever it is.
    ///
    /// # Errors
    /// When nobody does, or a proxy wants credentials.
    pub async fn reach(&self, bucket: &str) -> Result<Reached, StoreError> {
        let refused = |why: &str| StoreError::new(Operation::HeadBucket, Kind::Refused, why);
        let (_, _, uri) = self.place_and_address(bucket)?;
        let host = uri.authority().map(ToString::to_string).unwrap_or_default();
        let proxy = self.0.transport.proxy_authorization(&uri);
        let mut request = Request::builder().method(Method::HEAD).uri(uri).header(HOST, host);
        if let Some(authorization) = proxy {
            request = request.header(PROXY_AUTHORIZATION, authorization);
        }
        let request = request.body(whole(Bytes::new())).map_err(|_| refused("no request"))?;
        let limits = Limits { stall: self.0.timeouts.stall, fresh: true };
        let answer = self.0.transport.send(request, limits).await;
        let answer = answer.map_err(|broken| error::of_transport(Operation::HeadBucket, &broken))?;
        if answer.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            return Err(refused("the proxy wants a user name and a password"));
        }
        self.0.learn_time(answer.headers());
        let told = date(answer.headers(), "date");
        let pulse = answer.extensions().get::<Arc<Pulse>>();
        Ok(Reached {
            tls: pulse.and_then(|pulse| version(pulse.tls?)),
            clock_ahead: told.map(|_| self.clock_ahead()),
        })
    }

    /// Seconds that the store's clock is ahead of ours, as far as is known.
    fn clock_ahead(&self) -> i64 {
        self.0.clock_offset.load(Relaxed)
    }

    /// Returns whose credentials requests are signed with; `None` where they are not.
    ///
    /// # Errors
    /// When there are no credentials.
    pub async fn identity(&self) -> Result<Option<Identity>, StoreError> {
        let found = self.0.keyring.credentials(SystemTime::now()).await;
        let credentials =
            found.map_err(|why| StoreError::new(Operation::HeadBucket, Kind::NoCredentials, why))?;
        Ok(credentials.map(|credentials| Identity {
            source: source(&credentials, self.0.keyring.profile().as_deref()),
            access_key_id: masked(credentials.access_key_id()),
            expires: credentials.expiry(),
        }))
    }

    /// Where requests for a bucket go, the bucket as an address names it, and that address.
    fn place_and_address(&self, bucket: &str) -> Result<(Place, String, Uri), StoreError> {
        let refused = |why| StoreError::new(Operation::HeadBucket, Kind::Refused, why);
        let (place, label) = self.0.place_of(bucket).map_err(refused)?;
        let uri = place.endpoint.uri(&label, "", std::iter::empty()).map_err(refused)?;
        Ok((place, label, uri))
    }

    /// HeadBucket.
    pub(super) async fn look_at_bucket(&self, bucket: &str) -> Result<BucketHead, StoreError> {
        let call = self.new_call(Operation::HeadBucket, bucket);
        let ((), seen) = self
            .call(call, |client| async move {
                client
                    .head_bucket(HeadBucketRequest { bucket: bucket.to_owned(), ..Default::default() })
                    .await
            })
            .await?;
        Ok(BucketHead { region: error::text(&seen.headers, "x-amz-bucket-region") })
    }

    /// DeleteObject.
    pub(super) async fn remove_object(
        &self,
        target: &Target,
        version_id: Option<&str>,
    ) -> Result<(), StoreError> {
        let call = self.new_call(Operation::DeleteObject, target.bucket());
        let removed = self.call(call, |client| async move {
            let input = DeleteObjectRequest {
                bucket: target.bucket().to_owned(),
                key: target.key().to_owned(),
                version_id: version_id.map(str::to_owned),
                ..DeleteObjectRequest::default()
            };
            client.delete_object(input).await
        });
        removed.await.map(|_| ())
    }
}

/// A version of TLS, say 1.3.
fn version(version: ProtocolVersion) -> Option<String> {
    Some(version.as_str()?.strip_prefix("TLSv")?.replace('_', "."))
}

/// All but the last four characters hidden; the whole of a short id, of which four would be too much.
fn masked(access_key_id: &str) -> String {
    let end = access_key_id.char_indices().rev().nth(3).map(|(at, _)| &access_key_id[at..]);
    match end {
        Some(end) if access_key_id.len() >= 12 => format!("****{end}"),
        _ => "****".to_owned(),
    }
}

fn source(credentials: &Credentials, profile: Option<&str>) -> String {
    let features = credentials.get_property::<Vec<Feature>>().map(Vec::as_slice).unwrap_or_default();
    let has = |any: &[Feature]| any.iter().any(|feature| features.contains(feature));
    let of_profile = match profile {
        Some(name) => format!("the profile {name}"),
        None => "the default profile".to_owned(),
    };
    if has(&[Feature::CredentialsEnvVars]) {
        "the environment (AWS_ACCESS_KEY_ID)".to_owned()
    } else if has(&[Feature::CredentialsSso, Feature::CredentialsProfileSso]) {
        format!("{of_profile}, by SSO")
    } else if has(&[Feature::CredentialsProcess, Feature::CredentialsProfileProcess]) {
        format!("{of_profile}, by credential_process")
    } else if has(&[
        Feature::CredentialsEnvVarsStsWebIdToken,
        Feature::CredentialsProfileStsWebIdToken,
        Feature::CredentialsStsAssumeRoleWebId,
    ]) {
        "a web identity token".to_owned()
    } else if has(&[Feature::CredentialsStsAssumeRole]) {
        format!("{of_profile}, by a role that is assumed")
    } else if has(&[Feature::CredentialsImds]) {
        "the instance's service (IMDS)".to_owned()
    } else if has(&[Feature::CredentialsHttp]) {
        "the container's service".to_owned()
    } else if features.is_empty() {
        "the program itself".to_owned()
    } else {
        of_profile
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_access_key_just_the_end_is_shown() {
        assert_eq!(masked("AKIAIOSFODNN7EXAMPLE"), "****MPLE");
        for short in ["", "a", "minioadmin", "kéyé"] {
            assert_eq!(masked(short), "****", "{short}");
        }
    }
}
