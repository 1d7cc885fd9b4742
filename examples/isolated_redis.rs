//! A stack of its own for a program that is no test: `cargo run --example isolated_redis -- services.toml`
//!
//! Prints the stack's name and Redis' URL, then waits for a line: `panic`, `exit`, or anything else to end as one should.

#![allow(clippy::print_stdout, reason = "it is what an example is for")]

use std::io::BufRead as _;

use taskava::testing::{Error, Stack};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let file = std::env::args().nth(1).unwrap_or_else(|| "services.toml".into());
    let stack = Stack::from_file(file).services(["redis"]).start().await?;
    println!("{} {}", stack.name(), stack.url("redis"));
    let mut line = String::new();
    let _ = std::io::stdin().lock().read_line(&mut line);
    match line.trim() {
        "panic" => panic!("as asked"),
        "exit" => std::process::exit(0),
        _ => stack.stop().await,
    }
}
