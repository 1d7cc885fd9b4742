//! Sends signed requests to an emulator in the three protocols of AWS (JSON, query, and S3's own), over persistent
//! connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Method;
use serde_json::Value;

use super::answer::{Answer, AwsError, no_answer, refused};
use super::sigv4::{self, Request, Signer};
use super::xml::{self, Node};
use crate::diag::{Error, ErrorKind, Result};

/// How long an answer may take: LocalStack loads a service when it is asked for the first time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pauses before a request is sent again after an answer that is a fault of the emulator's own: LocalStack answers 500
/// ("deadlock detected by _ModuleLock") while it loads services that are first asked for at the same time, and does what
/// it is asked a moment later. The SDKs of AWS send again after the same answers.
const AGAIN_AFTER: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_millis(400), Duration::from_secs(1), Duration::from_secs(2)];

/// How long an object may take, one way.
const LONG_PATIENCE: Duration = Duration::from_secs(3600);

/// A client of one emulator.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    address: SocketAddr,
    region: String,
    access_key: &'static str,
    on_retry: Arc<dyn Fn(&AwsError) + Send + Sync>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({})", self.address)
    }
}

impl Client {
    /// A client of the emulator at an address.
    ///
    /// # Errors
    /// When the HTTP client can't be set up.
    pub fn new(address: SocketAddr, region: impl Into<String>) -> Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true)
            .connect_timeout(Duration::from_secs(2))
            .timeout(PATIENCE)
            .build()
            .map_err(|error| Error::from_source(ErrorKind::Other, error.into()))?;
        Ok(Self { http, address, region: region.into(), access_key: "test", on_retry: Arc::new(|_| {}) })
    }

    /// The same, which calls `on_retry` with each answer after which a request is sent again.
    #[must_use]
    pub fn on_retry(self, on_retry: impl Fn(&AwsError) + Send + Sync + 'static) -> Self {
        Self { on_retry: Arc::new(on_retry), ..self }
    }

    /// The same with credentials that the account does not know.
    #[must_use]
    pub fn as_stranger(&self) -> Self {
        Self { access_key: "AKIASTRANGER", ..self.clone() }
    }

    /// The region everything is asked in.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Name of something as all of AWS knows it.
    pub fn arn(&self, service: &str, name: &str) -> String {
        format!("arn:aws:{service}:{}:{}:{name}", self.region, crate::model::aws::ACCOUNT)
    }

    /// Tells one request about something from the next; the SDKs make one up too.
    pub fn token(&self, about: &str) -> String {
        sigv4::hex_digest(format!("{about} {}", Timestamp::now().as_nanosecond()).as_bytes())
    }

    /// An action of a service that speaks JSON.
    pub(super) async fn json(&self, api: JsonApi, action: &str, input: &Value) -> Answer<Value> {
        let JsonApi { scope, prefix, version } = api;
        let (target, kind) = (format!("{prefix}.{action}"), format!("application/x-amz-json-{version}"));
        let headers = [("content-type", kind.as_str()), ("x-amz-target", target.as_str())];
        let asked = AwsRequest { service: scope, method: Method::POST, path: "/", query: &[], headers: &headers };
        let body = self.insist(&asked, input.to_string().into_bytes()).await?;
        if body.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&body).map_err(|error| no_answer(&error))
    }

    /// Everything that an action lists, however many pages it takes. `next`: what the token is called in the answer, and in
    /// the question.
    pub(super) async fn pages(
        &self,
        api: JsonApi,
        action: &str,
        mut input: Value,
        list: &str,
        next: (&str, &str),
    ) -> Answer<Vec<Value>> {
        let mut found = Vec::new();
        loop {
            let mut page = self.json(api, action, &input).await?;
            if let Value::Array(listed) = page[list].take() {
                found.extend(listed);
            }
            let token = page[next.0].take();
            // One that is said again would lead nowhere.
            if token.as_str().is_none_or(str::is_empty) || input[next.1] == token {
                return Ok(found);
            }
            input[next.1] = token;
        }
    }

    /// The same with a query protocol. `list` finds in a page what it lists.
    pub(super) async fn query_pages<T>(
        &self,
        api: QueryApi,
        action: &str,
        input: &[(&str, &str)],
        list: impl Fn(Node<'_, '_>) -> Vec<T>,
        next: (&str, &str),
    ) -> Answer<Vec<T>> {
        let (mut found, mut token) = (Vec::new(), String::new());
        loop {
            let mut input = input.to_vec();
            if !token.is_empty() {
                input.push((next.1, &token));
            }
            let page = self.query(api, action, &input).await?;
            let (listed, following) = xml::read(&page, |page| (list(page), xml::text(page, next.0)))?;
            found.extend(listed);
            let following = following.unwrap_or_default();
            if following.is_empty() || following == token {
                return Ok(found);
            }
            token = following;
        }
    }

    /// An action of a service with a query protocol; the answer is XML.
    pub(super) async fn query(&self, api: QueryApi, action: &str, input: &[(&str, &str)]) -> Answer<String> {
        let mut form = vec![("Action", action), ("Version", api.version)];
        form.extend(input);
        let headers = [("content-type", FORM)];
        let asked = AwsRequest { service: api.scope, method: Method::POST, path: "/", query: &[], headers: &headers };
        self.insist(&asked, sigv4::query_string(&form).into_bytes()).await
    }

    /// A request to S3; `path` is not encoded yet.
    pub async fn s3(&self, method: Method, path: &str, query: &[(&str, &str)], body: Vec<u8>) -> Answer<String> {
        self.s3_with(method, path, query, &[], body).await
    }

    /// The same with more headers.
    pub async fn s3_with(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Answer<String> {
        let path = sigv4::encode_path(path);
        self.insist(&AwsRequest { service: S3, method, path: &path, query, headers }, body).await
    }

    /// Asks something that changes nothing: whether the emulator has a service of AWS at all.
    pub async fn question(&self, question: &Question) -> Answer<String> {
        let (path, method) = match question.protocol {
            Protocol::Path => (question.action, Method::GET),
            Protocol::Query { .. } | Protocol::Json { .. } => ("/", Method::POST),
        };
        let (headers, body) = match question.protocol {
            Protocol::Path => (Vec::new(), Vec::new()),
            Protocol::Query { version } => (
                vec![("content-type", FORM.to_owned())],
                sigv4::query_string(&[("Action", question.action), ("Version", version)]).into_bytes(),
            ),
            Protocol::Json { version, prefix, input } => (
                vec![
                    ("content-type", format!("application/x-amz-json-{version}")),
                    ("x-amz-target", format!("{prefix}.{}", question.action)),
                ],
                input.as_bytes().to_vec(),
            ),
        };
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let asked = AwsRequest { service: question.service, method, path, query: &[], headers: &headers };
        self.send(&asked, body).await
    }

    /// A request to S3 whose body, and that of the answer, are not held in memory: `body` is as long as it says.
    pub(super) async fn s3_stream(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        headers: &[(&str, &str)],
        body: Option<(reqwest::Body, u64)>,
    ) -> Answer<reqwest::Response> {
        let path = sigv4::encode_path(path);
        let length = body.as_ref().map(|(_, length)| length.to_string());
        let mut all = headers.to_vec();
        all.extend(length.as_deref().map(|length| ("content-length", length)));
        let asked = AwsRequest { service: S3, method, path: &path, query, headers: &all };
        let request = self.signed(&asked, "UNSIGNED-PAYLOAD").timeout(LONG_PATIENCE);
        let request = body.into_iter().fold(request, |request, (body, _)| request.body(body));
        let response = request.send().await.map_err(|error| no_answer(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(read(Ok(response)).await.err().unwrap_or_else(|| unreachable!("not a success")))
    }

    /// Something of the emulator's own: `/_localstack/health`.
    pub async fn own(&self, path: &str) -> Answer<String> {
        let request = self.http.get(format!("http://{}{path}", self.address));
        read(request.send().await).await
    }

    /// Sends a request, and again when the answer is a fault that may pass.
    async fn insist(&self, asked: &AwsRequest<'_>, body: Vec<u8>) -> Answer<String> {
        for pause in AGAIN_AFTER {
            match self.send(asked, body.clone()).await {
                Err(refused) if refused.may_pass() => (self.on_retry)(&refused),
                answer => return answer,
            }
            tokio::time::sleep(pause).await;
        }
        self.send(asked, body).await
    }

    async fn send(&self, asked: &AwsRequest<'_>, body: Vec<u8>) -> Answer<String> {
        read(self.signed(asked, &sigv4::hex_digest(&body)).body(body).send().await).await
    }

    /// A request without its body, of which `digest` is what the signature says.
    fn signed(&self, asked: &AwsRequest<'_>, digest: &str) -> reqwest::RequestBuilder {
        let time = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let host = self.address.to_string();
        let mut headers = vec![("host", &*host), ("x-amz-date", &*time), ("x-amz-content-sha256", digest)];
        headers.extend(asked.headers);
        let service = asked.service;
        let signer = Signer { access_key: self.access_key, secret_key: "test", region: &self.region, service };
        let (path, query) = (asked.path, asked.query);
        let signed = Request { method: asked.method.as_str(), path, query, headers: &headers, body: digest };
        let authorization = signer.authorization(&signed, &time);
        let query = sigv4::query_string(asked.query);
        let mark = if query.is_empty() { "" } else { "?" };
        let mut request = self.http.request(asked.method.clone(), format!("http://{host}{path}{mark}{query}"));
        for (name, value) in headers.iter().filter(|(name, _)| *name != "host") {
            request = request.header(*name, *value);
        }
        request.header("authorization", authorization)
    }
}

/// The body of a query protocol.
const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// A request that changes nothing, of any service of AWS.
#[derive(Debug, Clone, Copy)]
pub struct Question {
    /// The service as it stands in the scope of a signature, by which the emulators recognise the service.
    pub service: &'static str,
    /// Which action; of [`Protocol::Path`] the path.
    pub action: &'static str,
    /// How it is asked.
    pub protocol: Protocol,
}

/// How a service of AWS is asked.
#[derive(Debug, Clone, Copy)]
pub enum Protocol {
    /// A form; the answer is XML.
    Query {
        /// Version of the API.
        version: &'static str,
    },
    /// JSON.
    Json {
        /// Of the protocol.
        version: &'static str,
        /// What stands before the action.
        prefix: &'static str,
        /// What has to be said.
        input: &'static str,
    },
    /// `GET` of a path.
    Path,
}

/// One request, before it is signed.
struct AwsRequest<'a> {
    /// In the scope of the signature.
    service: &'a str,
    method: Method,
    path: &'a str,
    query: &'a [(&'a str, &'a str)],
    headers: &'a [(&'a str, &'a str)],
}

/// S3 in the scope of a signature.
const S3: &str = "s3";

/// A service of AWS that speaks JSON.
#[derive(Debug, Clone, Copy)]
pub(super) struct JsonApi {
    /// In the scope of a signature, by which the emulators recognise the service.
    pub(super) scope: &'static str,
    /// What stands before an action.
    pub(super) prefix: &'static str,
    /// Version of the protocol.
    pub(super) version: &'static str,
}

/// A service of AWS that takes a form and answers with XML.
#[derive(Debug, Clone, Copy)]
pub(super) struct QueryApi {
    /// In the scope of a signature, by which the emulators recognise the service.
    pub(super) scope: &'static str,
    /// Version of the API.
    pub(super) version: &'static str,
}

/// Longest answer that is read whole, in bytes.
const LONGEST: usize = 64 << 20;

/// All of an answer.
pub(super) async fn whole(mut response: reqwest::Response) -> Answer<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| no_answer(&error))? {
        body.extend_from_slice(&piece);
        if body.len() > LONGEST {
            let too_large = format!("it answers with more than {} MiB", LONGEST >> 20);
            return Err(no_answer(&std::io::Error::other(too_large)));
        }
    }
    Ok(body)
}

