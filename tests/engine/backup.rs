//! `backup` and `restore`: a stack's data in one file, into another stack, and what is wrong with files.

use std::io::Read as _;

use postgres::{Client, NoTls};
use sha2::{Digest as _, Sha256};

use crate::docker;
use crate::objects::{LOCALSTACK, S3, is_all_there, store};
use crate::stack::{Stack, heavy, wait_until};

const SERVICES: &str = r#"
[services.postgres]
kind = "postgres"
image = "image:postgres"
ports = ["5432"]
env = { POSTGRES_USER = "app", POSTGRES_PASSWORD = "hunter2", POSTGRES_DB = "app" }
volumes = ["pg:/var/lib/postgresql/data"]

[services.redis]
kind = "redis"
image = "image:redis"
ports = ["6379"]
volumes = ["redis:/data"]

[volumes.pg]
[volumes.redis]
"#;

const SEED: &str = "
create role reader login;
create schema shop;
create table shop.items (id bigserial primary key, name text not null, price numeric(10, 2), at timestamptz default now());
insert into shop.items (name, price) select 'item ' || n, n / 7.0 from generate_series(1, 20000) n;
create index on shop.items (name);
create view shop.dear as select * from shop.items where price > 100;
create table \"odd \"\"name\" (taskava_row jsonb, data bytea);
insert into \"odd \"\"name\" values ('{\"a\": [1, 2]}', '\\x00ff');
grant select on shop.items to reader;
create materialized view shop.counted as select count(*) from shop.items;
select lo_from_bytea(0, 'large');";

/// A stack with data of every sort.
fn filled(name: &str) -> Stack {
    let stack = Stack::new(name, SERVICES);
    stack.up();
    let mut client = database(&stack);
    client.batch_execute(SEED).expect("seeded");
    client.batch_execute("create database \"second one\"").expect("another database");
    for command in [
        "SET plain hello",
        "SET short lived EX 1000",
        "SADD set a b c",
        "HSET hash f v g w",
        "RPUSH list 1 2 3",
        "ZADD zset 1 a 2.5 b",
        "XADD stream 1-1 field value",
        "-n 3 SET other database",
    ] {
        redis(&stack, command);
    }
    stack
}

fn database(stack: &Stack) -> Client {
    named(stack, "app")
}

fn named(stack: &Stack, database: &str) -> Client {
    let url = format!("postgres://app:hunter2@127.0.0.1:{}/{database}", stack.port("postgres", 5432));
    Client::connect(&url, NoTls).unwrap_or_else(|error| panic!("{url}: {error}"))
}

fn redis(stack: &Stack, command: &str) -> String {
    let words: Vec<&str> = ["redis-cli"].into_iter().chain(command.split(' ')).collect();
    docker::output(&stack.container("redis"), &words).trim().to_owned()
}

