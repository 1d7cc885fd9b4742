//! What is said of a build that failed.

use super::steps::Culprit;
use crate::diag::{Error, ErrorKind};
use crate::model::Build;

pub(super) fn build_failed(reference: &str, build: &Build, text: &str, culprit: Option<Culprit>) -> Error {
    let from = match &build.inline {
        Some(_) => "its `dockerfile_inline`".to_owned(),
        None => build.context.join(&build.dockerfile).display().to_string(),
    };
    let (what, output) = match culprit {
        None => (format!("can't build {reference} with {from}: {}", without_frames(text)), Vec::new()),
        Some(Culprit { name, why, lines }) => {
            let why = without_frames(why.as_deref().unwrap_or(text));
            let why = why.rfind("exit code: ").map_or(why, |at| &why[at..]);
            (format!("can't build {reference} with {from}: {name}: {why}"), lines)
        }
    };
    Error::from_source(ErrorKind::Image, BuildFailed { what, output }.into()).hint(build_hint(text))
}

/// An error without what BuildKit's parts put before each other's words.
pub(super) fn without_frames(mut text: &str) -> &str {
    const FRAMES: [&str; 5] = [
        "failed to solve with frontend dockerfile.v0: ",
        "failed to solve: ",
        "failed to create LLB definition: ",
        "rpc error: code = Unknown desc = ",
        "executor failed running ",
    ];
    while let Some(rest) = FRAMES.iter().find_map(|frame| text.strip_prefix(frame)) {
        text = rest;
    }
    text
}

pub(super) fn build_hint(text: &str) -> &'static str {
    let text = text.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&["denied", "unauthorized", "authentication required", "no basic auth"]) {
        "a base image does not exist or needs a login: docker login"
    } else if has(&["no matching manifest", "no match for platform"]) {
        "a base image is not available for this architecture; set `platform` to one it has"
    } else if has(&["dial tcp", "failed to do request", "i/o timeout", "x509"]) {
        "a base image's registry can't be reached from the engine: check its network, proxy and certificates"
    } else if has(&["manifest unknown", "not found: manifest", "failed to resolve source metadata"]) {
        "a base image can't be pulled; check the FROM lines, and whether the engine reaches the registry"
    } else {
        "fix the Dockerfile, then run the command again; finished steps are reused"
    }
}

/// A build that failed.
#[derive(Debug)]
pub struct BuildFailed {
    /// Which, at what, and why.
    what: String,
    /// The last lines of the step that failed.
    pub output: Vec<String>,
}

impl std::fmt::Display for BuildFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for BuildFailed {}
