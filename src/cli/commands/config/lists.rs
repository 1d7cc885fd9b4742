//! `config --services` and the like: one kind of names of the resolved configuration, a line each.

use std::collections::{BTreeMap, BTreeSet};

use crate::cli::Context;
use crate::diag::{Error, ErrorKind, Result};
use crate::load::Loaded;
use crate::model::{Service, fingerprint, fingerprint_of, secret};
use crate::ui::Format;

/// Which names; one at most.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(multiple = false)]
#[expect(clippy::struct_excessive_bools, reason = "each is one flag of the command line")]
pub struct List {
    /// Print only the names of active services
    #[arg(long)]
    pub services: bool,
    /// Print only the images of active services
    #[arg(long)]
    pub images: bool,
    /// Print only the names of volumes
    #[arg(long)]
    pub volumes: bool,
    /// Print only the names of networks
    #[arg(long)]
    pub networks: bool,
    /// Print only the names of profiles
    #[arg(long = "profiles", id = "list_profiles")]
    pub profiles: bool,
    /// Print a hash of the configuration of services: names separated by commas, or `*` for all
    #[arg(long, value_name = "SERVICES")]
    pub hash: Option<String>,
    /// Print only the variables that services.toml uses, with their values
    #[arg(long)]
    pub environment: bool,
}

/// Shows the names that were asked for; false if none were.
pub(super) fn show(list: &List, loaded: &Loaded, secrets: bool, context: &Context) -> Result<bool> {
    let stack = &loaded.stack;
    let active = || stack.written().filter(|service| service.active);
    if let Some(names) = &list.hash {
        pairs(&hashes(names, loaded)?, " ", context)?;
        return Ok(true);
    }
    if list.environment {
        let shown = context.screen.shows_secrets(secrets);
        let value = |(name, value): (&String, &String)| {
            let masked = !shown && secret::is_secret_name(name);
            let text = if shown { value.clone() } else { secret::mask_urls(value).into_owned() };
            (name.clone(), if masked { secret::MASK.into() } else { text })
        };
        pairs(&loaded.variables.iter().map(value).collect(), "=", context)?;
        return Ok(true);
    }
    let names: Vec<&str> = if list.services {
        active().map(|service| service.name.as_str()).collect()
    } else if list.images {
        active().map(|service| service.image.as_str()).collect()
    } else if list.volumes {
        stack.volumes.keys().map(String::as_str).collect()
    } else if list.networks {
        stack.networks.keys().map(String::as_str).collect()
    } else if list.profiles {
        let all = stack.services.values().flat_map(|service| &service.profiles);
        all.map(String::as_str).collect::<BTreeSet<_>>().into_iter().collect()
    } else {
        return Ok(false);
    };
    if context.format() == Format::Json {
        context.screen.json(&names)?;
    } else {
        context.screen.out(&names.iter().map(|name| format!("{name}\n")).collect::<String>())?;
    }
    Ok(true)
}

/// By service, a hash of what its container is compared with.
fn hashes(names: &str, loaded: &Loaded) -> Result<BTreeMap<String, String>> {
    let stack = &loaded.stack;
    let named: Vec<&Service> = match names {
        "*" => stack.services.values().collect(),
        names => {
            let one = |name: &str| stack.named(name).map(|name| &stack.services[&name]);
            names.split(',').map(str::trim).map(one).collect::<Result<_>>()?
        }
    };
    let hash = |service: &Service| {
        let fields = serde_json::to_vec(&fingerprint::fingerprint(stack, service)).map_err(anyhow::Error::from)?;
        Ok::<_, Error>((service.name.to_string(), fingerprint_of(&fields)))
    };
    match named.is_empty() {
        true => Err(Error::new(ErrorKind::Usage, "there is no service to hash")),
        false => named.into_iter().map(hash).collect(),
    }
}

fn pairs(pairs: &BTreeMap<String, String>, between: &str, context: &Context) -> Result<()> {
    if context.format() == Format::Json {
        return Ok(context.screen.json(pairs)?);
    }
    let lines = pairs.iter().map(|(name, value)| format!("{name}{between}{value}\n"));
    Ok(context.screen.data(&lines.collect::<String>())?)
}
