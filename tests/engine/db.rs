//! `db`: private copies of a database.

use postgres::{Client, NoTls};

use crate::clients::{POSTGRES, postgres};
use crate::stack::{Stack, heavy, wait_until};

fn at(url: &str) -> Client {
    Client::connect(url.trim(), NoTls).unwrap_or_else(|error| panic!("{url}: {error}"))
}

fn count(client: &mut Client) -> i64 {
    client.query_one("select count(*) from seeded", &[]).expect("the table").get(0)
}

fn list(stack: &Stack, of: &str) -> Vec<String> {
    let list = stack.dev(&["db", "list", "--json"]).ends(0).json().remove(0);
    let all = list["databases"].as_array().expect("a list").clone();
    let names = all.iter().filter(|copy| copy["role"] == of).map(|copy| copy["database"].as_str().expect("a name"));
    names.map(String::from).collect()
}

#[test]
fn each_fork_is_its_own_and_only_ours_are_dropped() {
    let stack = Stack::new("db", POSTGRES);
    stack.up();
    let mut source = postgres(stack.port("postgres", 5432));
    source.batch_execute("create table seeded as select generate_series(1, 3) as id").expect("seeded");
    source.batch_execute("create database theirs").expect("another database");

    // The first fork needs the source for itself.
    let refused = stack.dev(&["db", "fork", "one"]).ends(1);
    refused.says(&["app is in use", "a client (1)", "--disconnect"]);
    stack.dev(&["db", "fork", "one", "--disconnect"]).ends(0);
    assert!(source.batch_execute("select").is_err(), "its connection was closed");

    // From then on it may be in use.
    let mut source = postgres(stack.port("postgres", 5432));
    let two = stack.dev(&["db", "fork", "two", "--json"]).ends(0).json().remove(0);
    assert_eq!((&two["database"], &two["from"], &two["pooled"]), (&"two".into(), &"app".into(), &false.into()));
    let mut two = at(two["url"].as_str().expect("a url"));
    two.batch_execute("delete from seeded").expect("deleted");
    assert_eq!((count(&mut two), count(&mut source)), (0, 3));
    let one = stack.dev(&["db", "list"]).ends(0).stdout;
    assert!(one.contains("one") && one.contains("template"), "{one}");

    source.batch_execute("insert into seeded values (4)").expect("written");
    drop(source);
    let refreshed = stack.dev(&["db", "fork", "three", "--refresh", "--disconnect"]).ends(0);
    assert_eq!(count(&mut at(&refreshed.stdout)), 4);

    stack.dev(&["db", "fork", "two"]).ends(2).says(&["there is a database `two` already", "db drop two"]);
    stack.dev(&["db", "fork", "theirs"]).ends(2).says(&["there is a database `theirs` already"]);
    stack.dev(&["db", "fork", "a\"b"]).ends(2);
    stack.dev(&["db", "drop", "one", "theirs"]).ends(2).says(&["`theirs` is no database that `db fork` made"]);
    assert_eq!(list(&stack, "fork"), ["one", "three", "two"]);
    // Whoever is connected.
    stack.dev(&["db", "drop", "two"]).ends(0);
    stack.dev(&["db", "drop", "--all"]).ends(0);
    assert_eq!(stack.dev(&["db", "list", "--json"]).ends(0).json()[0]["databases"], serde_json::json!([]));
    let mut source = postgres(stack.port("postgres", 5432));
    let rows = source.query("select datname from pg_database where datname in ('app', 'theirs', 'one')", &[]);
    assert_eq!(rows.expect("a list").len(), 2);
}

#[test]
fn a_pool_is_used_up_and_filled_again() {
    let _turn = heavy();
    let stack = Stack::new("db-pool", POSTGRES);
    stack.up();
    postgres(stack.port("postgres", 5432)).batch_execute("create table seeded (id int)").expect("seeded");
    let fork = |name: &str, more: &[&str]| {
        let all: Vec<&str> = ["db", "fork", name, "--json"].iter().chain(more).copied().collect();
        stack.dev(&all).ends(0).json().remove(0)
    };
    assert_eq!(fork("t1", &["--pool", "3"])["pooled"], false);
    let full = || wait_until("a full pool", || (list(&stack, "pool").len() == 3).then_some(()));
    full();
    // More at once than are ready, some of which come to the same one.
    let running: Vec<_> = (0..5).map(|n| stack.start(&["db", "fork", &format!("p{n}")])).collect();
    let urls: std::collections::BTreeSet<String> =
        running.into_iter().map(|running| running.finish().ends(0).stdout).collect();
    assert_eq!(urls.len(), 5);
    for url in &urls {
        assert_eq!(count(&mut at(url)), 0);
    }
    full();
    assert_eq!(fork("t2", &["--pool", "0"])["pooled"], true);
}

#[test]
fn without_a_server_it_is_said_why() {
    let stack = Stack::new("db-no", POSTGRES);
    stack.dev(&["db", "fork", "x"]).ends(1).says(&["postgres does not run", "taskava dev up postgres"]);
    stack.dev(&["db", "list", "--service", "postgre"]).ends(2).says(&["did you mean `postgres`?"]);
    let redis = Stack::new("db-none", "[services.redis]\nkind = \"redis\"\nimage = \"image:redis\"\n");
    redis.dev(&["db", "list"]).ends(2).says(&["is of kind postgres"]);
}
