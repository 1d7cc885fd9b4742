//! Sends signed requests to an emulator in the three protocols of AWS (JSON, query, and S3's own), over persistent
//! connections.

use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Method;
use serde_json::Value;

use super::sigv4::{self, Request, Signer};
use super::xml::{self, Node};
use crate::diag::{Error, ErrorKind, Result};

/// How long an answer may take: LocalStack loads a service when it is asked for the first time.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long an object may take, one way.
const LONG_PATIENCE: Duration = Duration::from_secs(3600);

/// What an emulator answered instead of doing it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsError {
    /// HTTP status; 0 when there was no answer.
    pub status: u16,
    /// `NoSuchBucket`, `ResourceNotFoundException`, …
    pub code: String,
    /// In its words.
    pub message: String,
}

impl AwsError {
    /// Whether it says that there is no such thing.
    pub fn is_missing(&self) -> bool {
        let code = self.code.as_str();
        self.status == 404 || code.contains("NotFound") || code.contains("NoSuch") || code.contains("NonExistent")
    }

    /// Whether it says that it can't do this at all.
    pub fn is_unknown(&self) -> bool {
        self.status == 501
    }
}

impl std::fmt::Display for AwsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.status, self.code.is_empty()) {
            (0, _) => write!(f, "it did not answer: {}", self.message),
            (status, true) => write!(f, "it answered {status}: {}", self.message),
            (status, false) => write!(f, "it answered {status} {}: {}", self.code, self.message),
        }
    }
}

/// What an emulator said, or why it would not.
pub type Answer<T> = std::result::Result<T, AwsError>;

/// A client of one emulator.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    address: SocketAddr,
    region: String,
    access_key: &'static str,
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
        Ok(Self { http, address, region: region.into(), access_key: "test" })
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
        let body = self.send(&asked, input.to_string().into_bytes()).await?;
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
        self.send(&asked, sigv4::query_string(&form).into_bytes()).await
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
        self.send(&AwsRequest { service: S3, method, path: &path, query, headers }, body).await
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

/// An error as one of the protocols writes it.
fn refused(status: u16, body: &str) -> AwsError {
    let json: Option<Value> = serde_json::from_str(body).ok();
    let field = |names: &[&str]| {
        let json = json.as_ref()?;
        names.iter().find_map(|name| json[*name].as_str()).map(str::to_owned)
    };
    let element = |name: &str| xml::read(body, |answer| xml::text(answer, name)).ok().flatten();
    let code = field(&["__type", "code"]).or_else(|| element("Code")).unwrap_or_default();
    let message = field(&["message", "Message"]).or_else(|| element("Message"));
    // `com.amazonaws.sqs#QueueDoesNotExist`
    let code = code.rsplit('#').next().unwrap_or_default().to_owned();
    let message = message.unwrap_or_else(|| body.chars().take(200).collect());
    AwsError { status, code, message: message.trim_end_matches('.').to_owned() }
}

/// The innermost cause: what is around it repeats the URL.
pub(super) fn no_answer(error: &dyn std::error::Error) -> AwsError {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    AwsError { status: 0, code: String::new(), message: inner.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_every_protocol() {
        for (body, code, message) in [
            (
                r#"{"__type":"ResourceNotFoundException","message":"no such secret."}"#,
                "ResourceNotFoundException",
                "no such secret",
            ),
            (r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","Message":"gone"}"#, "QueueDoesNotExist", "gone"),
            (
                "<Error><Code>NoSuchBucket</Code><Message>It is not there</Message></Error>",
                "NoSuchBucket",
                "It is not there",
            ),
            (
                "<ErrorResponse><Error><Type>Sender</Type><Code>NotFound</Code><Message>x</Message></Error></ErrorResponse>",
                "NotFound",
                "x",
            ),
            ("gateway trouble", "", "gateway trouble"),
        ] {
            let refused = refused(400, body);
            assert_eq!((refused.code.as_str(), refused.message.as_str()), (code, message), "{body}");
        }
    }
}
