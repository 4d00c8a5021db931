//! The HTTP client of every AWS client: what goes to another machine goes through TLS.
//!
//! In: requests, whoever makes them (S3, and what the default chain asks for credentials: STS, SSO, the
//! machine's own metadata service). Out: their answers, or an error before a byte is sent. Redirects are
//! never followed, so no answer leads elsewhere. Time limits are those of the client that asks.

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder, ConnectorBuilder};
use aws_smithy_runtime_api::client::http::{
    HttpClient as _, HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector,
    http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

use crate::store::uri;

/// How an error of this client is known again.
pub(in crate::store) const NO_CLEAR_TEXT: &str = "NoClearText";

/// Where a machine or container is given its role's credentials, by http and by nothing else: EC2
/// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html>), ECS, EKS Pod Identity
/// (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html>). None leaves the host.
const METADATA_HOSTS: [&str; 5] =
    ["169.254.169.254", "fd00:ec2::254", "169.254.170.2", "169.254.170.23", "fd00:ec2::23"];

/// A client with its own pool of connections; it goes through the proxy that the environment names.
pub(super) fn client() -> SharedHttpClient {
    let inner = Builder::new().build_with_connector_fn(|settings, components| {
        let mut connector =
            ConnectorBuilder::default().tls_provider(Provider::Rustls(CryptoMode::AwsLc));
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        connector.set_proxy_config(Some(ProxyConfig::from_env()));
        connector.build()
    });
    http_client_fn(move |settings, components| {
        SharedHttpConnector::new(Guarded(inner.http_connector(settings, components)))
    })
}

/// Whether a request may go to this address.
pub(super) fn check(address: &str) -> Result<(), String> {
    let metadata = address.strip_prefix("http://").map(uri::host_of_url);
    if metadata.is_some_and(|host| METADATA_HOSTS.contains(&host)) {
        return Ok(());
    }
    uri::check_endpoint(address)
}

#[derive(Debug)]
struct Guarded(SharedHttpConnector);

impl HttpConnector for Guarded {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        match check(request.uri()) {
            Ok(()) => self.0.call(request),
            Err(why) => {
                let error = format!("{NO_CLEAR_TEXT}: {why}").into();
                HttpConnectorFuture::ready(Err(ConnectorError::user(error)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_goes_to_this_machine_and_its_metadata_only() {
        for address in [
            "https://sts.eu-west-1.amazonaws.com/",
            "http://127.0.0.1:8333/bucket/key",
            "http://localhost/",
            "http://169.254.169.254/latest/api/token",
            "http://169.254.170.2/v2/credentials",
            "http://[fd00:ec2::23]/v1/credentials",
        ] {
            assert_eq!(check(address), Ok(()), "{address}");
        }
        for address in [
            "http://sts.eu-west-1.amazonaws.com/",
            "http://192.0.2.1/bucket/key",
            "http://169.254.169.254.example.com/",
            "http://169.254.169.254@example.com/",
            "ftp://127.0.0.1/",
        ] {
            assert!(check(address).is_err(), "{address}");
        }
    }
}
