//! Validates the content of a backup file, in addition to its digests, while it is checked: only what one of our
//! backups can contain is ever used. A digest proves that a file is complete, not who wrote it.
//!
//! The members are exactly those of the manifest's services, in their order; every name is valid for its server; roles
//! contain only role statements (`roles`); dumps contain only files of `pg_dump` (`dump`), of the database that the
//! manifest names; objects belong to the buckets in the manifest (`records`).

use std::collections::{BTreeMap, BTreeSet};

use super::dump::Dump;
use super::records::Records;
use super::{Data, Manifest, objects, postgres, roles};
use crate::model::{ServiceName, StackName};

/// The first member, and the one of the configuration.
pub(super) const BEGIN: &str = "taskava-backup";
pub(super) const CONFIGURATION: &str = "services.toml";

/// Longest member of these sorts that is read into memory, in bytes.
const LONGEST_CONFIGURATION: u64 = 16 << 20;
const LONGEST_ROLES: u64 = 16 << 20;

/// Longest name of a database, as PostgreSQL is built.
const LONGEST_DATABASE: usize = 63;

/// What of a file's content is kept while it is checked.
#[derive(Debug, Default)]
pub struct Contents {
    /// The configuration.
    pub configuration: Vec<u8>,
    /// The statements that make each PostgreSQL's roles, by saved service.
    pub roles: BTreeMap<String, Vec<String>>,
    /// Roles as they are in the file.
    texts: BTreeMap<String, Vec<u8>>,
    dumps: BTreeMap<String, Dump>,
    /// Objects, by saved service.
    records: BTreeMap<String, Records>,
}

/// What is done with the content of a member.
#[derive(Debug)]
pub(super) enum Use<'a> {
    Keep(&'a mut Vec<u8>),
    Dump(&'a mut Dump),
    Records(&'a mut Records),
    Nothing,
}

impl Contents {
    /// What is done with a member's content.
    ///
    /// # Errors
    /// In words, when it is too large to be kept.
    pub(super) fn of_member(&mut self, name: &str, size: u64) -> Result<Use<'_>, String> {
        let bounded = |most: u64| match size {
            size if size > most => Err(too_large(name, size, most)),
            _ => Ok(()),
        };
        if name == CONFIGURATION {
            bounded(LONGEST_CONFIGURATION)?;
            return Ok(Use::Keep(&mut self.configuration));
        }
        if let Some((service, _)) = name.strip_prefix("s3/").and_then(|rest| rest.split_once('/')) {
            return Ok(Use::Records(self.records.entry(service.to_owned()).or_default()));
        }
        let Some((service, part)) = name.strip_prefix("postgres/").and_then(|rest| rest.split_once('/')) else {
            return Ok(Use::Nothing);
        };
        if part == "roles.sql" {
            bounded(LONGEST_ROLES)?;
            return Ok(Use::Keep(self.texts.entry(service.to_owned()).or_default()));
        }
        let folder = name.rsplit_once('/').map_or(name, |(folder, _)| folder);
        Ok(Use::Dump(self.dumps.entry(folder.to_owned()).or_default()))
    }

    /// Compares everything with the manifest, when all was read.
    ///
    /// # Errors
    /// In words: what no backup of ours has.
    pub(super) fn check(&mut self, manifest: &Manifest) -> Result<(), String> {
        names(manifest)?;
        let mut expected = expected(manifest);
        for member in &manifest.members {
            if expected.next().as_ref() != Some(&member.name) {
                return Err(format!("{} is where no service of its manifest has it", member.name));
            }
        }
        if let Some(missing) = expected.next() {
            return Err(format!("{missing} is missing"));
        }
        drop(expected);
        for saved in &manifest.services {
            let data = match &saved.data {
                Data::Postgres(data) => data,
                Data::S3(data) => {
                    let records = self.records.remove(&saved.service).unwrap_or_default();
                    records.end(data).map_err(|why| format!("s3/{} {why}", saved.service))?;
                    continue;
                }
                Data::Redis(_) => continue,
            };
            let text = self.texts.remove(&saved.service).unwrap_or_default();
            let statements =
                roles::parse(&text).map_err(|why| format!("postgres/{}/roles.sql {why}", saved.service))?;
            self.roles.insert(saved.service.clone(), statements);
            for (at, database) in data.databases.iter().enumerate() {
                let folder = dump_folder(&saved.service, at);
                let found = self.dumps.remove(&folder).unwrap_or_default().end();
                let name = found.map_err(|why| format!("the dump {folder} {why}"))?;
                if name != database.name {
                    return Err(format!(
                        "the dump {folder} is of database {name}, and not of {} as its manifest says",
                        database.name
                    ));
                }
            }
        }
        Ok(())
    }
}

/// That a member is not read.
pub(super) fn too_large(name: &str, size: u64, most: u64) -> String {
    use crate::event::size as shown;
    format!("{name} in it is larger ({}) than what is read ({})", shown(size), shown(most))
}

/// Folder of the members of a database's dump.
pub(super) fn dump_folder(service: &str, at: usize) -> String {
    format!("postgres/{service}/{at:03}")
}

/// The members that a manifest's services have.
fn expected(manifest: &Manifest) -> impl Iterator<Item = String> {
    let parts = |folder: String, parts: usize| (0..parts).map(move |part| format!("{folder}/{part:06}"));
    let of_service = move |saved: &super::Saved| -> Box<dyn Iterator<Item = String>> {
        let service = &saved.service;
        match &saved.data {
            Data::Postgres(data) => {
                let dumps: Vec<_> = data.databases.iter().map(|database| database.parts).enumerate().collect();
                let service = service.clone();
                let roles = format!("postgres/{service}/roles.sql");
                let dumps = dumps.into_iter().flat_map(move |(at, many)| parts(dump_folder(&service, at), many));
                Box::new(std::iter::once(roles).chain(dumps))
            }
            Data::Redis(data) => Box::new(parts(format!("redis/{service}"), data.parts)),
            Data::S3(data) => Box::new(parts(format!("s3/{service}"), data.parts)),
        }
    };
    let services: Vec<_> = manifest.services.iter().map(of_service).collect();
    [BEGIN, CONFIGURATION].map(String::from).into_iter().chain(services.into_iter().flatten())
}

/// Whether every name is one that could be.
fn names(manifest: &Manifest) -> Result<(), String> {
    StackName::parse(&manifest.stack).map_err(|why| format!("the stack's name {:?}: {why}", manifest.stack))?;
    let mut services = BTreeSet::new();
    for saved in &manifest.services {
        let name = &saved.service;
        ServiceName::parse(name).map_err(|why| format!("the service's name {name:?}: {why}"))?;
        if !services.insert(name) {
            return Err(format!("service {name} is in its manifest twice"));
        }
        match &saved.data {
            Data::Postgres(data) => databases(name, data)?,
            Data::S3(data) => buckets(name, data)?,
            Data::Redis(_) => {}
        }
    }
    Ok(())
}

fn databases(service: &str, data: &postgres::Saved) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for name in std::iter::once(&data.own).chain(data.databases.iter().map(|database| &database.name)) {
        if name.is_empty() || name.len() > LONGEST_DATABASE || name.contains('\0') {
            return Err(format!("{name:?} of {service} is no name of a database"));
        }
        if matches!(name.as_str(), "template0" | "template1") {
            return Err(format!("database {name} of {service} is never saved: new databases are copies of it"));
        }
    }
    for database in &data.databases {
        if !seen.insert(&database.name) {
            return Err(format!("database {:?} of {service} is in its manifest twice", database.name));
        }
    }
    Ok(())
}

