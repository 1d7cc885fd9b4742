//! Finds the credentials of an image's registry where `docker login` left them: `DOCKER_AUTH_CONFIG`, credential helpers,
//! `config.json`. Read only when something is pulled. Leaves sending them to `images`, and never shows a secret.

use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind as Io;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bollard::auth::DockerCredentials;
use futures_util::try_join;
use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::bounded;
use crate::diag::{Error, ErrorKind, Result};
use crate::model::reference::Reference;

/// What a registry lets one in with.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credentials {
    /// A user name and a password or access token.
    Password { username: String, password: String },
    /// A token in place of both, from a login by browser.
    IdentityToken(String),
    /// A bearer token, sent to the registry as it is.
    RegistryToken(String),
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(…)")
    }
}

impl Credentials {
    pub(super) fn into_bollard(self) -> DockerCredentials {
        match self {
            Self::Password { username, password } => {
                DockerCredentials { username: Some(username), password: Some(password), ..Default::default() }
            }
            Self::IdentityToken(token) => DockerCredentials { identitytoken: Some(token), ..Default::default() },
            Self::RegistryToken(token) => DockerCredentials { registrytoken: Some(token), ..Default::default() },
        }
    }
}

/// Docker Hub's name in configurations and for helpers.
const HUB: &str = "https://index.docker.io/v1/";

/// Time limit for a helper; one that waits for an invisible dialog must not block the run.
const HELPER_LIMIT: Duration = Duration::from_secs(5);

/// Longest answer of a helper, in bytes.
const ANSWER: u64 = 1 << 20;

/// The credentials for an image, if there are any.
///
/// # Errors
/// [`ErrorKind::Image`] when they exist but can't be read: a pull without them would end with a misleading "not found".
pub(super) async fn for_image(config_dir: &Path, reference: &str) -> Result<Option<Credentials>> {
    let registry = registry(reference);
    if let Some(text) = std::env::var("DOCKER_AUTH_CONFIG").ok().filter(|text| !text.is_empty()) {
        let config = Config::parse(text.as_bytes(), "DOCKER_AUTH_CONFIG")?;
        if let Some(found) = config.stored(registry)? {
            return Ok(Some(found));
        }
    }
    let path = config_dir.join("config.json");
    let text = match bounded::file(&path, bounded::WRITTEN) {
        Ok(text) => text,
        // One of root, left behind by `sudo docker login`, must not stop the pull of a public image.
        Err(error) if matches!(error.kind(), Io::NotFound | Io::PermissionDenied) => return Ok(None),
        Err(error) => return Err(unusable(format_args!("can't read {}: {error}", path.display()))),
    };
    let config = Config::parse(&text, &path.display().to_string())?;
    if let Some(helper) = config.helper(registry) {
        let program = Command::new(format!("docker-credential-{helper}"));
        let found = ask_helper(program, registry, &config.name, HELPER_LIMIT).await?;
        if found.is_some() {
            return Ok(found);
        }
    }
    config.stored(registry)
}

/// The credentials for the images that a Dockerfile starts from or copies out of, by registry.
///
/// # Errors
/// As [`for_image`].
pub(super) async fn for_build(config_dir: &Path, dockerfile: &str) -> Result<HashMap<String, Credentials>> {
    let references = dockerfile.lines().filter_map(image_of);
    let registries: BTreeMap<&str, &str> = references.map(|reference| (registry(reference), reference)).collect();
    let mut found = HashMap::new();
    for (registry, reference) in registries {
        if let Some(credentials) = for_image(config_dir, reference).await? {
            found.insert(registry.to_owned(), credentials);
        }
    }
    Ok(found)
}

/// The image that a line of a Dockerfile names, if it may need a login. What ARGs stand for is left to the engine.
fn image_of(line: &str) -> Option<&str> {
    let mut words = line.split_ascii_whitespace();
    let image = match words.next()?.to_ascii_uppercase().as_str() {
        "FROM" => words.find(|word| !word.starts_with("--"))?,
        "COPY" => words.find_map(|word| word.strip_prefix("--from="))?,
        _ => return None,
    };
    (image != "scratch" && !image.contains('$')).then_some(image)
}

