//! Guesses the kind of an image by its name.

use crate::model::Kind;
use crate::model::reference::Reference;

/// Images that are PostgreSQL and read its official image's variables.
const POSTGRES: [&str; 14] = [
    "postgis/postgis",
    "imresamu/postgis",
    "timescale/timescaledb",
    "timescale/timescaledb-ha",
    "pgvector/pgvector",
    "ankane/pgvector",
    "citusdata/citus",
    "paradedb/paradedb",
    "cimg/postgres",
    "apache/age",
    "pgautoupgrade/pgautoupgrade",
    "tensorchord/vchord-postgres",
    "tensorchord/pgvecto-rs",
    "immich-app/postgres",
];
/// Images that speak Redis' protocol.
const REDIS: [&str; 9] = [
    "redis/redis-stack",
    "redis/redis-stack-server",
    "valkey/valkey",
    "valkey/valkey-bundle",
    "eqalpha/keydb",
    "dragonflydb/dragonfly",
    "bitnami/redis",
    "bitnami/valkey",
    "bitnamilegacy/redis",
];
/// Images that are called as one of these and are configured in another way.
const OTHERS: [&str; 4] = ["supabase/postgres", "bitnami/postgres", "kartoza/postgis", "rapidfort/postgres"];

/// The kind of an image, if it is one that is known. `command`: the words it is run with; a client of a database is no
/// database.
pub fn kind(image: &str, command: Option<&[String]>) -> Option<Kind> {
    let reference = Reference::of(image);
    let path = reference.path();
    let known = |list: &[&str]| list.contains(&path);
    let last = path.rsplit('/').next().unwrap_or(path);
    let kind = match last {
        _ if known(&OTHERS) => None,
        _ if known(&POSTGRES) => Some(Kind::Postgres),
        _ if known(&REDIS) => Some(Kind::Redis),
        "postgres" => Some(Kind::Postgres),
        "redis" | "valkey" => Some(Kind::Redis),
        // Before 1.0 there is no `/_localstack/init`.
        "localstack" | "localstack-pro" => {
            (!reference.tag.unwrap_or_default().starts_with("0.")).then_some(Kind::Localstack)
        }
        "mailhog" => Some(Kind::Mailhog),
        "mailpit" => Some(Kind::Mailpit),
        "ministack" => Some(Kind::Ministack),
        _ => None,
    }?;
    serves(kind, command.unwrap_or_default()).then_some(kind)
}

/// Whether a command runs the server: none, its flags, or its name.
fn serves(kind: Kind, command: &[String]) -> bool {
    let Some(first) = command.first() else { return true };
    let program = first.rsplit('/').next().unwrap_or(first);
    let names: &[&str] = match kind {
        Kind::Postgres => &["postgres", "docker-entrypoint.sh", "start.sh"],
        Kind::Redis => &[
            "redis-server",
            "valkey-server",
            "keydb-server",
            "dragonfly",
            "redis-stack-server",
            "docker-entrypoint.sh",
        ],
        Kind::Mailhog => &["MailHog"],
        Kind::Mailpit => &["mailpit"],
        _ => return true,
    };
    let shell = matches!(program, "sh" | "bash" | "ash");
    let script = || command.iter().any(|word| names.iter().any(|name| word.contains(name)));
    first.starts_with('-') || names.contains(&program) || (shell && script()) || first.ends_with(".conf")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_by_name() {
        for (image, expected) in [
            ("postgres", Some(Kind::Postgres)),
            ("postgres:16-alpine@sha256:00", Some(Kind::Postgres)),
            ("public.ecr.aws/docker/library/postgres:15", Some(Kind::Postgres)),
            ("localhost:5000/postgres", Some(Kind::Postgres)),
            ("timescale/timescaledb:latest-pg16", Some(Kind::Postgres)),
            ("ghcr.io/immich-app/postgres:14", Some(Kind::Postgres)),
            ("supabase/postgres:15", None),
            ("bitnami/postgresql:15", None),
            ("prodrigestivill/postgres-backup-local", None),
            ("redis:7", Some(Kind::Redis)),
            ("docker.dragonflydb.io/dragonflydb/dragonfly", Some(Kind::Redis)),
            ("oliver006/redis_exporter", None),
            ("localstack/localstack:3.8", Some(Kind::Localstack)),
            ("localstack/localstack:0.14.2", None),
            ("mailhog/mailhog", Some(Kind::Mailhog)),
            ("axllent/mailpit:v1.20", Some(Kind::Mailpit)),
            ("mysql:8", None),
        ] {
            assert_eq!(kind(image, None), expected, "{image}");
        }
    }

    #[test]
    fn a_client_is_no_server() {
        let words = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
        for (image, command, expected) in [
            ("postgres:15", "-c max_connections=200", true),
            ("postgres:15", "postgres -c fsync=off", true),
            ("postgres:15", "pg_dump -h db", false),
            ("postgres:15", "sh -c pg_dumpall", false),
            ("redis:7", "redis-server --appendonly yes", true),
            ("redis:7", "sh -c exec redis-server", true),
            ("redis:7", "redis-cli monitor", false),
        ] {
            assert_eq!(kind(image, Some(&words(command))).is_some(), expected, "{image} {command}");
        }
    }
}