fn buckets(service: &str, data: &objects::Saved) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for bucket in &data.buckets {
        let name = &bucket.name;
        // What emulators take for a name is more than what S3 does.
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if !(3..=255).contains(&name.len()) || !name.chars().all(fits) || name.contains("..") {
            return Err(format!("{name:?} of {service} is no name of a bucket"));
        }
        if !seen.insert(name) {
            return Err(format!("bucket {name} of {service} is in its manifest twice"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::archive::{Writer, verify};
    use super::super::dump::tests::{contents, tar};
    use super::super::records::tests::record;
    use super::super::{FORMAT, Saved, redis};
    use super::*;

    const ROLES: &[u8] = b"CREATE ROLE app;\n";

    fn manifest(services: Vec<Saved>) -> Manifest {
        Manifest {
            format: FORMAT,
            taskava: "1".into(),
            stack: "shop".into(),
            created: "now".into(),
            secrets: false,
            services,
            members: Vec::new(),
        }
    }

    fn postgres(databases: &[&str]) -> Saved {
        let database = |name: &&str| postgres::Database { name: (*name).into(), parts: 1, tables: Vec::new() };
        let databases = databases.iter().map(database).collect();
        let data = postgres::Saved { version: "15".into(), own: "app".into(), databases };
        Saved { service: "db".into(), data: Data::Postgres(data) }
    }

    fn dump(database: &str) -> Vec<u8> {
        tar(&[("./toc.dat", tar::EntryType::Regular, &contents(14, database))])
    }

    /// What is said of a file with these members after the configuration; every digest in it is right.
    fn said(manifest: Manifest, members: &[(&str, &[u8])]) -> String {
        let mut writer = Writer::new(Vec::new()).unwrap();
        writer.member(CONFIGURATION, b"x = 1").unwrap();
        members.iter().for_each(|(name, content)| writer.member(name, content).unwrap());
        let file = writer.finish(manifest).unwrap().0;
        verify(&file[..], |_| {}).map_or_else(|error| error.to_string(), |_| "taken".into())
    }

    fn of_database(databases: &[&str], roles: &[u8], is_of: &str) -> String {
        said(
            manifest(vec![postgres(databases)]),
            &[("postgres/db/roles.sql", roles), ("postgres/db/000/000000", &dump(is_of))],
        )
    }

    #[test]
    fn only_what_fits_the_manifest_is_taken() {
        assert_eq!(of_database(&["app"], ROLES, "app"), "taken");
        assert!(
            of_database(&["app"], b"\\! id", "app").contains("roles.sql has a command of psql; nothing was touched")
        );
        assert!(of_database(&["app"], b"DROP ROLE x;", "app").contains("makes no role: DROP ROLE x"));
        assert!(of_database(&["postgres"], ROLES, "app").contains("is of database app, and not of postgres"));
        assert!(of_database(&["app", "app"], ROLES, "app").contains("database \"app\" of db is in its manifest twice"));
        for name in ["template1", "template0", "", "a\0b", &"x".repeat(64)] {
            let said = of_database(&[name], ROLES, name);
            assert!(said.contains("is never saved") || said.contains("no name of a database"), "{name}: {said}");
        }
        let redis = |service: &str, parts| {
            let data = Data::Redis(redis::Saved { keys: 1, parts });
            Saved { service: service.into(), data }
        };
        let part = [("redis/r/000000", &b"x"[..])];
        assert_eq!(said(manifest(vec![redis("r", 1)]), &part), "taken");
        for (services, why) in [
            (vec![redis("r", 2)], "redis/r/000001 is missing"),
            (vec![redis("r", usize::MAX)], "redis/r/000001 is missing"),
            (vec![redis("r", 0)], "redis/r/000000 is where no service"),
            (vec![redis("s", 1)], "redis/r/000000 is where no service"),
            (vec![redis("r", 1), redis("r", 0)], "service r is in its manifest twice"),
            (vec![redis("../r", 1)], "the service's name \"../r\""),
            (vec![redis("r\u{1b}[2J", 1)], "the service's name"),
        ] {
            let said = said(manifest(services), &part);
            assert!(said.contains(why), "{why}: {said}");
        }
        let said = said(Manifest { stack: "../x".into(), ..manifest(vec![redis("r", 1)]) }, &part);
        assert!(said.contains("the stack's name"), "{said}");
    }

    #[test]
    fn buckets_have_names_of_buckets() {
        let saved = |names: &[&str]| {
            let buckets = serde_json::json!(
                names.iter().map(|name| serde_json::json!({ "name": name, "versioning": "off" })).collect::<Vec<_>>()
            );
            let buckets = serde_json::from_value(buckets).unwrap();
            objects::Saved { buckets, versions: 0, bytes: 0, parts: 0 }
        };
        assert_eq!(super::buckets("s3", &saved(&["my-bucket", "a.b.c"])), Ok(()));
        for bad in [&["../etc"][..], &["a/b/c"], &["x?y=z"], &["a\0bc"], &["ab"], &["abc", "abc"]] {
            assert!(super::buckets("s3", &saved(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn objects_that_no_s3_has_are_found_before_anything_is_touched() {
        let s3 = |versions: u64, record: &[u8]| {
            let data = serde_json::json!({
                "buckets": [{ "name": "kept", "versioning": "off" }], "versions": versions, "bytes": 1, "parts": 1,
            });
            let data = Data::S3(serde_json::from_value(data).unwrap());
            said(manifest(vec![Saved { service: "s3".into(), data }]), &[("s3/s3/000000", record)])
        };
        let good = record("kept", "a/../b c?", &[("content-type", "text/plain"), ("x-amz-meta-who", "ä")], b"content");
        assert_eq!(s3(1, &good), "taken");
        let long = "x".repeat(1025);
        for (bucket, key, headers, why) in [
            ("other", "a", &[][..], "an object of \"other\", which its manifest does not have"),
            ("../kept", "a", &[], "an object of \"../kept\""),
            ("kept/a?acl", "a", &[], "which its manifest does not have"),
            ("kept", "", &[], "a key that is none"),
            ("kept", "a\0b", &[], "a key that is none"),
            ("kept", &long, &[], "a key that is none"),
            ("kept", "a", &[("host", "example.com")], "a header that none has: \"host\""),
            ("kept", "a", &[("x-amz-copy-source", "/kept/b")], "a header that none has"),
            ("kept", "a", &[("content-type", "a\r\nhost: b")], "a header that none has"),
            ("kept", "a", &[("x-amz-meta-a b", "c")], "a header that none has"),
        ] {
            // The first of two: what comes before it would be put already.
            let said = s3(2, &[good.clone(), record(bucket, key, headers, b"x")].concat());
            assert!(said.contains(why) && said.contains("nothing was touched"), "{bucket:?} {key:?}: {said}");
        }
        assert!(s3(2, &good).contains("has 1 versions of objects, and not 2"));
        assert!(s3(1, &good[..good.len() - 1]).contains("ends in the middle of an object"));
        assert!(s3(1, &[0xff; 8]).contains("too many words"));
        assert!(s3(1, &[&[4, 0, 0, 0][..], b"null"].concat()).contains("an object of no S3"));
    }

    #[test]
    fn what_is_kept_in_memory_is_bounded() {
        let mut contents = Contents::default();
        for (name, most) in [(CONFIGURATION, LONGEST_CONFIGURATION), ("postgres/db/roles.sql", LONGEST_ROLES)] {
            assert!(contents.of_member(name, most).is_ok());
            let why = contents.of_member(name, 1 << 30).unwrap_err();
            assert_eq!(why, format!("{name} in it is larger (1.0 GB) than what is read (17 MB)"));
        }
    }
}