/// The key of a reference's registry: `localhost:5000` of `localhost:5000/app@sha256:…`.
fn registry(reference: &str) -> &str {
    match Reference::of(reference).host() {
        Some("docker.io" | "index.docker.io") | None => HUB,
        Some(host) => host,
    }
}

/// The host of a key, which older logins wrote as a URL: `https://registry.example.com/v1/`.
fn host(key: &str) -> &str {
    let rest = key.split_once("://").map_or(key, |(_, rest)| rest);
    match rest.split('/').next().unwrap_or(rest) {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        host => host,
    }
}

fn unusable(message: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Image, message)
}

/// The parts of `config.json` that lead to credentials.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    #[serde(default)]
    auths: HashMap<String, Entry>,
    #[serde(default)]
    cred_helpers: HashMap<String, String>,
    creds_store: Option<String>,
    /// The file or variable it was read from.
    #[serde(skip)]
    name: String,
}

#[derive(Deserialize, Clone, Default)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

impl Config {
    fn parse(text: &[u8], name: &str) -> Result<Self> {
        let config: Self = serde_json::from_slice(text).map_err(|error| {
            // Only the kind and place: serde's own words may quote a value.
            let (line, column) = (error.line(), error.column());
            unusable(format_args!("{name} isn't valid JSON for docker (line {line}, column {column})"))
                .hint(format!("repair {name}, or remove it and docker login again"))
        })?;
        Ok(Self { name: name.into(), ..config })
    }

    fn of<'a, T>(entries: &'a HashMap<String, T>, registry: &str) -> Option<&'a T> {
        let same_host = || entries.iter().find(|(key, _)| host(key) == host(registry)).map(|(_, value)| value);
        entries.get(registry).or_else(same_host)
    }

    fn helper(&self, registry: &str) -> Option<&str> {
        let name = Self::of(&self.cred_helpers, registry).or(self.creds_store.as_ref());
        name.map(String::as_str).filter(|name| !name.is_empty())
    }

    fn stored(&self, registry: &str) -> Result<Option<Credentials>> {
        let Some(entry) = Self::of(&self.auths, registry) else { return Ok(None) };
        let bad = || {
            unusable(format_args!("the credentials for {registry} in {} can't be decoded", self.name))
                .hint(format!("log in again: {}", login(registry)))
        };
        entry.credentials().ok_or_else(bad)
    }
}

impl Entry {
    /// Nothing if it can't be decoded; no credentials in it is `Some(None)`.
    fn credentials(&self) -> Option<Option<Credentials>> {
        if !self.identitytoken.is_empty() {
            return Some(Some(Credentials::IdentityToken(self.identitytoken.clone())));
        }
        if !self.registrytoken.is_empty() {
            return Some(Some(Credentials::RegistryToken(self.registrytoken.clone())));
        }
        let (username, password) = match self.auth.as_str() {
            "" => (self.username.clone(), self.password.clone()),
            auth => decode(auth)?,
        };
        Some((!username.is_empty()).then_some(Credentials::Password { username, password }))
    }
}

/// `user:password` of its base64 form, padded or not.
fn decode(auth: &str) -> Option<(String, String)> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let bytes = GeneralPurpose::new(&STANDARD, config).decode(auth.trim()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (username, password) = text.split_once(':')?;
    Some((username.into(), password.trim_end_matches('\0').into()))
}

