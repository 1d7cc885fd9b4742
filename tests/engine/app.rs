//! The example application behind its edge, on the repository's own services.toml: everything an application does with the
//! production stack, done here, and still there after `down` and `up`.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use regex::Regex;
use serde_json::{Value, json};
use totp_rs::{Algorithm, Secret, TOTP};

use crate::aws_map::{has, is, map};
use crate::docker;
use crate::stack::{Stack, heavy, wait_until};

const EMAIL: &str = "ada@taskava.test";
const PASSWORD: &str = "Engine-No-1!";

/// What a browser does.
struct Browser {
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
    base: String,
    token: Option<String>,
}

struct Answer {
    status: u16,
    cache: Option<String>,
    text: String,
}

impl Answer {
    #[track_caller]
    fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

impl Browser {
    fn new(base: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { client: reqwest::Client::new(), runtime, base: base.into(), token: None }
    }

    fn ask(&self, method: &str, path: &str, body: Option<Vec<u8>>) -> Answer {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        let mut request = self.client.request(method.parse().expect("a method"), &url);
        if let Some(token) = self.token.as_ref().filter(|_| !path.starts_with("http")) {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        self.runtime.block_on(async {
            let answer = request.send().await.unwrap_or_else(|error| panic!("{method} {url}: {error}"));
            Answer {
                status: answer.status().as_u16(),
                cache: answer.headers().get("X-Cache").map(|value| value.to_str().expect("ASCII").to_owned()),
                text: answer.text().await.expect("a body"),
            }
        })
    }

    /// A presigned URL, at the port that the edge has in this test.
    fn here(&self, url: &Value) -> String {
        url.as_str().expect("a URL").replace("http://localhost:8080", &self.base)
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, None)
    }

    fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask("POST", path, Some(body.to_string().into_bytes()))
    }
}

/// What an authenticator app shows for a secret now.
fn code(secret: &str) -> String {
    let secret = Secret::Encoded(secret.into()).to_bytes().expect("base 32");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    TOTP::new_unchecked(Algorithm::SHA1, 6, 1, 30, secret).generate(now)
}

/// The confirmation code of the newest mail to an address.
fn mailed_code(stack: &Stack) -> String {
    let mails = Browser::new(&format!("http://{}", stack.address("mailhog", 8025)));
    let digits = Regex::new(r"\b\d{6}\b").expect("a pattern");
    wait_until("the confirmation mail", || {
        let all = mails.get("/api/v2/messages").json(200);
        let to_us = |mail: &&Value| mail["Raw"]["To"].to_string().contains(EMAIL);
        let body = all["items"].as_array()?.iter().find(to_us)?["Content"]["Body"].as_str()?.replace("\r\n", "");
        let text = String::from_utf8(base64::engine::general_purpose::STANDARD.decode(body).expect("base 64")).ok()?;
        Some(digits.find(&text)?.as_str().to_owned())
    })
}

/// `taskava dev aws -- …`, as JSON.
#[track_caller]
fn aws(stack: &Stack, arguments: &[&str]) -> Value {
    let all = [&["aws", "--"], arguments, &["--output", "json"]].concat();
    let said = stack.dev(&all).ends(0);
    serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {}", said.stdout))
}

/// What was used is what `aws map` calls mirrored, or partial; and nothing that is only described.
fn production_is_mirrored(stack: &Stack) {
    let of = map(stack, &["--profile", "app"]);
    is(&of("CloudFront"), "partial", &["edge", "ministack"]);
    is(&of("ECS Fargate"), "partial", &["api", "ministack"]);
    is(&of("RDS PostgreSQL 15 Multi-AZ"), "partial", &["postgres", "ministack"]);
    is(&of("S3"), "partial", &["localstack"]);
    is(&of("Cognito user pools"), "partial", &["ministack"]);
    has(&of("Cognito user pools")["said"], "mfa of 1");
    has(&of("SES")["said"], "mailhog accepts mail");
    is(&of("Parameter Store"), "mirrored", &["localstack"]);
    is(&of("WAF"), "metadata-only", &["ministack"]);
}

