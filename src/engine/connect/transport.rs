//! Makes the client for an address: Unix socket, named pipe, TCP, TLS. Sends nothing yet.

use std::sync::Arc;
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::candidates::{Address, Tls};

/// How long the head of any answer may take: the last line of defence behind the limits of `connect`.
/// Calls that rightly take longer to begin an answer use `docker.clone().with_timeout(…)`.
const HEAD_LIMIT: Duration = Duration::from_secs(120);

pub(super) fn client(address: &Address) -> anyhow::Result<Docker> {
    let seconds = HEAD_LIMIT.as_secs();
    let docker = match address {
        #[cfg(unix)]
        Address::Unix(path) => Docker::connect_with_unix(&path.to_string_lossy(), seconds, API_DEFAULT_VERSION)?,
        #[cfg(windows)]
        Address::Pipe(path) => Docker::connect_with_named_pipe(path, seconds, API_DEFAULT_VERSION)?,
        Address::Tcp { tls: None, .. } => {
            Docker::connect_with_http(&address.to_string(), seconds, API_DEFAULT_VERSION)?
        }
        Address::Tcp { tls: Some(tls), .. } => with_tls(&address.to_string().replacen("tcp", "https", 1), tls)?,
        other => anyhow::bail!("{other} can't be used on {}", std::env::consts::OS),
    };
    Ok(docker.with_request_modifier(registry_auth_as_base64url))
}

/// Engines decode `X-Registry-Auth` as base64url and take a value they can't decode for no credentials at all, but
/// bollard writes standard base64: without this, some passwords end as "access denied".
fn registry_auth_as_base64url(mut request: BollardRequest) -> BollardRequest {
    for name in ["x-registry-auth", "x-registry-config"] {
        if let Some(value) = request.headers_mut().get_mut(name) {
            let url_safe = value.as_bytes().iter().map(|byte| match byte {
                b'+' => b'-',
                b'/' => b'_',
                other => *other,
            });
            *value = url_safe.collect::<Vec<_>>().try_into().expect("base64 is valid in a header");
            value.set_sensitive(true);
        }
    }
    request
}

/// A client over TLS. bollard's own wants a client certificate and all system roots to be readable, and can't leave out
/// the check of the server.
fn with_tls(address: &str, tls: &Tls) -> anyhow::Result<Docker> {
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls_config(tls)?).https_only().enable_http1().build();
    // As bollard does: no connection is kept, because one the engine is about to close would fail the next call.
    let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
    let send = move |request: BollardRequest| {
        let answer = client.request(request);
        async move { answer.await.map_err(bollard::errors::Error::from) }
    };
    Ok(Docker::connect_with_custom_transport(send, Some(address), HEAD_LIMIT.as_secs(), API_DEFAULT_VERSION)?)
}

/// What a TLS connection is made with.
pub(in crate::engine) fn tls_config(tls: &Tls) -> anyhow::Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let builder = if tls.verify {
        builder.with_root_certificates(roots(tls)?)
    } else {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer(provider)))
    };
    let Some((cert, key)) = &tls.client else { return Ok(builder.with_no_client_auth()) };
    let bad = |name: &str| format!("{} is no PEM file that can be used", tls.directory.join(name).display());
    let cert = certificates(cert).ok_or_else(|| anyhow::anyhow!(bad("cert.pem")))?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| anyhow::anyhow!(bad("key.pem")))?;
    builder.with_client_auth_cert(cert, key).map_err(|error| anyhow::anyhow!("{}: {error}", bad("key.pem")))
}

fn roots(tls: &Tls) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let Some(ca) = &tls.ca else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    let bad = || anyhow::anyhow!("{} holds no certificate that can be used", tls.directory.join("ca.pem").display());
    for certificate in certificates(ca).ok_or_else(bad)? {
        roots.add(certificate).map_err(|_| bad())?;
    }
    Ok(roots)
}

/// The certificates of a PEM text, if there is at least one and all are well-formed.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()?;
    (!all.is_empty()).then_some(all)
}

/// Trusts every server, as `SkipTLSVerify` and `DOCKER_TLS` without `DOCKER_TLS_VERIFY` ask for.
#[derive(Debug)]
pub(crate) struct AnyServer(pub(crate) Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use bollard::body_full;

    use super::*;

    #[test]
    fn registry_credentials_are_sent_url_safe() {
        let request =
            hyper::Request::post("/images/create").header("X-Registry-Auth", "a+b/c=").header("X-Other", "a+b/");
        let request = registry_auth_as_base64url(request.body(body_full("".into())).expect("a request"));
        assert_eq!(request.headers()["x-registry-auth"], "a-b_c=");
        assert!(request.headers()["x-registry-auth"].is_sensitive());
        assert_eq!(request.headers()["x-other"], "a+b/");
    }

    #[test]
    fn pem_files_that_cannot_be_used_are_named() {
        let tls = Tls { ca: Some(b"junk".into()), client: None, verify: true, directory: "/certs".into() };
        let error = tls_config(&tls).expect_err("junk").to_string();
        assert_eq!(error, "/certs/ca.pem holds no certificate that can be used");
        let tls = Tls { ca: None, client: Some((b"junk".into(), b"junk".into())), verify: false, ..tls };
        let error = tls_config(&tls).expect_err("junk").to_string();
        assert_eq!(error, "/certs/cert.pem is no PEM file that can be used");
    }
}
