//! What an application stored in S3 is still there after `down` and `up`, in every version.

use futures_util::StreamExt as _;
use regex::Regex;
use reqwest::Method;

use crate::docker;
use crate::stack::{Stack, heavy, image};

pub(crate) const LOCALSTACK: &str = r#"
[services.localstack]
kind = "localstack"
image = "image:localstack"
ready = { timeout = "4m" }
ports = ["4566"]
env = { SERVICES = "s3" }
volumes = ["data:/var/lib/localstack"]

[aws.buckets]
kept = { versioning = true, seed = "seed" }
"#;

const MINISTACK: &str = r#"
[services.ministack]
kind = "ministack"
image = "image:ministack"
ports = ["4566"]
env = { STATE_DIR = "/state" }
volumes = ["data:/state"]
"#;

/// What an SDK would send, without a signature, which is not checked.
pub(crate) struct S3 {
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
    base: String,
}

/// Status, headers and body.
struct Answer {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: Vec<u8>,
}

impl S3 {
    pub(crate) fn of(stack: &Stack, service: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { client: reqwest::Client::new(), runtime, base: format!("http://{}", stack.address(service, 4566)) }
    }

    async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        let key =
            "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
        let mut request = self.client.request(method, format!("{}{path}", self.base)).header("authorization", key);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.body(body).send().await.unwrap_or_else(|error| panic!("{path}: {error}"));
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Answer { status, headers, body: answer.bytes().await.expect("a body").to_vec() }
    }

    #[track_caller]
    fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.runtime.block_on(self.send(method, path, headers, body.to_vec()))
    }

    #[track_caller]
    fn put(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) {
        let answer = self.ask(Method::PUT, path, headers, body);
        assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
    }

    fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[], &[])
    }

    /// Many small objects, several at once.
    pub(crate) fn fill(&self, bucket: &str, count: usize) {
        self.runtime.block_on(async {
            let puts = (0..count).map(|number| {
                let path = format!("/{bucket}/many/{number:05}");
                async move { self.send(Method::PUT, &path, &[], number.to_string().into_bytes()).await.status }
            });
            let statuses: Vec<u16> = futures_util::stream::iter(puts).buffer_unordered(16).collect().await;
            assert!(statuses.iter().all(|status| *status == 200));
        });
    }

    pub(crate) fn make_bucket(&self, name: &str) {
        self.put(&format!("/{name}"), &[], b"");
    }

    /// How many objects a bucket has; none where it is not there yet.
    pub(crate) fn count(&self, bucket: &str) -> usize {
        let asked = self.runtime.block_on(self.client.get(format!("{}/{bucket}", self.base)).send());
        if asked.map_or(0, |answer| answer.status().as_u16()) != 200 {
            return 0;
        }
        self.everything(bucket).len()
    }

    /// Versions, newest first, and delete markers of all keys: without what S3 chooses itself.
    pub(crate) fn everything(&self, bucket: &str) -> Vec<String> {
        let (mut found, mut next) = (Vec::new(), String::new());
        let element = Regex::new(r"(?s)<(Version|DeleteMarker)>.*?</(?:Version|DeleteMarker)>").expect("a pattern");
        let part = |xml: &str, name: &str| {
            let pattern = Regex::new(&format!("<{name}>(.*?)</{name}>")).expect("a pattern");
            pattern.captures(xml).map(|found| found[1].to_owned()).unwrap_or_default()
        };
        loop {
            let xml = String::from_utf8(self.get(&format!("/{bucket}?versions{next}")).body).expect("text");
            for found_element in element.captures_iter(&xml) {
                let parts = ["Key", "ETag", "Size", "IsLatest"].map(|name| part(&found_element[0], name));
                found.push(format!("{} {}", &found_element[1], parts.join(" ")));
            }
            if part(&xml, "IsTruncated") != "true" {
                found.sort_by_key(|line| line.split(' ').nth(1).map(ToOwned::to_owned));
                return found;
            }
            next = format!(
                "&key-marker={}&version-id-marker={}",
                part(&xml, "NextKeyMarker"),
                part(&xml, "NextVersionIdMarker")
            );
        }
    }
}

