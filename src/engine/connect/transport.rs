//! Creates the client for an address: Unix socket, named pipe, TCP; TLS by `tls`. Sends nothing yet.

use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};

use super::candidates::Address;
use super::tls;

/// How long the head of any answer may take: the last line of defence behind the limits of `connect`.
/// Calls that rightly take longer to begin an answer use `docker.clone().with_timeout(…)`.
const HEAD_LIMIT: Duration = Duration::from_secs(120);

pub(super) fn client(address: &Address) -> anyhow::Result<Docker> {
    let seconds = HEAD_LIMIT.as_secs();
    let docker = match address {
        #[cfg(unix)]
        Address::Unix(path) => Docker::connect_with_unix(&path.to_string_lossy(), seconds, API_DEFAULT_VERSION)?,
        #[cfg(windows)]
        Address::Pipe(path) => Docker::connect_with_named_pipe(path, seconds, API_DEFAULT_VERSION)?,
        Address::Tcp { tls: None, .. } => {
            Docker::connect_with_http(&address.to_string(), seconds, API_DEFAULT_VERSION)?
        }
        Address::Tcp { tls: Some(tls), .. } => {
            tls::client(&address.to_string().replacen("tcp", "https", 1), tls, HEAD_LIMIT)?
        }
        other => anyhow::bail!("{other} can't be used on {}", std::env::consts::OS),
    };
    Ok(docker.with_request_modifier(registry_auth_as_base64url))
}

/// Engines decode `X-Registry-Auth` as base64url and take a value they can't decode for no credentials at all, but
/// bollard writes standard base64: without this, some passwords end as "access denied".
fn registry_auth_as_base64url(mut request: BollardRequest) -> BollardRequest {
    for name in ["x-registry-auth", "x-registry-config"] {
        if let Some(value) = request.headers_mut().get_mut(name) {
            let url_safe = value.as_bytes().iter().map(|byte| match byte {
                b'+' => b'-',
                b'/' => b'_',
                other => *other,
            });
            *value = url_safe.collect::<Vec<_>>().try_into().expect("base64 is valid in a header");
            value.set_sensitive(true);
        }
    }
    request
}

#[cfg(test)]
mod tests {
    use bollard::body_full;

    use super::*;

    #[test]
    fn registry_credentials_are_sent_url_safe() {
        let request =
            hyper::Request::post("/images/create").header("X-Registry-Auth", "a+b/c=").header("X-Other", "a+b/");
        let request = registry_auth_as_base64url(request.body(body_full("".into())).expect("a request"));
        assert_eq!(request.headers()["x-registry-auth"], "a-b_c=");
        assert!(request.headers()["x-registry-auth"].is_sensitive());
        assert_eq!(request.headers()["x-other"], "a+b/");
    }
}
