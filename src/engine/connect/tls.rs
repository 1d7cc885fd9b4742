//! TLS connections to the engine and to servers of a stack: the only module that uses `rustls`. Without the feature
//! `tls`, `no_tls` replaces it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::candidates::Tls;

/// A connection over TLS.
pub(crate) type Connection = tokio_rustls::client::TlsStream<TcpStream>;

/// A client over TLS. bollard's own wants a client certificate and all system roots to be readable, and can't leave out
/// the check of the server.
pub(super) fn client(address: &str, tls: &Tls, head_limit: Duration) -> anyhow::Result<Docker> {
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls_config(tls)?).https_only().enable_http1().build();
    // As bollard does: no connection is kept, because one the engine is about to close would fail the next call.
    let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
    let send = move |request: BollardRequest| {
        let answer = client.request(request);
        async move { answer.await.map_err(bollard::errors::Error::from) }
    };
    Ok(Docker::connect_with_custom_transport(send, Some(address), head_limit.as_secs(), API_DEFAULT_VERSION)?)
}

/// TLS with an engine over a connection to it.
///
/// # Errors
/// When the files can't be used, or the two do not agree.
pub(in crate::engine) async fn connect(stream: TcpStream, host: &str, tls: &Tls) -> io::Result<Connection> {
    let config = tls_config(tls).map_err(io::Error::other)?;
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// TLS with a server of a stack, whatever its certificate says.
///
/// # Errors
/// When the other side speaks no TLS, or none that can be spoken here.
pub(crate) async fn connect_unverified(stream: TcpStream, address: SocketAddr) -> io::Result<Connection> {
    let tls = Tls { ca: None, client: None, verify: false, directory: PathBuf::new() };
    let config = tls_config(&tls).map_err(io::Error::other)?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::from(address.ip()), stream).await
}

/// Whether what was answered is no TLS.
pub(super) fn is_mismatch(error: &(dyn std::error::Error + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(rustls::Error::InvalidMessage(_)))
}

/// Whether the other side speaks TLS, and only refuses us.
pub(crate) fn is_refusal(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::AlertReceived(_) | rustls::Error::PeerIncompatible(_)))
}

fn tls_config(tls: &Tls) -> anyhow::Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let builder = if tls.verify {
        builder.with_root_certificates(roots(tls)?)
    } else {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer(provider)))
    };
    let Some((cert, key)) = &tls.client else { return Ok(builder.with_no_client_auth()) };
    let bad = |name: &str| format!("{} is not a usable PEM file", tls.directory.join(name).display());
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
    let bad = || anyhow::anyhow!("{} contains no usable certificate", tls.directory.join("ca.pem").display());
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
struct AnyServer(Arc<CryptoProvider>);

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
    use super::*;

    #[test]
    fn pem_files_that_cannot_be_used_are_named() {
        let tls = Tls { ca: Some(b"junk".into()), client: None, verify: true, directory: "/certs".into() };
        let error = tls_config(&tls).expect_err("junk").to_string();
        assert_eq!(error, "/certs/ca.pem contains no usable certificate");
        let tls = Tls { ca: None, client: Some((b"junk".into(), b"junk".into())), verify: false, ..tls };
        let error = tls_config(&tls).expect_err("junk").to_string();
        assert_eq!(error, "/certs/cert.pem is not a usable PEM file");
    }
}
