//! What a prepared stack was created from, as one short text: another image, variable, init script or job gives another
//! key.

use std::fs;
use std::io;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::diag::Result;
use crate::engine::Engine;
use crate::model::{MountSource, Service, Stack, hex};
use crate::resolve::prepared::Selection;

/// Part of every key: grows when prepared images are made in another way.
const VERSION: &str = "1";

/// How much of mounted files is compared. More than this is no init script.
const LARGEST: u64 = 64 * 1024 * 1024;

/// The key; none when something of it can't be had: an image that does not exist yet, files that are too large to compare.
///
/// # Errors
/// When the engine does not answer.
pub async fn key(engine: &Engine, stack: &Stack, chosen: &Selection) -> Result<Option<String>> {
    let services: Vec<&Service> = chosen.all().map(|name| &stack.services[name]).collect();
    let images = services.iter().map(|service| engine.image(&service.image));
    let images = futures_util::future::try_join_all(images).await?;
    let mut hash = Sha256::new_with_prefix(VERSION);
    let mut left = LARGEST;
    for (service, image) in services.into_iter().zip(images) {
        let Some(image) = image else { return Ok(None) };
        add(&mut hash, "image", &image.id);
        if add_service(&mut hash, service, &mut left).is_err() {
            return Ok(None);
        }
    }
    Ok(Some(hex(&hash.finalize()[..8])))
}

fn add_service(hash: &mut Sha256, service: &Service, left: &mut u64) -> io::Result<()> {
    // Every field is named, so that a new one can't be forgotten: what data depends on belongs into the key.
    let Service {
        name,
        place: _,
        kind,
        active: _,
        profiles: _,
        // By its id.
        image: _,
        image_place: _,
        build: _,
        pull: _,
        platform,
        command,
        entrypoint,
        env,
        ports: _,
        mounts,
        files,
        tmpfs,
        depends_on,
        ready: _,
        healthcheck: _,
        own: _,
        watch: _,
        user,
        working_dir,
        container_name: _,
        replicas: _,
        replica: _,
        hostname: _,
        networks: _,
        labels: _,
        ulimits: _,
        extra_hosts: _,
        stop_signal: _,
        stop_timeout: _,
        stop_limit: _,
        restart: _,
        memory: _,
        nano_cpus: _,
        logging: _,
        exports: _,
        hooks,
        options: _,
    } = service;
    let what = (name, kind, platform, command, entrypoint, user, working_dir, tmpfs, hooks, depends_on, files);
    add(hash, "service", &format!("{what:?}"));
    for (variable, value) in env {
        add(hash, variable, &value.value);
    }
    for mount in mounts {
        add(hash, "mount", &format!("{} {}", mount.target, mount.read_only));
        if let MountSource::Bind(path) | MountSource::View { of: path, .. } = &mount.source {
            add_files(hash, path, left)?;
        }
        if let MountSource::Image(image) = &mount.source {
            add(hash, "mounted image", image);
        }
    }
    Ok(())
}

/// Names, kinds and content of everything below a path, in an order of its own.
fn add_files(hash: &mut Sha256, path: &Path, left: &mut u64) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    if found.is_symlink() {
        add(hash, "link", &fs::read_link(path)?.to_string_lossy());
    } else if found.is_dir() {
        let mut entries = fs::read_dir(path)?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            *left = left.checked_sub(1).ok_or(io::ErrorKind::FileTooLarge)?;
            add(hash, "file", &entry.file_name().to_string_lossy());
            add_files(hash, &entry.path(), left)?;
        }
        add(hash, "end", "");
    } else if found.is_file() {
        *left = left.checked_sub(found.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        add(hash, "runs", if is_executable(&found) { "yes" } else { "no" });
        let content = fs::read(path)?;
        hash.update(content.len().to_le_bytes());
        hash.update(content);
    }
    Ok(())
}

#[cfg(unix)]
fn is_executable(found: &fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o111 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &fs::Metadata) -> bool {
    false
}

/// Each text with its length, so that no two sequences of texts are the same.
fn add(hash: &mut Sha256, what: &str, text: &str) {
    for part in [what, text] {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(path: &Path) -> io::Result<String> {
        let mut hash = Sha256::new();
        add_files(&mut hash, path, &mut 100.clone())?;
        Ok(hex(&hash.finalize()))
    }

    #[test]
    fn files_are_told_apart_by_name_and_content() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let mut seen = vec![files(folder.path()).unwrap()];
        let mut is_new = || {
            let now = files(folder.path()).unwrap();
            let new = !seen.contains(&now);
            seen.push(now);
            new
        };
        write("a.sql", "select 1");
        assert!(is_new());
        write("a.sql", "select 2");
        assert!(is_new());
        fs::rename(folder.path().join("a.sql"), folder.path().join("b.sql")).unwrap();
        assert!(is_new());
        write("a.sql", "");
        assert!(is_new());
        fs::write(folder.path().join("b.sql"), "select 2").unwrap();
        assert!(!is_new(), "written again, but the same");
        write("c.sql", &"x".repeat(200));
        assert!(files(folder.path()).is_err(), "too much to compare");
    }
}
