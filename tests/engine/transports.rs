//! The engine over TCP, over TLS and through contexts: proxies in front of the real one's socket.

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bollard::Docker;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{CreateContainerOptions, RemoveContainerOptions, StartContainerOptions};
use futures_util::FutureExt;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use taskava::diag::Error;
use taskava::engine::Engine;
use taskava::engine::connect::ConnectOptions;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto::ring};

/// Listens on a free port and passes every connection on to the engine. Returns the port.
async fn proxy(tls: Option<TlsAcceptor>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(pass_on(client, tls.clone()));
        }
    });
    port
}

async fn pass_on(mut client: TcpStream, tls: Option<TlsAcceptor>) {
    let mut engine = UnixStream::connect("/var/run/docker.sock").await.expect("the engine");
    // How a connection ends is what the tests are about, on the other side.
    let _ = match tls {
        None => tokio::io::copy_bidirectional(&mut client, &mut engine).await,
        Some(tls) => match tls.accept(client).await {
            Ok(mut client) => tokio::io::copy_bidirectional(&mut client, &mut engine).await,
            Err(error) => Err(error),
        },
    };
}

/// An authority, with the certificates it gave to an engine and to a client.
struct Authority {
    ca: String,
    server: (String, String),
    client: (String, String),
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = || KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, key()).expect("an authority");
        let issue = |name: &str| {
            let key = key();
            let params = CertificateParams::new([name.to_owned()]).expect("a name");
            (params.signed_by(&key, &issuer).expect("a certificate").pem(), key.serialize_pem())
        };
        Self { server: issue("127.0.0.1"), client: issue("client"), ca: issuer.pem() }
    }

    /// What an engine with `--tlsverify` does: it wants a client certificate of this authority.
    fn acceptor(&self) -> TlsAcceptor {
        let provider = Arc::new(ring::default_provider());
        let certificate = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(certificate(&self.ca)).expect("an authority");
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
        let key = PrivateKeyDer::from_pem_slice(self.server.1.as_bytes()).expect("a key");
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("protocol versions")
            .with_client_cert_verifier(clients.expect("a verifier"))
            .with_single_cert(vec![certificate(&self.server.0)], key);
        TlsAcceptor::from(Arc::new(config.expect("a server")))
    }

    /// Writes what a client needs, under the names the `docker` command gives to it.
    fn write(&self, directory: &Path) {
        std::fs::create_dir_all(directory).expect("a directory");
        for (name, pem) in [("ca", &self.ca), ("cert", &self.client.0), ("key", &self.client.1)] {
            std::fs::write(directory.join(name).with_extension("pem"), pem).expect("a file");
        }
    }
}

/// A directory like `~/.docker`, with one context called `remote`.
fn store(host: &str, skip_verify: bool, authority: Option<&Authority>) -> (TempDir, PathBuf) {
    // printf remote | sha256sum
    const ID: &str = "b71199ebd070b36beab7317920c2c2f1d777df8d05e5527d8458fda57cb17a7a";
    let directory = tempfile::tempdir().expect("a directory");
    let contexts = directory.path().join("contexts");
    let endpoint = serde_json::json!({ "Host": host, "SkipTLSVerify": skip_verify });
    let meta = serde_json::json!({ "Name": "remote", "Metadata": {}, "Endpoints": { "docker": endpoint } });
    std::fs::create_dir_all(contexts.join("meta").join(ID)).expect("a directory");
    std::fs::write(contexts.join("meta").join(ID).join("meta.json"), meta.to_string()).expect("a file");
    let material = contexts.join("tls").join(ID).join("docker");
    if let Some(authority) = authority {
        authority.write(&material);
    }
    (directory, material)
}

fn at(address: impl Into<String>) -> ConnectOptions {
    ConnectOptions { env_host: Some(address.into()), ..ConnectOptions::default() }
}

async fn found(options: &ConnectOptions) -> Engine {
    let engine = Engine::connect(options).await.expect("an engine");
    engine.containers("hosts-test").await.expect("an answer");
    engine
}

async fn refused(options: &ConnectOptions) -> Error {
    let error = Engine::connect(options).await.expect_err("no engine");
    assert_eq!(error.kind.exit_code(), 3, "{error}");
    assert!(!error.hints.is_empty(), "{error} names no remedy");
    error
}

#[tokio::test]
async fn an_engine_is_reached_over_its_socket_and_over_tcp() {
    let local = found(&at("unix:///var/run/docker.sock")).await;
    assert_eq!(local.about.host, "127.0.0.1");
    let port = proxy(None).await;
    let remote = found(&at(format!("tcp://localhost:{port}"))).await;
    assert_eq!(remote.about.host, "127.0.0.1");
    assert!(!remote.about.container_network, "addresses behind tcp may be of another machine");
    assert_eq!(remote.about.version, local.about.version);
    found(&at(format!("http://127.0.0.1:{port}"))).await;
}