/// What there is, in words that are the same where the data is the same.
fn contents(stack: &Stack) -> Vec<String> {
    let mut client = database(stack);
    let mut all = Vec::new();
    for sql in [
        "select md5(string_agg(i::text, ',' order by id)) from shop.items i",
        "select string_agg(x::text, ',') from \"odd \"\"name\" x",
        "select count::text from shop.counted",
        "select nextval('shop.items_id_seq')::text",
        "select has_table_privilege('reader', 'shop.items', 'select')::text",
        "select string_agg(indexdef, ',' order by indexdef) from pg_indexes where schemaname = 'shop'",
        "select count(*)::text from pg_largeobject",
        "select string_agg(datname, ',' order by datname) from pg_database",
    ] {
        all.push(client.query_one(sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error}")).get(0));
    }
    for command in ["GET plain", "SMEMBERS set", "HGETALL hash", "LRANGE list 0 -1", "ZRANGE zset 0 -1 WITHSCORES"] {
        let mut lines: Vec<String> = redis(stack, command).lines().map(String::from).collect();
        lines.sort_unstable();
        all.push(lines.join(","));
    }
    all.extend(["XRANGE stream - +", "-n 3 GET other", "DBSIZE"].map(|command| redis(stack, command)));
    all
}

/// A backup with a text replaced in a member, and every digest made right again.
fn forged(file: &[u8], name: &str, from: &str, to: &str) -> Vec<u8> {
    let mut members: Vec<(String, Vec<u8>)> = Vec::new();
    for entry in tar::Archive::new(file).entries().expect("a tar") {
        let mut entry = entry.expect("a member");
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("its content");
        members.push((entry.path().expect("a name").to_string_lossy().into_owned(), content));
    }
    members.pop();
    let digest = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let replace = |content: &mut Vec<u8>| {
        let text = String::from_utf8(std::mem::take(content)).expect("text");
        assert!(text.contains(from), "{from} is not in {text}");
        *content = text.replace(from, to).into_bytes();
    };
    let (_, mut manifest) = members.pop().expect("the manifest");
    let mut listed: serde_json::Value = serde_json::from_slice(&manifest).expect("JSON");
    if let Some((path, content)) = members.iter_mut().find(|(path, _)| path.ends_with(name)) {
        replace(content);
        let all = listed["members"].as_array_mut().expect("members");
        let listed = all.iter_mut().find(|listed| listed["name"] == path.as_str()).expect("it is listed");
        listed["size"] = content.len().into();
        listed["sha256"] = digest(content).into();
    }
    manifest = serde_json::to_vec_pretty(&listed).expect("JSON");
    if name == "manifest.json" {
        replace(&mut manifest);
    }
    members.push(("manifest.json".into(), manifest));
    let mut all = Vec::new();
    for (path, content) in &members {
        add(&mut all, path, content);
    }
    let digest = format!("{}\n", digest(&all));
    add(&mut all, "SHA256", digest.as_bytes());
    all.resize(all.len() + 1024, 0);
    all
}

/// Adds a member as a backup has it.
fn add(tar: &mut Vec<u8>, path: &str, content: &[u8]) {
    let mut header = tar::Header::new_ustar();
    header.set_path(path).expect("a name");
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    tar.extend(header.as_bytes());
    tar.extend(content);
    tar.resize(tar.len().div_ceil(512) * 512, 0);
}

/// What is in the temporary folder of the server.
fn left_inside(stack: &Stack) -> String {
    docker::output(&stack.container("postgres"), &["ls", "/tmp"]).trim().to_owned()
}

#[test]
fn a_stack_comes_back_in_another_one_and_bad_files_touch_nothing() {
    let _turn = heavy();
    let stack = filled("backup");
    stack.dev(&["backup", "a.tar"]).ends(0).says(&["saved t-", "postgres: 3 databases", "redis: 8 keys"]);
    assert_eq!(left_inside(&stack), "");
    let file = stack.path().join("a.tar");
    let bytes = std::fs::read(&file).expect("the file");
    assert!(!bytes.windows(7).any(|window| window == b"hunter2"), "a password is in it");
    stack.dev(&["backup", "a.tar"]).ends(2).says(&["file a.tar already exists", "--force"]);
    let list = stack.dev(&["restore", "a.tar", "--list", "--json"]).ends(0).json().pop().expect("a value");
    assert_eq!(list["services"][1]["keys"], 8);
    assert!(stack.dev(&["restore", "a.tar", "--config"]).ends(0).stdout.contains("********"));

    // What is damaged or unknown is refused, wherever it is.
    let other = Stack::new("backup-other", &SERVICES.replace("POSTGRES_DB = \"app\"", "POSTGRES_DB = \"theirs\""));
    let bad = other.path().join("bad.tar");
    let size = bytes.len();
    for at in [0, 1, 511, 512, 700, size / 3, size / 2, size - 2048, size - 2047, size - 1] {
        std::fs::write(&bad, &bytes[..at]).expect("cut short");
        other.dev(&["restore", "bad.tar"]).ends(1);
        let mut flipped = bytes.clone();
        flipped[at] ^= 4;
        std::fs::write(&bad, &flipped).expect("altered");
        other.dev(&["restore", "bad.tar"]).ends(1);
    }
    // So is a file that was made by hand, whatever its digests are.
    for (member, from, to, said) in [
        ("roles.sql", "CREATE ROLE reader;", "\\! touch /tmp/meta\nCREATE ROLE reader;", "has a command of psql"),
        ("roles.sql", "CREATE ROLE reader;", "DO $$begin end$$;", "where no statement has one"),
        ("roles.sql", "CREATE ROLE reader;", "COPY (select 1) TO PROGRAM 'id';", "where no statement has one"),
        ("roles.sql", "CREATE ROLE reader;", "ALTER SYSTEM SET x = 'y';", "makes no role: ALTER SYSTEM SET x"),
        (
            "manifest.json",
            "\"name\": \"second one\"",
            "\"name\": \"first one\"",
            "is of database second one, and not of first one",
        ),
        ("manifest.json", "\"name\": \"app\"", "\"name\": \"template1\"", "is never saved"),
        ("manifest.json", "\"service\": \"redis\"", "\"service\": \"../redis\"", "the service's name"),
    ] {
        std::fs::write(&bad, forged(&bytes, member, from, to)).expect("forged");
        other.dev(&["restore", "bad.tar"]).ends(1).says(&[
            "bad.tar: taskava does not create such a backup",
            said,
            "nothing was touched",
        ]);
    }
    assert_eq!(other.state("postgres"), "none", "nothing was touched");
    std::fs::write(&bad, "hello").expect("another file");
    other.dev(&["restore", "bad.tar"]).ends(1).says(&["bad.tar: this is not a backup"]);

    // It is brought up for it. The service's own database has another name there.
    let path = file.to_str().expect("a path");
    let restored = other.dev(&["restore", path, "--json"]).ends(0).json().pop().expect("a value");
    assert_eq!(restored["differences"], serde_json::json!([]));
    assert_eq!(left_inside(&other), "");
    let mut theirs = named(&other, "theirs");
    assert_eq!(theirs.query_one("select count(*) from shop.items", &[]).expect("the table").get::<_, i64>(0), 20_000);
    drop(theirs);
    other.dev(&["ps"]).ends(0);

    // Where there is data, only with --replace, and it is saved first.
    let before = contents(&stack);
    database(&stack).batch_execute("truncate shop.items; create table more ()").expect("changed");
    redis(&stack, "SET plain changed");
    let refused = stack.dev(&["restore", "a.tar"]).ends(2);
    refused.says(&["data already exists: database app of postgres", "8 keys of redis", "--replace"]);
    assert_eq!(redis(&stack, "GET plain").trim(), "changed");
    stack.dev(&["restore", "a.tar", "--replace"]).ends(0).says(&["compared with what was saved"]);
    assert_eq!(contents(&stack), before);
    let lives: i64 = redis(&stack, "TTL short").trim().parse().expect("a number");
    assert!((1..=1000).contains(&lives), "{lives}");
    assert!(stack.dev(&["snapshot", "list"]).ends(0).stdout.contains("auto-"));
}

#[test]
fn every_version_of_every_object_comes_back() {
    let _turn = heavy();
    let stack = Stack::new("backup-s3", LOCALSTACK);
    stack.file("seed/page.html", "declared");
    stack.up();
    let s3 = S3::of(&stack, "localstack");
    store(&s3);
    s3.fill("made-by-the-app", 1200);
    let (kept, made) = (s3.everything("kept"), s3.everything("made-by-the-app"));
    let file = stack.path().join("a.tar");
    stack.dev(&["backup", "a.tar"]).ends(0).says(&["localstack: 2 buckets, 1214 versions of objects (21 MB)"]);

    // What the seed put there is data too.
    let other = Stack::new("backup-s3-other", LOCALSTACK);
    other.file("seed/page.html", "declared otherwise");
    let path = file.to_str().expect("a path");
    other.dev(&["restore", path]).ends(2).says(&["data already exists: bucket kept of localstack"]);
    other.dev(&["restore", path, "--replace"]).ends(0).says(&["compared with what was saved"]);
    is_all_there(&S3::of(&other, "localstack"), &kept, &made);
}

#[test]
fn an_encrypted_file_has_the_secrets_and_is_for_who_has_the_key() {
    let _turn = heavy();
    let stack = Stack::new("backup-age", SERVICES);
    stack.up();
    redis(&stack, "SET a 1");
    stack.file("pass", "correct horse\n");
    stack.file("wrong", "battery staple\n");
    stack.dev(&["backup", "a.age", "--passphrase-file", "pass"]).ends(0);
    let bytes = std::fs::read(stack.path().join("a.age")).expect("the file");
    assert!(bytes.starts_with(b"age-encryption.org/v1"));
    stack.dev(&["restore", "a.age"]).ends(2).says(&["a.age is encrypted", "--passphrase-file FILE"]);
    stack.dev(&["restore", "a.age", "--passphrase-file", "wrong"]).ends(1).says(&["nothing was touched"]);
    let shown = stack.dev(&["restore", "a.age", "--passphrase-file", "pass", "--config"]).ends(0).stdout;
    assert!(shown.contains("hunter2"), "{shown}");
    std::fs::write(stack.path().join("cut.age"), &bytes[..bytes.len() - 9]).expect("cut short");
    stack.dev(&["restore", "cut.age", "--passphrase-file", "pass"]).ends(1).says(&["nothing was touched"]);
    redis(&stack, "DEL a");
    stack.dev(&["restore", "a.age", "--passphrase-file", "pass"]).ends(0);
    assert_eq!(redis(&stack, "GET a").trim(), "1");
}

#[test]
fn what_is_interrupted_leaves_nothing() {
    let _turn = heavy();
    let stack = Stack::new("backup-cut", SERVICES);
    stack.up();
    let mut client = database(&stack);
    // It waits for the lock on the table for as long as it is wanted.
    client
        .batch_execute("create table held (id int); begin; lock table held in access exclusive mode")
        .expect("locked");
    for signal in ["INT", "KILL"] {
        let mut running = stack.start(&["backup", "a.tar"]);
        running.wait_for("saving database app");
        wait_until("the dump runs", || left_inside(&stack).contains("taskava-backup").then_some(()));
        running.signal(signal);
        let ended = running.finish();
        assert_eq!(ended.code, if signal == "INT" { 130 } else { -1 }, "{}", ended.stderr);
        wait_until("nothing is left inside", || left_inside(&stack).is_empty().then_some(()));
        assert!(!stack.path().join("a.tar").exists());
        assert_eq!(stack.path().join("a.tar.partial").exists(), signal == "KILL");
    }
    client.batch_execute("rollback").expect("unlocked");
    stack.dev(&["backup", "no/such/folder/a.tar"]).ends(1).says(&["can't write no/such/folder/a.tar.partial"]);
    stack.dev(&["backup", "/dev/full/a"]).ends(1).says(&["can't write /dev/full/a.partial"]);
    stack.dev(&["backup", "a.tar"]).ends(0);
    assert!(!stack.path().join("a.tar.partial").exists(), "what was left behind is removed");
    client.batch_execute("select 1").expect("none of it made the server restart");
    stack.dev(&["stop", "redis"]).ends(0);
    stack.dev(&["backup", "b.tar"]).ends(1).says(&["redis does not run", "taskava dev up redis"]);
}
