//! Tests on a stack of their own: one stack for the whole binary, a private copy of the database for each test.
//!
//! The stack is gone when the tests are over, whatever ends them. Run with: cargo test

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use postgres::{Client, NoTls};
use taskava::testing::Stack;
use tokio::sync::OnceCell;

/// The stack that all tests share. Nothing has to take it down: the end of the process does.
async fn stack() -> &'static Stack {
    static SHARED: OnceCell<Stack> = OnceCell::const_new();
    let start = || async { Stack::from_file("services.toml").start().await.expect("the stack comes up") };
    SHARED.get_or_init(start).await
}

/// Runs what is not asynchronous where it may wait.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("no panic")
}

/// Puts an order into a database of its own and counts: no other order is in it.
async fn one_order(item: &'static str) -> i64 {
    let copy = stack().await.fork_database().await.expect("a copy");
    let url = copy.url.clone();
    apart(move || {
        let mut client = Client::connect(&url, NoTls).expect("a login");
        client.execute("insert into orders (item) values ($1)", &[&item]).expect("an order");
        client.query_one("select count(*) from orders", &[]).expect("a count").get(0)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_stored() {
    assert_eq!(one_order("bread").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_order_is_alone_in_its_database() {
    assert_eq!(one_order("salt").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cache_answers() {
    let stack = stack().await;
    let (host, port) = (stack.host(), stack.port("redis", 6379).expect("services.toml publishes it"));
    let answer = apart(move || {
        let mut stream = TcpStream::connect((host, port)).expect("a connection");
        stream.write_all(b"PING\r\n").expect("a question");
        let mut answer = [0; 7];
        stream.read_exact(&mut answer).expect("an answer");
        answer
    })
    .await;
    assert_eq!(&answer, b"+PONG\r\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_is_in_place() {
    let query = ["psql", "-U", "postgres", "-d", "shop", "-Atc", "select count(*) from orders"];
    let answer = stack().await.exec("postgres", query).await.expect("psql runs");
    assert_eq!((answer.code, answer.stdout.trim()), (0, "0"), "{}", answer.stderr);
}