/// Keys that are easily spoilt on the way, as they are sent.
const KEYS: [&str; 4] = ["with%20space%20", "a%2Bb%26c%3Dd", "%C3%BCml%C3%A4ut/%E6%97%A5%E6%9C%AC", "%3Cxml%3E%22'"];

pub(crate) fn store(s3: &S3) {
    // Put, put, deleted, put: one history of four.
    s3.put("/kept/report", &[], b"one");
    s3.put("/kept/report", &[], b"two");
    assert_eq!(s3.ask(Method::DELETE, "/kept/report", &[], &[]).status, 204);
    let headers = [
        ("content-type", "text/x-report"),
        ("cache-control", "max-age=60"),
        ("content-disposition", "attachment; filename=\"r.txt\""),
        ("x-amz-meta-author", "Ada"),
        ("x-amz-tagging", "a=b%20c&d=%2B%3D"),
    ];
    s3.put("/kept/report", &headers, b"three");
    s3.put("/kept/gone", &[], b"deleted in the end");
    assert_eq!(s3.ask(Method::DELETE, "/kept/gone", &[], &[]).status, 204);
    // A seed file that the application changed.
    s3.put("/kept/page.html", &[], b"by the application");
    // A bucket that is not declared, and keeps no versions.
    s3.put("/made-by-the-app", &[], b"");
    for key in KEYS {
        s3.put(&format!("/made-by-the-app/{key}"), &[], key.as_bytes());
    }
    s3.put("/made-by-the-app/empty", &[], b"");
    s3.put("/made-by-the-app/large", &[], &vec![7; 20 << 20]);
}

pub(crate) fn is_all_there(s3: &S3, kept: &[String], made: &[String]) {
    assert_eq!(s3.everything("kept"), kept);
    assert_eq!(s3.everything("made-by-the-app"), made);
    let report = s3.get("/kept/report");
    assert_eq!(report.body, b"three");
    for (name, value) in [
        ("content-type", "text/x-report"),
        ("cache-control", "max-age=60"),
        ("content-disposition", "attachment; filename=\"r.txt\""),
        ("x-amz-meta-author", "Ada"),
    ] {
        assert_eq!(report.headers.get(name).and_then(|value| value.to_str().ok()), Some(value), "{name}");
    }
    let tags = String::from_utf8(s3.get("/kept/report?tagging").body).expect("text");
    assert!(tags.contains("<Value>b c</Value>") && tags.contains("<Value>+=</Value>"), "{tags}");
    assert_eq!(s3.get("/kept/gone").status, 404);
    assert_eq!(s3.get("/kept/page.html").body, b"by the application");
    for key in KEYS {
        assert_eq!(s3.get(&format!("/made-by-the-app/{key}")).body, key.as_bytes(), "{key}");
    }
    assert_eq!(s3.get("/made-by-the-app/large").body.len(), 20 << 20);
}

