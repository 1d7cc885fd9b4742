//! What a developer's programs do with the stack's services, over TCP from the host.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use postgres::{Client, NoTls};

/// Logs in as the user of [`POSTGRES`], with one attempt.
#[track_caller]
pub(crate) fn postgres(port: u16) -> Client {
    let mut config = postgres::Config::new();
    config.host("127.0.0.1").port(port).user("app").password("secret").dbname("app");
    config.connect_timeout(Duration::from_secs(5)).connect(NoTls).expect("a login right after up")
}

/// A PostgreSQL service whose data is in a volume `data`. How long a boot takes on a busy machine is no subject here.
pub(crate) const POSTGRES: &str = r#"
[services.postgres]
kind = "postgres"
image = "image:postgres"
ports = ["5432"]
env = { POSTGRES_USER = "app", POSTGRES_PASSWORD = "secret", POSTGRES_DB = "app" }
ready = { timeout = "4m" }
volumes = ["data:/var/lib/postgresql/data"]
"#;

/// A Redis whose data is in a volume `cache`.
pub(crate) const REDIS: &str = r#"
[services.redis]
kind = "redis"
image = "image:redis"
ports = ["6379"]
volumes = ["cache:/data"]
"#;

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    stream
}

/// Sends a line and returns the first one that comes back; with an empty line only listens.
#[track_caller]
pub(crate) fn ask(address: &str, line: &str) -> String {
    let mut stream = connect(address);
    if !line.is_empty() {
        stream.write_all(format!("{line}\r\n").as_bytes()).expect("sent");
    }
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).expect("an answer");
    answer.trim_end().to_owned()
}

/// `GET`s a path with more headers; returns status and body.
#[track_caller]
pub(crate) fn get(address: &str, path: &str, headers: &str) -> (u16, String) {
    let mut stream = connect(address);
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n{headers}\r\n").expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, body.to_owned())
}