#[test]
fn the_application_finds_the_production_stack() {
    let _turn = heavy();
    let stack = Stack::of_the_project("app");
    let up = ["--profile", "app", "up"];
    stack.dev(&up).ends(0);
    let mut browser = Browser::new(&format!("http://{}", stack.address("edge", 80)));

    // The edge: static files come out of the bucket, /api from the application.
    let page = browser.get("/");
    assert!(page.status == 200 && page.text.contains("Taskava example"), "{} {}", page.status, page.text);
    assert_eq!((browser.get("/health").status, browser.get("/no-such-page").status), (200, 404));
    browser.get("/api/health").json(200);

    // An account: signed up, confirmed by mail, signed in with a password, then with a second factor.
    let who = json!({ "email": EMAIL, "password": PASSWORD });
    browser.post("/api/sign-up", &who).json(201);
    browser.post("/api/sign-in", &who).json(401);
    browser.post("/api/confirm", &json!({ "email": EMAIL, "code": mailed_code(&stack) })).json(200);
    browser.post("/api/sign-in", &json!({ "email": EMAIL, "password": "Engine-No-2!" })).json(401);
    browser.token = browser.post("/api/sign-in", &who).json(200)["access_token"].as_str().map(Into::into);
    let secret = browser.post("/api/totp", &json!({})).json(200)["secret"].as_str().expect("a secret").to_owned();
    browser.post("/api/totp/verify", &json!({ "code": code(&secret) })).json(200);
    let sign_in = |browser: &mut Browser| {
        browser.token = None;
        let challenge = browser.post("/api/sign-in", &who).json(200);
        assert_eq!(challenge["challenge"], "SOFTWARE_TOKEN_MFA");
        let wrong = json!({ "email": EMAIL, "code": "000000", "session": challenge["session"] });
        browser.post("/api/second-factor", &wrong).json(401);
        let challenge = browser.post("/api/sign-in", &who).json(200);
        let right = json!({ "email": EMAIL, "code": code(&secret), "session": challenge["session"] });
        let tokens = browser.post("/api/second-factor", &right).json(200);
        browser.token = tokens["access_token"].as_str().map(Into::into);
    };
    sign_in(&mut browser);
    assert_eq!(browser.get("/api/me").status, 200);

    // A file, twice, straight into the bucket.
    for content in ["one", "two"] {
        let url = browser.post("/api/files/report.txt/upload", &json!({})).json(200)["url"].clone();
        let put = browser.ask("PUT", &browser.here(&url), Some(content.into()));
        assert_eq!(put.status, 200, "{}", put.text);
    }
    let versions = |browser: &Browser| {
        let answer = browser.get("/api/files/report.txt/versions").json(200);
        answer["versions"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(versions(&browser), 2);

    // The database, and the cache before it.
    browser.post("/api/notes", &json!({ "text": "remember" })).json(201);
    let notes = |browser: &Browser| {
        let answer = browser.get("/api/notes");
        (answer.json(200)["notes"][0]["text"].clone(), answer.cache)
    };
    assert_eq!(notes(&browser), ("remember".into(), Some("miss".into())));
    assert_eq!(notes(&browser), ("remember".into(), Some("hit".into())));

    // Secrets and parameters.
    let settings = browser.get("/api/settings").json(200);
    assert!(settings["secret_length"].as_u64() >= Some(16) && settings["greeting"].is_string(), "{settings}");

    // A metric rings the alarm, and the line is in the log.
    browser.post("/api/trouble", &json!({})).json(202);
    wait_until("the alarm", || {
        let alarms = aws(&stack, &["cloudwatch", "describe-alarms", "--alarm-names", "taskava-dev-errors"]);
        (alarms["MetricAlarms"][0]["StateValue"] == "ALARM").then_some(())
    });
    let lines = aws(&stack, &["logs", "filter-log-events", "--log-group-name", "/taskava/dev/api"]);
    assert!(lines["events"].to_string().contains("trouble was reported"), "{lines}");
    production_is_mirrored(&stack);

    // After the night everything is there: the database, the accounts, what is declared, and what was uploaded.
    stack.dev(&["--profile", "app", "down"]).ends(0);
    stack.dev(&up).ends(0);
    // At the same address; what was connected to the container before is not to the one that is there now.
    let base = format!("http://{}", stack.address("edge", 80));
    assert_eq!(base, browser.base);
    browser = Browser::new(&base);
    sign_in(&mut browser);
    assert_eq!(notes(&browser).0, "remember");
    browser.get("/api/settings").json(200);
    assert!(browser.get("/").text.contains("Taskava example"));
    assert_eq!(versions(&browser), 2);
    let url = browser.get("/api/files/report.txt").json(200)["url"].clone();
    assert_eq!(browser.ask("GET", &browser.here(&url), None).text, "two");

    stack.dev(&["--profile", "app", "down"]).ends(0);
    for service in ["api", "migrate"] {
        docker::untag(&format!("{}-{service}:latest", stack.project));
    }
}
