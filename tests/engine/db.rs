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

    stack.dev(&["db", "fork", "two"]).ends(2).says(&["database `two` already exists", "db drop two"]);
    stack.dev(&["db", "fork", "theirs"]).ends(2).says(&["database `theirs` already exists"]);
    stack.dev(&["db", "fork", "a\"b"]).ends(2);
    stack.dev(&["db", "drop", "one", "theirs"]).ends(2).says(&["`theirs` was not created by `db fork`"]);
    assert_eq!(list(&stack, "fork"), ["one", "three", "two"]);
    // Whichever clients are connected.
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

#[test]
fn what_is_left_of_a_copy_that_was_cut_off_is_dropped_by_whatever_looks_next() {
    let stack = Stack::new("db-cut", POSTGRES);
    stack.up();
    let port = stack.port("postgres", 5432);
    let mut source = postgres(port);
    let names = |source: &mut Client| -> Vec<String> {
        let rows = source.query("select datname::text from pg_database where datname like '%taskava%' order by 1", &[]);
        rows.expect("a list").iter().map(|row| row.get(0)).collect()
    };
    // As a kill leaves them: of a dump, of a copy for the pool, one that is still being made, and one of the user's own.
    for (name, made_so) in [
        ("taskava_copy_00000001", "connection limit 1907433521"),
        ("app_taskava_00000002", "connection limit 1907433521"),
        ("taskava_copy_00000003", "connection limit 1907433521"),
        ("taskava_copy_00000004", ""),
    ] {
        source.batch_execute(&format!("create database {name} {made_so}")).expect("a database");
    }
    // The locks of the sessions that make databases are those of one database.
    let mut maker = Client::connect(&format!("postgres://app:secret@127.0.0.1:{port}/postgres"), NoTls).expect("in");
    maker.batch_execute("select pg_advisory_lock(hashtext('taskava making taskava_copy_00000003'))").expect("the lock");
    stack.dev(&["db", "list"]).ends(0);
    assert_eq!(names(&mut source), ["taskava_copy_00000003", "taskava_copy_00000004"]);
    drop(maker);
    drop(source);
    // Its session ends a moment after its connection.
    wait_until("the lock to be free", || {
        stack.dev(&["db", "list"]).ends(0);
        (names(&mut postgres(port)) == ["taskava_copy_00000004"]).then_some(())
    });
    stack.dev(&["db", "fork", "one", "--pool", "1", "--disconnect"]).ends(0);
    wait_until("a full pool", || (list(&stack, "pool").len() == 1).then_some(()));
    let limits = "select count(*) from pg_database where datconnlimit = 1907433521";
    let unfinished: i64 = postgres(port).query_one(limits, &[]).expect("a number").get(0);
    assert_eq!(unfinished, 0, "what is whole has no mark of what is not");
}

#[test]
fn a_fork_that_is_killed_leaves_nothing_that_the_next_one_does_not_drop() {
    let _turn = heavy();
    let stack = Stack::new("db-kill", POSTGRES);
    stack.up();
    let port = stack.port("postgres", 5432);
    postgres(port).batch_execute("create table seeded (id int)").expect("seeded");
    stack.dev(&["db", "fork", "first"]).ends(0);
    let count = |client: &mut Client, of: &str| -> i64 {
        client.query_one(&format!("select count(*) from {of}"), &[]).expect("a number").get(0)
    };
    let unmarked = "pg_database where datname like 'app_taskava_%' and shobj_description(oid, 'pg_database') is null";
    let mut kills = 0;
    for number in 0..20 {
        let fork = stack.start(&["db", "fork", &format!("f{number}")]);
        let mut admin = postgres(port);
        wait_until("a copy", || {
            let begun = count(&mut admin, "pg_stat_activity where query like 'CREATE DATABASE%' and state = 'active'");
            let ended = count(&mut admin, &format!("pg_database where datname = 'f{number}'"));
            (begun + ended > 0).then_some(())
        });
        fork.signal_if_running("KILL");
        kills += i32::from(fork.finish().code != 0);
    }
    assert!(kills > 0, "none was cut off");
    wait_until("nothing is left", || {
        stack.dev(&["db", "list"]).ends(0);
        (count(&mut postgres(port), unmarked) == 0).then_some(())
    });
}