/// The command that logs in to a registry.
fn login(registry: &str) -> String {
    if registry == HUB { "docker login".into() } else { format!("docker login {registry}") }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// Asks a credential helper: the registry on its stdin, JSON on its stdout.
async fn ask_helper(
    mut program: Command,
    registry: &str,
    config: &str,
    limit: Duration,
) -> Result<Option<Credentials>> {
    let name = program.as_std().get_program().to_string_lossy().into_owned();
    let failed = |what: std::fmt::Arguments<'_>| {
        unusable(format_args!("the credential helper {name} (from {config}) {what}"))
            .hint(format!("try it by hand: echo {registry} | {name} get"))
            .hint(format!("or remove it from {config}, then {}", login(registry)))
    };
    // Dropping the child, as the time limit does, kills it.
    let child = program
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = child.map_err(|error| match error.kind() {
        Io::NotFound => failed(format_args!("is not in the PATH")),
        _ => failed(format_args!("can't be started: {error}")),
    })?;
    let answer = async {
        if let Some(mut stdin) = child.stdin.take() {
            // A helper that fails at once does not read; its answer says more than the broken pipe.
            let _ = stdin.write_all(registry.as_bytes()).await;
        }
        let streams = (child.stdout.take(), child.stderr.take());
        let (Some(stdout), Some(stderr)) = streams else { return Err(Io::BrokenPipe.into()) };
        let (stdout, stderr) = try_join!(bounded::stream(stdout, ANSWER), bounded::stream(stderr, ANSWER))?;
        Ok::<_, std::io::Error>(Output { status: child.wait().await?, stdout, stderr })
    };
    let output = tokio::time::timeout(limit, answer)
        .await
        .map_err(|_| failed(format_args!("gave no answer within {} s", limit.as_secs())))?
        .map_err(|error| failed(format_args!("can't be run: {error}")))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let said = said.trim();
        // What every helper says, word for word, when it has nothing for a registry.
        if said.contains("credentials not found in native keychain") {
            return Ok(None);
        }
        return Err(failed(format_args!("failed: {}", said.lines().next().unwrap_or("it gave no reason"))));
    }
    let answer: Answer =
        serde_json::from_slice(&output.stdout).map_err(|_| failed(format_args!("did not answer with JSON")))?;
    Ok(match (answer.username.as_str(), answer.secret) {
        (_, secret) if secret.is_empty() => None,
        ("<token>", secret) => Some(Credentials::IdentityToken(secret)),
        (_, password) => Some(Credentials::Password { username: answer.username, password }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(username: &str, password: &str) -> Option<Credentials> {
        Some(Credentials::Password { username: username.into(), password: password.into() })
    }

    fn stored(json: &str, reference: &str) -> Option<Credentials> {
        let config = Config::parse(json.as_bytes(), "config.json").expect("a config");
        config.stored(registry(reference)).expect("credentials that can be decoded")
    }

    #[test]
    fn the_registry_is_what_stands_before_the_first_slash_if_it_is_a_host() {
        for (reference, key) in [
            ("redis", HUB),
            ("redis:7-alpine", HUB),
            ("mailhog/mailhog:v1.0.1", HUB),
            ("docker.io/library/redis", HUB),
            ("index.docker.io/library/redis", HUB),
            ("redis@sha256:00", HUB),
            ("localhost/app", "localhost"),
            ("localhost:5000/app:1", "localhost:5000"),
            ("box:5000/app@sha256:00", "box:5000"),
            ("ghcr.io/me/app:1@sha256:00", "ghcr.io"),
        ] {
            assert_eq!(registry(reference), key, "{reference}");
        }
    }

    #[test]
    fn a_dockerfile_names_the_images_it_needs() {
        for (line, image) in [
            ("FROM box:5000/base:1 AS base", Some("box:5000/base:1")),
            ("from --platform=linux/amd64 redis", Some("redis")),
            ("COPY --chown=1 --from=ghcr.io/me/tool:1 /a /b", Some("ghcr.io/me/tool:1")),
            ("COPY a b", None),
            ("FROM scratch", None),
            ("FROM $BASE", None),
            ("FROM", None),
            ("# FROM redis", None),
            ("", None),
        ] {
            assert_eq!(image_of(line), image, "{line}");
        }
    }

    #[test]
    fn stored_credentials_are_found_in_every_form() {
        // user:pass?word, user:pa:ss, and one without its padding
        let json = r#"{"auths": {
            "https://index.docker.io/v1/": {"auth": "dXNlcjpwYXNzP3dvcmQ="},
            "box:5000": {"auth": "dXNlcjpwYTpzcw"},
            "https://old.example.com/v1/": {"username": "u", "password": "p"},
            "token.example.com": {"auth": "dTpw", "identitytoken": "t"},
            "helper.example.com": {}
        }}"#;
        assert_eq!(stored(json, "redis"), password("user", "pass?word"));
        assert_eq!(stored(json, "box:5000/app"), password("user", "pa:ss"));
        assert_eq!(stored(json, "old.example.com/app"), password("u", "p"));
        assert_eq!(stored(json, "token.example.com/app"), Some(Credentials::IdentityToken("t".into())));
        assert_eq!(stored(json, "helper.example.com/app"), None);
        assert_eq!(stored(json, "box:5001/app"), None);
        assert_eq!(stored(r#"{"auths": {"docker.io": {"auth": "dTpw"}}}"#, "redis"), password("u", "p"));
    }

    #[test]
    fn what_cannot_be_decoded_is_an_error_that_shows_no_secret() {
        let config =
            Config::parse(br#"{"auths": {"box:5000": {"auth": "*secret*"}}}"#, "config.json").expect("a config");
        let error = config.stored("box:5000").expect_err("not base64");
        assert_eq!(error.kind, ErrorKind::Image);
        assert_eq!(error.to_string(), "the credentials for box:5000 in config.json can't be decoded");
        assert_eq!(error.hints, ["log in again: docker login box:5000"]);
        let error = Config::parse(br#"{"auths": {"box:5000": "secret"}}"#, "config.json").err().expect("not a table");
        assert!(!error.to_string().contains("secret"), "{error}");
        assert!(!format!("{:?}", password("u", "secret")).contains("secret"));
    }

    #[test]
    fn the_helper_of_a_registry_comes_before_the_store_of_all() {
        let json = br#"{"credHelpers": {"box:5000": "box"}, "credsStore": "all"}"#;
        let config = Config::parse(json, "config.json").expect("a config");
        assert_eq!(config.helper("box:5000"), Some("box"));
        assert_eq!(config.helper(HUB), Some("all"));
        assert_eq!(Config::parse(b"{}", "config.json").expect("a config").helper(HUB), None);
    }

    #[cfg(unix)]
    async fn helper(script: &str, limit: Duration) -> Result<Option<Credentials>> {
        let mut shell = Command::new("sh");
        // The argument that follows becomes the script's $0.
        shell.arg("-c").arg(script);
        ask_helper(shell, "box:5000", "config.json", limit).await
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_helper_is_asked_for_the_registry() {
        let ok = |script: &'static str| async { helper(script, HELPER_LIMIT).await.expect("an answer") };
        let echo = r#"[ "$0" = get ] && printf '{"ServerURL":"x","Username":"u","Secret":"%s"}' "$(cat)""#;
        assert_eq!(ok(echo).await, password("u", "box:5000"));
        let token = r#"echo '{"Username":"<token>","Secret":"t"}'"#;
        assert_eq!(ok(token).await, Some(Credentials::IdentityToken("t".into())));
        assert_eq!(ok("echo 'credentials not found in native keychain'; exit 1").await, None);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_helper_that_fails_is_named_with_a_remedy() {
        let error = helper("echo 'the keychain is locked'; exit 1", HELPER_LIMIT).await.expect_err("a failure");
        assert!(
            error.to_string().contains("the credential helper sh (from config.json) failed: the keychain is locked"),
            "{error}"
        );
        assert!(error.hints[0].contains("echo box:5000 |") && error.hints[1].ends_with("docker login box:5000"));
        let error = helper("echo secret", HELPER_LIMIT).await.expect_err("no JSON");
        assert!(error.to_string().ends_with("did not answer with JSON"), "{error}");
        let error = helper("exec tail -f /dev/null", Duration::from_millis(50)).await.expect_err("no answer");
        assert!(error.to_string().contains("gave no answer"), "{error}");
        let missing = ask_helper(Command::new("docker-credential-none"), "box:5000", "config.json", HELPER_LIMIT).await;
        assert!(missing.expect_err("no program").to_string().ends_with("is not in the PATH"));
    }
}
