//! Explains why no engine could be reached, and what to do about it on this system.

use std::fmt;
use std::io;
use std::time::Duration;

use bollard::errors::Error as Bollard;

use super::candidates::{Address, Candidate};
use super::tls;
use crate::diag::{Error, ErrorKind};

/// Why a candidate isn't the engine.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    NoSuchFile,
    PermissionDenied,
    Refused,
    Silent(Duration),
    /// It speaks TLS and wasn't asked to, or the other way round.
    TlsMismatch,
    /// Something answered, but not as an engine does.
    Strange(String),
    Other(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchFile => f.write_str("no such file"),
            Self::PermissionDenied => f.write_str("permission denied"),
            Self::Refused => f.write_str("connection refused"),
            Self::Silent(limit) => write!(f, "no answer within {} s", limit.as_secs()),
            Self::TlsMismatch => f.write_str("one side speaks TLS, the other doesn't"),
            Self::Strange(what) => write!(f, "not an engine's answer: {what}"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::NoSuchFile,
            io::ErrorKind::PermissionDenied => Self::PermissionDenied,
            io::ErrorKind::ConnectionRefused => Self::Refused,
            _ => Self::Other(error.to_string()),
        }
    }
}

impl Trouble {
    /// What a failed call means.
    pub(super) fn of(error: &Bollard, limit: Duration) -> Self {
        match error {
            Bollard::RequestTimeoutError => Self::Silent(limit),
            Bollard::DockerResponseServerError { message, .. }
                if message.contains("HTTP request to an HTTPS server") =>
            {
                Self::TlsMismatch
            }
            Bollard::DockerResponseServerError { status_code, message } => {
                Self::Other(format!("the engine answers with status {status_code}: {}", message.trim()))
            }
            Bollard::JsonDataError { message, .. } => Self::Strange(message.clone()),
            Bollard::JsonSerdeError { err } => Self::Strange(err.to_string()),
            error => Self::of_cause(error),
        }
    }

    /// The innermost cause says what happened; what is around it, where in the client.
    fn of_cause(error: &Bollard) -> Self {
        let mut cause: &dyn std::error::Error = error;
        loop {
            // An io::Error made of another error hides it from the chain.
            let hidden = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            match hidden.map(|error| error as &dyn std::error::Error).or_else(|| cause.source()) {
                Some(next) => cause = next,
                None => break,
            }
        }
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            return io::Error::from(error.kind()).into();
        }
        match cause {
            cause if tls::is_mismatch(cause) => Self::TlsMismatch,
            cause if connected(error) => Self::Strange(cause.to_string()),
            cause => Self::Other(cause.to_string()),
        }
    }
}

/// Whether the failure came after the connection was made.
fn connected(error: &Bollard) -> bool {
    match error {
        Bollard::HyperLegacyError { err } => !err.is_connect(),
        Bollard::HyperResponseError { .. } => true,
        _ => false,
    }
}

/// The error when none of the candidates answered.
pub(super) fn unreachable(tried: &[(Candidate, Trouble)], os: &str) -> Error {
    let message = match tried {
        [(Candidate { address, named_by: Some(by) }, trouble)] => {
            format!("can't reach the Docker engine at {address} (from {by}): {trouble}")
        }
        tried => tried.iter().fold("no Docker engine answers; tried:".into(), |text: String, (candidate, trouble)| {
            format!("{text}\n  {}: {trouble}", candidate.address)
        }),
    };
    let mut error = Error::new(ErrorKind::Engine, message);
    error.hints = remedies(tried, os);
    error
}

