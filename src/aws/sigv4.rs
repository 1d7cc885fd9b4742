//! AWS Signature Version 4. Pure: the time is an argument.
//!
//! The emulators don't verify signatures, but route by their content; AWS itself would accept these.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::model::hex;

/// Who signs, and for what.
#[derive(Debug, Clone, Copy)]
pub struct Signer<'a> {
    /// Access key id.
    pub access_key: &'a str,
    /// Secret access key.
    pub secret_key: &'a str,
    /// Region.
    pub region: &'a str,
    /// Service as it stands in the scope: `s3`, `monitoring`.
    pub service: &'a str,
}

/// What is signed.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// `GET`, …
    pub method: &'a str,
    /// Path, encoded as it is sent.
    pub path: &'a str,
    /// Query, as names and values that are not encoded yet.
    pub query: &'a [(&'a str, &'a str)],
    /// All headers that count, `host` and `x-amz-date` among them; names in lower case.
    pub headers: &'a [(&'a str, &'a str)],
    /// [`hex_digest`] of the body.
    pub body: &'a str,
}

impl Signer<'_> {
    /// The value of `Authorization`. `time`: as in `x-amz-date`, `20150830T123600Z`.
    pub fn authorization(&self, request: &Request<'_>, time: &str) -> String {
        let scope = self.scope(time);
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex_digest(request.canonical().as_bytes()));
        let signature = hex(&hmac(&self.key(&time[..8]), &text));
        let signed = request.signed_headers();
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={signed}, Signature={signature}",
            self.access_key
        )
    }

    fn scope(&self, time: &str) -> String {
        format!("{}/{}/{}/aws4_request", &time[..8], self.region, self.service)
    }

    fn key(&self, date: &str) -> Vec<u8> {
        let start = format!("AWS4{}", self.secret_key).into_bytes();
        [date, self.region, self.service, "aws4_request"].iter().fold(start, |key, part| hmac(&key, part))
    }
}

impl Request<'_> {
    /// The one form of several that mean the same.
    fn canonical(&self) -> String {
        let mut headers = self.sorted();
        headers.iter_mut().for_each(|(name, value)| *value = format!("{name}:{}\n", squeezed(value)));
        let headers: String = headers.into_iter().map(|(_, line)| line).collect();
        let (query, signed) = (query_string(self.query), self.signed_headers());
        format!("{}\n{}\n{query}\n{headers}\n{signed}\n{}", self.method, self.path, self.body)
    }

    fn sorted(&self) -> Vec<(&str, String)> {
        let mut headers: Vec<_> = self.headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        headers.sort();
        headers
    }

    fn signed_headers(&self) -> String {
        self.sorted().into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(";")
    }
}

/// A query in the canonical order and encoding, which is as good as any to be sent.
pub fn query_string(query: &[(&str, &str)]) -> String {
    let mut pairs: Vec<String> =
        query.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    pairs.sort();
    pairs.join("&")
}

/// Percent-encodes everything but what RFC 3986 leaves as it is.
pub fn encode(text: &str) -> String {
    encode_but(text, "")
}

/// As [`encode`], with slashes left as they are.
pub fn encode_path(text: &str) -> String {
    encode_but(text, "/")
}

fn encode_but(text: &str, also: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || also.as_bytes().contains(&byte) {
            encoded.push(byte.into());
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Without spaces around it, and with one where several are.
fn squeezed(value: &str) -> String {
    value.split(' ').filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// SHA-256 in hexadecimal.
pub fn hex_digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length is good");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn signature(signer: &Signer<'_>, request: &Request<'_>, time: &str) -> String {
        let authorization = signer.authorization(request, time);
        authorization.rsplit_once("Signature=").expect("it has one").1.to_owned()
    }

    /// The signature of a request of the published test suite (`aws-sig-v4-test-suite`).
    fn of_the_suite(method: &str, path: &str, query: &[(&str, &str)], more: &[(&str, &str)], body: &str) -> String {
        let (access_key, secret_key) = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let signer = Signer { access_key, secret_key, region: "us-east-1", service: "service" };
        let time = "20150830T123600Z";
        let mut headers = vec![("host", "example.amazonaws.com"), ("x-amz-date", time)];
        headers.extend(more);
        let body = hex_digest(body.as_bytes());
        signature(&signer, &Request { method, path, query, headers: &headers, body: &body }, time)
    }

    #[test]
    fn the_published_test_suite() {
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let two = [("Param2", "value2"), ("Param1", "value1")];
        for (name, got, wanted) in [
            (
                "get-vanilla",
                of_the_suite("GET", "/", &[], &[], ""),
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            (
                "get-vanilla-query-order-key-case",
                of_the_suite("GET", "/", &two, &[], ""),
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            (
                "get-vanilla-empty-query-key",
                of_the_suite("GET", "/", &[("Param1", "value1")], &[], ""),
                "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
            ),
            (
                "get-utf8",
                of_the_suite("GET", &encode_path("/ሴ"), &[], &[], ""),
                "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
            ),
            (
                "get-header-value-trim",
                of_the_suite("GET", "/", &[], &[("my-header1", " value1"), ("my-header2", " \"a   b   c\"")], ""),
                "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
            ),
            (
                "post-vanilla",
                of_the_suite("POST", "/", &[], &[], ""),
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
            (
                "post-x-www-form-urlencoded",
                of_the_suite("POST", "/", &[], &form, "Param1=value1"),
                "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            ),
        ] {
            assert_eq!(got, wanted, "{name}");
        }
    }

    /// The worked example of the IAM documentation.
    #[test]
    fn iam_list_users() {
        let (access_key, secret_key) = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let signer = Signer { access_key, secret_key, region: "us-east-1", service: "iam" };
        let time = "20150830T123600Z";
        let headers = [
            ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
            ("host", "iam.amazonaws.com"),
            ("x-amz-date", time),
        ];
        let query = [("Action", "ListUsers"), ("Version", "2010-05-08")];
        let request = Request { method: "GET", path: "/", query: &query, headers: &headers, body: EMPTY };
        let canonical = hex_digest(request.canonical().as_bytes());
        assert_eq!(canonical, "f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59");
        let key = hex(&signer.key("20150830"));
        assert_eq!(key, "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9");
        let wanted = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
                      SignedHeaders=content-type;host;x-amz-date, \
                      Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";
        assert_eq!(signer.authorization(&request, time), wanted);
    }

    /// The worked examples of the S3 documentation.
    #[test]
    fn s3() {
        let (access_key, secret_key) = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        let signer = Signer { access_key, secret_key, region: "us-east-1", service: "s3" };
        let time = "20130524T000000Z";
        let path = encode_path("/test$file.text");
        let sign = |method, path, query: &[(&str, &str)], more: &[(&str, &str)], body: &str| {
            let body = hex_digest(body.as_bytes());
            let mut headers = vec![
                ("host", "examplebucket.s3.amazonaws.com"),
                ("x-amz-content-sha256", &*body),
                ("x-amz-date", time),
            ];
            headers.extend(more);
            signature(&signer, &Request { method, path, query, headers: &headers, body: &body }, time)
        };
        assert_eq!(
            sign("GET", "/test.txt", &[], &[("range", "bytes=0-9")], ""),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
        let more = [("date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")];
        assert_eq!(
            sign("PUT", &path, &[], &more, "Welcome to Amazon S3."),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
        );
        assert_eq!(
            sign("GET", "/", &[("lifecycle", "")], &[], ""),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
        );
        assert_eq!(
            sign("GET", "/", &[("max-keys", "2"), ("prefix", "J")], &[], ""),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        );
    }
}