async fn read(response: reqwest::Result<reqwest::Response>) -> Answer<String> {
    let response = response.map_err(|error| no_answer(&error))?;
    let status = response.status();
    let body = String::from_utf8_lossy(&whole(response).await?).into_owned();
    if status.is_success() { Ok(body) } else { Err(refused(status.as_u16(), &body)) }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    const STATUSES: JsonApi = JsonApi { scope: "sqs", prefix: "AmazonSQS", version: "1.0" };

    /// What comes of a request that is answered with these statuses in turn, and how many answers were called passing.
    async fn asked(statuses: &'static [u16]) -> (Answer<Value>, usize) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let serving = tokio::spawn(async move {
            for status in statuses {
                let (mut stream, _) = listener.accept().await.expect("a client");
                let _ = stream.read(&mut [0; 4096]).await;
                if *status == 0 {
                    continue;
                }
                let body = r#"{"message": "deadlock detected by _ModuleLock('moto.iam.policy_validation')"}"#;
                let answer =
                    format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
                stream.write_all(answer.as_bytes()).await.expect("an answer");
            }
        });
        let passing = Arc::new(Mutex::new(0));
        let counted = passing.clone();
        let client = Client::new(address, "eu-central-1").expect("a client");
        let client = client.on_retry(move |_| *counted.lock().expect("no panic") += 1);
        let answer = client.json(STATUSES, "ListQueues", &Value::Null).await;
        // Whatever was to be answered was asked.
        serving.await.expect("each is asked for");
        let passing = *passing.lock().expect("no panic");
        (answer, passing)
    }

    #[tokio::test]
    async fn a_fault_that_passes_is_asked_again_and_a_refusal_is_not() {
        let (answer, passing) = asked(&[500, 503, 200]).await;
        assert!(answer.is_ok() && passing == 2, "{answer:?}");
        let (answer, passing) = asked(&[0, 200]).await;
        assert!(answer.is_ok() && passing == 1, "a connection that is closed: {answer:?}");
        let (answer, passing) = asked(&[500, 502, 503, 504, 500]).await;
        assert!(answer.is_err_and(|refused| refused.status == 500) && passing == 4);
        for refusal in [&[400], &[404], &[501]] {
            let (answer, passing) = asked(refusal).await;
            assert!(answer.is_err() && passing == 0);
        }
    }
}
