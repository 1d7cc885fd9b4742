//! Which services are known to keep a database in files that no second server may use.

use std::path::Path;

use crate::model::Service;
use crate::model::reference::Reference;

/// Words in the names of images of such servers.
const WORDS: &[&str] = &[
    "arangodb",
    "cassandra",
    "clickhouse",
    "cockroach",
    "consul",
    "couchbase",
    "couchdb",
    "cratedb",
    "db2",
    "dgraph",
    "dragonfly",
    "dynamodb",
    "elasticsearch",
    "etcd",
    "eventstore",
    "firebird",
    "immudb",
    "influxdb",
    "kafka",
    "keydb",
    "ledger",
    "mariadb",
    "meilisearch",
    "memgraph",
    "milvus",
    "minio",
    "mongo",
    "mongod",
    "mongodb",
    "mssql",
    "mysql",
    "neo4j",
    "opensearch",
    "oracle",
    "orientdb",
    "percona",
    "pgvector",
    "postgis",
    "postgres",
    "postgresql",
    "prometheus",
    "pulsar",
    "qdrant",
    "questdb",
    "rabbitmq",
    "ravendb",
    "redis",
    "redpanda",
    "rethinkdb",
    "scylla",
    "scylladb",
    "seaweedfs",
    "solr",
    "sqlserver",
    "surrealdb",
    "tarantool",
    "tidb",
    "timescale",
    "timescaledb",
    "typesense",
    "valkey",
    "vault",
    "victoriametrics",
    "weaviate",
    "yugabyte",
    "yugabytedb",
    "zookeeper",
];

/// Whether what is mounted at `target` may be files of a database. `volumes`: the folders that the service's image declares
/// as volumes.
pub fn may_hold_database(service: &Service, volumes: &[String], target: &str) -> bool {
    let declared = |volume: &String| Path::new(target).starts_with(volume);
    super::data_path(service).is_some() || is_database(&service.image) || volumes.iter().any(declared)
}

/// Whether an image is a database server's, by its name without registry and tag.
fn is_database(image: &str) -> bool {
    let reference = Reference::of(image);
    let path = reference.path().to_ascii_lowercase();
    path.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| WORDS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::sample::stack;

    #[test]
    fn servers_are_known_by_their_images() {
        for image in [
            "mysql",
            "mariadb:11",
            "mcr.microsoft.com/mssql/server:2022-latest",
            "docker.elastic.co/elasticsearch/elasticsearch:8.1",
            "localhost:5000/team/mysql-server@sha256:00",
            "confluentinc/cp-kafka",
            "bitnami/postgresql",
            "MinIO/minio",
        ] {
            assert!(is_database(image), "{image}");
        }
        for image in ["nginx", "node:22", "mysql.example.com/app", "app:mysql", "python:3.13-slim"] {
            assert!(!is_database(image), "{image}");
        }
    }

    #[test]
    fn or_by_a_volume_of_the_image_at_the_target_or_above() {
        let stack = stack("[services.a]\nimage = \"a:1\"\n[services.db]\nkind = \"redis\"\n");
        let holds = |target: &str| may_hold_database(&stack.services["a"], &["/var/lib/a".into()], target);
        assert!(holds("/var/lib/a") && holds("/var/lib/a/files"));
        assert!(!holds("/var/lib") && !holds("/var/lib/ab") && !holds("/src"));
        assert!(may_hold_database(&stack.services["db"], &[], "/x"));
    }
}