#[tokio::test]
async fn tls_needs_the_right_authority_and_a_client_certificate() {
    let authority = Authority::new("ours");
    let port = proxy(Some(authority.acceptor())).await;
    let directory = tempfile::tempdir().expect("a directory");
    authority.write(directory.path());
    let options = ConnectOptions {
        tls_verify: true,
        cert_path: Some(directory.path().into()),
        ..at(format!("tcp://127.0.0.1:{port}"))
    };
    found(&options).await;

    let wrong_name = ConnectOptions { env_host: Some(format!("tcp://localhost:{port}")), ..options.clone() };
    let error = refused(&wrong_name).await.to_string();
    assert!(error.contains("certificate not valid for name"), "{error}");

    let other = tempfile::tempdir().expect("a directory");
    Authority::new("other").write(other.path());
    let error = refused(&ConnectOptions { cert_path: Some(other.path().into()), ..options.clone() }).await.to_string();
    assert!(error.contains("UnknownIssuer"), "{error}");

    for name in ["cert.pem", "key.pem"] {
        std::fs::remove_file(directory.path().join(name)).expect("a file");
    }
    let error = refused(&options).await.to_string();
    assert!(error.contains("CertificateRequired"), "{error}");
}

#[tokio::test]
async fn tls_on_one_side_only_is_told() {
    let authority = Authority::new("ours");
    let (plain, secure) = (proxy(None).await, proxy(Some(authority.acceptor())).await);
    let directory = tempfile::tempdir().expect("a directory");
    authority.write(directory.path());
    let tls =
        ConnectOptions { tls_verify: true, cert_path: Some(directory.path().into()), ..ConnectOptions::default() };
    for options in [
        at(format!("tcp://127.0.0.1:{secure}")),
        ConnectOptions { env_host: at(format!("tcp://127.0.0.1:{plain}")).env_host, ..tls },
    ] {
        let error = refused(&options).await;
        assert!(error.hints.iter().any(|hint| hint.contains("DOCKER_TLS_VERIFY")), "{error}: {:?}", error.hints);
    }
}

#[tokio::test]
async fn a_context_brings_its_own_address_and_certificates() {
    let authority = Authority::new("ours");
    let port = proxy(Some(authority.acceptor())).await;
    let by_name = |directory: &TempDir| ConnectOptions {
        env_context: Some("remote".into()),
        config_dir: directory.path().into(),
        ..ConnectOptions::default()
    };
    let (directory, _) = store(&format!("tcp://127.0.0.1:{port}"), false, Some(&authority));
    found(&by_name(&directory)).await;
    std::fs::write(directory.path().join("config.json"), r#"{"currentContext":"remote"}"#).expect("a file");
    found(&ConnectOptions { env_context: None, ..by_name(&directory) }).await;

    // Without the check of the server, its name and authority don't matter.
    let (directory, material) = store(&format!("tcp://localhost:{port}"), true, Some(&authority));
    std::fs::remove_file(material.join("ca.pem")).expect("a file");
    found(&by_name(&directory)).await;
    let (directory, _) = store("unix:///var/run/docker.sock", false, None);
    found(&by_name(&directory)).await;
}

#[tokio::test]
async fn a_command_in_a_container_is_heard_over_tls() {
    let authority = Authority::new("ours");
    let port = proxy(Some(authority.acceptor())).await;
    let (directory, _) = store(&format!("tcp://127.0.0.1:{port}"), false, Some(&authority));
    let options = ConnectOptions {
        context: Some("remote".into()),
        config_dir: directory.path().into(),
        ..ConnectOptions::default()
    };
    let engine = found(&options).await;

    with_container(async |id| {
        // This call turns its connection into a stream of its own.
        let heard = engine.exec(id, &["echo".into(), "hello".into()]).await.expect("an answer");
        assert_eq!((heard.code, heard.output.as_str()), (0, "hello"));
    })
    .await;
}

#[tokio::test]
async fn addresses_of_containers_are_reached_where_the_engine_says_so() {
    let engine = found(&at("unix:///var/run/docker.sock")).await;
    if !engine.about.container_network {
        return;
    }
    with_container(async |id| {
        let seen = engine.inspect(id).await.expect("an answer").expect("a container");
        let address = *seen.addresses.first().expect("an address");
        // Nothing listens there; a refusal shows that the address was reached.
        let connect = tokio::time::timeout(Duration::from_secs(5), TcpStream::connect((address, 1))).await;
        let error = connect.expect("an answer").expect_err("nothing listens");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    })
    .await;
}

/// Runs a test with a container that idles, and removes it.
async fn with_container(test: impl AsyncFnOnce(&str)) {
    let docker = Docker::connect_with_unix_defaults().expect("an engine");
    let body = ContainerCreateBody {
        image: Some("taskava/busybox:test".into()),
        cmd: Some(vec!["tail".into(), "-f".into(), "/dev/null".into()]),
        ..Default::default()
    };
    let created = docker.create_container(None::<CreateContainerOptions>, body).await;
    let id = created.expect("taskava/busybox:test, which scripts/test makes").id;
    let outcome = AssertUnwindSafe(async {
        docker.start_container(&id, None::<StartContainerOptions>).await.expect("it starts");
        test(&id).await;
    });
    let outcome = outcome.catch_unwind().await;
    let options = RemoveContainerOptions { force: true, v: true, link: false };
    docker.remove_container(&id, Some(options)).await.expect("it goes");
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}
