//! Looks into a data directory before a server starts on it.
//!
//! PostgreSQL's first boot can be cut off: the image's entrypoint runs initdb, then a temporary server for the init
//! scripts. Whatever happens in between leaves a `PG_VERSION`, and the next boot takes that for a finished database:
//! it starts, empty, without the user's role and scripts, and says nothing
//! (docker-library/postgres, `docker-entrypoint.sh`: `DATABASE_ALREADY_EXISTS` looks for that file only).

use crate::diag::Result;
use crate::engine::Engine;
use crate::kinds;
use crate::model::Service;

/// Whether a service's data directory was left by a first boot that was cut off.
///
/// The server writes its command line to `postmaster.opts` each time it starts. None there: it never started. The
/// temporary server's has `listen_addresses=''`. A directory restored from a base backup has no such file either, but
/// has `backup_label` or `backup_manifest`; it is left alone.
///
/// # Errors
/// When the engine can't be asked.
pub(super) async fn is_cut_off(engine: &Engine, service: &Service, container: &str) -> Result<bool> {
    let Some(path) = kinds::data_path(service) else { return Ok(false) };
    let read = |file: &str| {
        let path = format!("{path}/{file}");
        async move { engine.read_file(container, &path).await }
    };
    if read("PG_VERSION").await?.is_none() {
        return Ok(false);
    }
    if let Some(options) = read("postmaster.opts").await? {
        return Ok(is_temporary_server(service, &String::from_utf8_lossy(&options)));
    }
    Ok(read("backup_label").await?.is_none() && read("backup_manifest").await?.is_none())
}

fn is_temporary_server(service: &Service, options: &str) -> bool {
    let wanted = service.command.iter().flatten().any(|word| word.contains("listen_addresses"));
    let bare: String = options.chars().filter(|c| !matches!(c, '"' | '\'')).collect();
    let nowhere = bare.split_whitespace().any(|word| word.ends_with("listen_addresses="));
    nowhere && !wanted
}
