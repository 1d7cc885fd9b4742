//! Checks this machine: kernel limits, helpers that docker's configuration names, shell completion.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Check;
use crate::diag::Result;
use crate::engine::connect::ConnectOptions;
use crate::load::Loaded;

pub(super) async fn machine(options: &ConnectOptions, loaded: &Result<Loaded>) -> Result<Vec<Check>> {
    let watches =
        loaded.as_ref().is_ok_and(|loaded| loaded.stack.services.values().any(|service| !service.watch.is_empty()));
    let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse().ok();
    let mut checks = Vec::new();
    checks.extend(inotify(
        number("/proc/sys/fs/inotify/max_user_watches"),
        number("/proc/sys/fs/inotify/max_user_instances"),
        watches,
    ));
    checks.extend(std::fs::read_to_string("/proc/self/limits").ok().and_then(|limits| open_files(&limits)));
    checks.extend(named_twice(options));
    let path: Vec<PathBuf> =
        std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    let file = options.config_dir.join("config.json");
    if let Ok(text) = std::fs::read(&file) {
        checks.push(helpers(&text, &file, |program| path.iter().any(|folder| folder.join(program).is_file())));
    }
    let shell = std::env::var("SHELL").unwrap_or_default();
    if let (Some(home), None) = (&options.home, std::env::var_os("CI")) {
        checks.extend(completions(&shell, home));
    }
    Ok(checks)
}

pub(super) fn inotify(watches: Option<u64>, instances: Option<u64>, watched: bool) -> Option<Check> {
    let (watches, instances) = (watches?, instances?);
    let found = format!("{watches} watches, {instances} instances");
    let (least_watches, least_instances) = (65_536, 128);
    if watches >= least_watches && instances >= least_instances {
        return Some(Check::ok("inotify", found));
    }
    let mut set = vec!["sudo sysctl".to_owned()];
    if watches < least_watches {
        set.push("fs.inotify.max_user_watches=524288".into());
    }
    if instances < least_instances {
        set.push("fs.inotify.max_user_instances=512".into());
    }
    let why = if watched { "`watch` of services.toml may need more" } else { "editors and `watch` may need more" };
    Some(Check::warn("inotify", format!("{found}: {why}"), set.join(" ")))
}

/// The soft limit in `/proc/self/limits`.
pub(super) fn open_files(limits: &str) -> Option<Check> {
    let line = limits.lines().find(|line| line.starts_with("Max open files"))?;
    let soft = line["Max open files".len()..].split_whitespace().next()?;
    match soft.parse::<u64>() {
        Ok(soft) if soft < 1024 => {
            Some(Check::warn("open files", format!("a program may open {soft} files"), "ulimit -n 4096"))
        }
        _ => Some(Check::ok("open files", format!("a program may open {soft}"))),
    }
}

/// Two ways to name an engine at once: which one wins is known to few.
pub(super) fn named_twice(options: &ConnectOptions) -> Option<Check> {
    if options.host.is_some() || options.context.is_some() {
        return None;
    }
    let (host, context) = (options.env_host.as_ref()?, options.env_context.as_ref()?);
    let found = format!("DOCKER_HOST={host} and DOCKER_CONTEXT={context} are both set; the first one is used");
    Some(Check::warn("context", found, "unset the wrong one"))
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    creds_store: Option<String>,
    cred_helpers: std::collections::BTreeMap<String, String>,
}

/// Programs that docker's configuration asks for passwords: one that is missing breaks every pull that needs it.
pub(super) fn helpers(text: &[u8], file: &Path, exists: impl Fn(&str) -> bool) -> Check {
    let name = "credentials";
    let Ok(config) = serde_json::from_slice::<Config>(text) else {
        let found = format!("{} is not valid JSON for docker", file.display());
        return Check::fail(name, found, format!("repair {}, or remove it and docker login again", file.display()));
    };
    let program = |helper: &String| format!("docker-credential-{helper}");
    let store = config.creds_store.iter().filter(|helper| !helper.is_empty()).map(program);
    if let Some(missing) = store.into_iter().find(|program| !exists(program)) {
        let found =
            format!("`credsStore` in {} asks for {missing}, which is not in the PATH: pulls fail", file.display());
        return Check::fail(name, found, "install it, or remove `credsStore` from the file");
    }
    let missing = config.cred_helpers.iter().find(|(_, helper)| !exists(&program(helper)));
    match missing {
        Some((registry, helper)) => {
            let found = format!("{} for {registry} is not in the PATH ({})", program(helper), file.display());
            Check::warn(name, found, "install it, or remove it from `credHelpers` in the file")
        }
        None => Check::ok(name, format!("all helpers that {} names exist", file.display())),
    }
}

/// Where the scripts are put that `completions --help` names; bash and zsh can be told in their own files, too, which
/// needs neither a folder that is searched nor the package bash-completion.
pub(super) fn completions(shell: &str, home: &Path) -> Option<Check> {
    const WORDS: &str = "taskava dev completions";
    let shell = Path::new(shell).file_name()?.to_str()?;
    let (rc, places): (_, &[&str]) = match shell {
        "bash" => {
            (Some(".bashrc"), &[".local/share/bash-completion/completions/taskava", ".bash_completion.d/taskava"])
        }
        "zsh" => (
            Some(".zshrc"),
            &[".zfunc/_taskava", ".zsh/completions/_taskava", ".local/share/zsh/site-functions/_taskava"],
        ),
        "fish" => (None, &[".config/fish/completions/taskava.fish"]),
        _ => return None,
    };
    let systems = ["/usr/share/bash-completion/completions/taskava", "/usr/share/zsh/site-functions/_taskava"];
    let installed = places.iter().any(|place| home.join(place).is_file())
        || systems.iter().any(|place| Path::new(place).is_file())
        || rc.is_some_and(|rc| std::fs::read_to_string(home.join(rc)).is_ok_and(|text| text.contains(WORDS)));
    if installed {
        return Some(Check::ok("completions", format!("installed for {shell}")));
    }
    let fix = match rc {
        Some(rc) => format!("echo 'source <({WORDS} {shell} --dynamic)' >> ~/{rc}"),
        None => {
            let folder = Path::new(places[0]).parent().unwrap_or(Path::new("")).display();
            format!("mkdir -p ~/{folder} && {WORDS} {shell} --dynamic > ~/{}", places[0])
        }
    };
    Some(Check::warn("completions", format!("not installed for {shell}"), fix))
}