fn remedies(tried: &[(Candidate, Trouble)], os: &str) -> Vec<String> {
    let any = |is: &dyn Fn(&Trouble) -> bool| tried.iter().any(|(_, trouble)| is(trouble));
    let local = tried.iter().all(|(candidate, _)| !matches!(candidate.address, Address::Tcp { .. }));
    let mut hints: Vec<String> = Vec::new();
    let mut hint = |text: &str| hints.push(text.into());
    if any(&|trouble| matches!(trouble, Trouble::PermissionDenied)) {
        match os {
            "linux" => hint("add yourself to the docker group: sudo usermod -aG docker $USER; then log in again"),
            _ => hint("check who owns the socket"),
        }
    }
    let maybe_tls = |trouble: &Trouble| match trouble {
        Trouble::TlsMismatch => true,
        // The alert of a TLS server is no HTTP.
        Trouble::Strange(_) => !local,
        _ => false,
    };
    if any(&maybe_tls) {
        hint("an engine on port 2376 wants DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH, one on 2375 neither");
    }
    if any(&|trouble| matches!(trouble, Trouble::Silent(_))) {
        match (os, local) {
            ("linux", true) => hint("it may be starting or stuck; to restart it: sudo systemctl restart docker"),
            (_, true) => hint("it may be starting or stuck: wait a moment, or restart it"),
            (_, false) => hint("check that this machine can reach that host and port"),
        }
    }
    if any(&|trouble| matches!(trouble, Trouble::Refused | Trouble::NoSuchFile)) {
        match (os, local) {
            (_, false) => hint("check that an engine listens there"),
            ("linux", _) if any(&|trouble| matches!(trouble, Trouble::PermissionDenied)) => {}
            ("linux", _) if any(&|trouble| matches!(trouble, Trouble::Refused)) => {
                hint("its socket is there, but dockerd isn't running; to start it: sudo systemctl start docker");
            }
            ("linux", _) => {
                hint("start it: sudo systemctl start docker; or install it first: sudo apt install docker.io");
            }
            ("macos", _) => hint("start Docker Desktop, OrbStack or Colima (colima start)"),
            _ => hint("start Docker Desktop"),
        }
    }
    let by = tried.iter().find_map(|(candidate, _)| candidate.named_by.as_deref());
    if let Some(variable) = by.filter(|by| by.starts_with("DOCKER_")) {
        hint(&format!("{variable} asks for that engine; unset it to use the usual one"));
    }
    if by.is_some() {
        hint(
            "to use another engine: DOCKER_HOST or DOCKER_CONTEXT (taskava dev: --host, --context); docker context ls lists them",
        );
    }
    hints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(path: &str) -> Candidate {
        Candidate { address: Address::Unix(path.into()), named_by: None }
    }

    #[test]
    fn everything_tried_is_listed_with_its_reason() {
        let tried =
            [(socket("/var/run/docker.sock"), Trouble::PermissionDenied), (socket("/x.sock"), Trouble::NoSuchFile)];
        let error = unreachable(&tried, "linux");
        assert_eq!(error.kind.exit_code(), 3);
        assert_eq!(
            error.to_string(),
            "no Docker engine answers; tried:\n  unix:///var/run/docker.sock: permission denied\n  unix:///x.sock: no such file"
        );
        assert_eq!(error.hints.len(), 1);
        assert!(error.hints[0].contains("usermod -aG docker"));
    }

    #[test]
    fn a_named_engine_is_told_with_what_named_it() {
        let address = Address::Tcp { host: "box".into(), port: 2375, tls: None };
        let error =
            unreachable(&[(Candidate { address, named_by: Some("DOCKER_HOST".into()) }, Trouble::Refused)], "linux");
        assert_eq!(
            error.to_string(),
            "can't reach the Docker engine at tcp://box:2375 (from DOCKER_HOST): connection refused"
        );
        assert_eq!(error.hints[0], "check that an engine listens there");
        assert_eq!(error.hints[1], "DOCKER_HOST asks for that engine; unset it to use the usual one");
        assert!(error.hints[2].contains("--context"));
    }

    #[test]
    fn an_engine_that_wants_tls_says_so() {
        // Word for word what dockerd --tlsverify answers.
        let message = "Client sent an HTTP request to an HTTPS server.\n".into();
        let error = Bollard::DockerResponseServerError { status_code: 400, message };
        assert_eq!(Trouble::of(&error, Duration::ZERO), Trouble::TlsMismatch);
    }

    #[test]
    fn remedies_fit_the_system() {
        let missing = [(socket("/x.sock"), Trouble::NoSuchFile)];
        assert!(remedies(&missing, "linux")[0].contains("apt install"));
        assert!(remedies(&missing, "macos")[0].contains("Colima"));
        assert!(remedies(&missing, "windows")[0].contains("Docker Desktop"));
        assert!(remedies(&[(socket("/x.sock"), Trouble::Refused)], "linux")[0].contains("dockerd isn't running"));
        assert!(
            remedies(&[(socket("/x.sock"), Trouble::Silent(Duration::from_secs(1)))], "linux")[0].contains("restart")
        );
    }
}
