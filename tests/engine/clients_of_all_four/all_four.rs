//! Talks to all four services by the variables that `taskava dev test` sets, with nothing but the standard library.

use std::env::var;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

fn exchange(address: &str, message: &[u8], until: &str) {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    stream.write_all(message).expect("written");
    let (mut answer, mut more) = (String::new(), [0; 4096]);
    while !answer.contains(until) {
        let read = stream.read(&mut more).expect("an answer");
        assert!(read > 0, "no {until:?} in {answer:?}");
        answer += &String::from_utf8_lossy(&more[..read]);
    }
}

fn address(host: &str, port: &str) -> String {
    format!("{}:{}", var(host).expect("a host"), var(port).expect("a port"))
}

fn get(url: &str, path: &str, until: &str) {
    let address = var(url).expect("a URL").replace("http://", "");
    exchange(&address, format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes(), until);
}

#[test]
fn postgres() {
    let parameters = format!("user\0{}\0database\0{}\0\0", var("PGUSER").unwrap(), var("PGDATABASE").unwrap());
    let query = b"SELECT 'from-' || 'rust'\0";
    let mut message = Vec::new();
    message.extend(u32::try_from(8 + parameters.len()).unwrap().to_be_bytes());
    message.extend(196_608_u32.to_be_bytes());
    message.extend(parameters.as_bytes());
    message.push(b'Q');
    message.extend(u32::try_from(4 + query.len()).unwrap().to_be_bytes());
    message.extend(query);
    exchange(&address("PGHOST", "PGPORT"), &message, "from-rust");
}

#[test]
fn redis() {
    exchange(&address("REDIS_HOST", "REDIS_PORT"), b"PING\r\n", "+PONG\r\n");
}

#[test]
fn localstack() {
    get("AWS_ENDPOINT_URL", "/_localstack/health", "\"s3\"");
}

#[test]
fn mail() {
    exchange(&address("SMTP_HOST", "SMTP_PORT"), b"", "220 ");
    get("MAIL_URL", "/api/v2/messages", "\"total\"");
}