#[test]
fn what_is_in_the_buckets_outlives_the_emulator() {
    let _turn = heavy();
    let stack = Stack::new("objects", LOCALSTACK);
    stack.file("seed/page.html", "declared");
    let up = stack.up();
    assert!(!up.stderr.contains("put back"), "{}", up.stderr);
    let s3 = S3::of(&stack, "localstack");
    store(&s3);
    let (kept, made) = (s3.everything("kept"), s3.everything("made-by-the-app"));
    assert_eq!((kept.len(), made.len()), (4 + 2 + 2, 6));

    // After `down` and `up`; a second `up` finds nothing to do.
    stack.dev(&["down"]).ends(0).says(&["localstack: 14 objects in its buckets saved"]);
    stack.up().says(&["13 objects put back, as they were saved"]);
    stack.up().says(&["nothing to do"]);
    is_all_there(&S3::of(&stack, "localstack"), &kept, &made);

    // Restarted behind our back, and killed.
    docker::restart(&stack.container("localstack"));
    stack.up().says(&["13 objects put back, as they were saved"]);
    is_all_there(&S3::of(&stack, "localstack"), &kept, &made);
    docker::kill(&stack.container("localstack"));
    stack.up().says(&["13 objects put back, as they were saved"]);
    is_all_there(&S3::of(&stack, "localstack"), &kept, &made);

    // What is deleted stays deleted, over a restart of ours too.
    let s3 = S3::of(&stack, "localstack");
    assert_eq!(s3.ask(Method::DELETE, "/made-by-the-app/empty", &[], &[]).status, 204);
    stack.dev(&["restart", "localstack"]).ends(0);
    let s3 = S3::of(&stack, "localstack");
    assert_eq!(s3.get("/made-by-the-app/empty").status, 404);
    assert_eq!(s3.everything("made-by-the-app").len(), made.len() - 1);

    // Data that is removed is saved as a snapshot, with the objects in it: more than fit on one page.
    s3.fill("kept", 1200);
    let kept = s3.everything("kept");
    assert_eq!(kept.len(), 8 + 1200);
    stack.dev(&["down", "-v", "-y"]).ends(0);
    let up = stack.up();
    assert!(!up.stderr.contains("put back"), "{}", up.stderr);
    let s3 = S3::of(&stack, "localstack");
    assert_eq!((s3.get("/kept/report").status, s3.get("/made-by-the-app").status), (404, 404));
    let list = stack.dev(&["snapshot", "list", "--json"]).ends(0).json().remove(0);
    let name = list["snapshots"][0]["name"].as_str().expect("a snapshot").to_owned();
    stack.dev(&["snapshot", "restore", &name]).ends(0).says(&["objects put back"]);
    let s3 = S3::of(&stack, "localstack");
    assert_eq!(s3.everything("kept"), kept);
    assert_eq!(s3.get("/kept/many/01199").body, b"1199");
}

#[test]
fn ministack_keeps_objects_too_and_without_a_volume_it_is_said_what_is_lost() {
    let stack = Stack::new("objects-mini", MINISTACK);
    stack.up();
    let s3 = S3::of(&stack, "ministack");
    s3.put("/made-by-the-app", &[], b"");
    let on = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    s3.put("/made-by-the-app?versioning", &[], on);
    for content in ["one", "two"] {
        s3.put("/made-by-the-app/file%20%2B", &[("x-amz-meta-a", "b")], content.as_bytes());
    }
    assert_eq!(s3.ask(Method::DELETE, "/made-by-the-app/file%20%2B", &[], &[]).status, 204);
    s3.put("/made-by-the-app/file%20%2B", &[("x-amz-meta-a", "b")], b"three");
    let all = s3.everything("made-by-the-app");
    assert_eq!(all.len(), 4);
    stack.dev(&["down"]).ends(0);
    stack.up().says(&["4 objects put back"]);
    let s3 = S3::of(&stack, "ministack");
    assert_eq!(s3.everything("made-by-the-app"), all);
    assert_eq!(s3.get("/made-by-the-app/file%20%2B").headers["x-amz-meta-a"], "b");

    // Without a volume it is said what is lost, and data that was to go is not saved first.
    stack.dev(&["down", "-v", "-y", "--no-snapshot"]).ends(0);
    stack.services(&MINISTACK.replace("volumes = [\"data:/state\"]\n", ""));
    stack.up();
    let s3 = S3::of(&stack, "ministack");
    s3.put("/made-by-the-app", &[], b"");
    s3.put("/made-by-the-app/file", &[], b"one");
    stack.dev(&["down"]).ends(0).says(&["ministack has no volume: what is in its buckets is lost: 1 object"]);

    // The image may be what says where its data is.
    let from = format!("FROM {}\nLABEL test={}\nENV STATE_DIR=/state\n", image("image:ministack"), stack.project);
    stack.file("mini/Dockerfile", &from);
    let own = MINISTACK.replace("image = \"image:ministack\"", "build = \"mini\"");
    stack.services(&own.replace("env = { STATE_DIR = \"/state\" }\n", ""));
    stack.up();
    S3::of(&stack, "ministack").make_bucket("made-by-the-app");
    S3::of(&stack, "ministack").put("/made-by-the-app/file", &[], b"one");
    stack.dev(&["down"]).ends(0).says(&["ministack: 1 object in its buckets saved"]);
    stack.up().says(&["1 object put back"]);
    assert_eq!(S3::of(&stack, "ministack").get("/made-by-the-app/file").body, b"one");
}
