//! Refuses what does not belong to this stack: networks and volumes of others with our names, missing external ones,
//! images that may not be pulled.

use super::{Observed, Request};
use crate::diag::{Error, ErrorKind, Result};
use crate::model::{MountSource, PullPolicy, Service, Stack};

/// The first version of the engine's API with mounts of images, that of Docker 28.
const IMAGE_MOUNTS: (u32, u32) = (1, 48);

/// Refuses to make a service's container when something it needs is missing or not this stack's.
pub(super) fn check(stack: &Stack, seen: &Observed, request: &Request, service: &Service) -> Result<()> {
    for short in &service.networks {
        refuse_network(stack, seen, short)?;
    }
    for mount in &service.mounts {
        if let MountSource::Volume(short) = &mount.source {
            refuse_volume(stack, seen, short)?;
        }
        if let (MountSource::Image(image), true) = (&mount.source, seen.api < IMAGE_MOUNTS) {
            let (name, (major, minor)) = (&service.name, seen.api);
            let message = format!(
                "can't mount image {image} into {name}: the engine has API {major}.{minor}, and image mounts need 1.48"
            );
            let hint = "use Docker 28 or newer, or copy what is needed into a volume";
            return Err(Error::new(ErrorKind::Engine, message).hint(hint));
        }
    }
    let never = request.pull.unwrap_or(service.pull) == PullPolicy::Never;
    if never && service.build.is_none() && !seen.images.contains_key(&service.image) {
        let message = format!("image {} of {} does not exist locally, and pulling is off", service.image, service.name);
        return Err(Error::new(ErrorKind::Image, message).hint("pull it with: taskava dev up --pull missing"));
    }
    Ok(())
}

fn refuse_volume(stack: &Stack, seen: &Observed, short: &str) -> Result<()> {
    let volume = &stack.volumes[short];
    let seen = seen.volumes.iter().find(|seen| seen.name == volume.name);
    match seen {
        None if volume.external => {
            let message = format!("external volume {} does not exist", volume.name);
            Err(Error::new(ErrorKind::Other, message).hint(format!(
                "create it, or remove `external = true` from [volumes.{short}] so that this stack creates its own"
            )))
        }
        // Two servers on the same data would destroy it.
        Some(seen) if volume.adopt && !seen.users.is_empty() => {
            let names: Vec<&str> = seen.users.iter().map(|(name, _)| name.as_str()).collect();
            let stop = match seen.users.iter().find_map(|(_, project)| project.as_ref()) {
                Some(project) => format!("docker compose -p {project} stop"),
                None => format!("docker stop {}", names.join(" ")),
            };
            let message =
                format!("volume {} is in use by {}, which is not of this stack", volume.name, names.join(", "));
            Err(Error::new(ErrorKind::Other, message).hint(format!("stop that first: {stop}")))
        }
        Some(_) if volume.adopt => Ok(()),
        Some(seen) if !volume.external && seen.stack.as_deref() != Some(stack.name.as_str()) => {
            let message = format!("volume {} exists, but was not created by this stack", volume.name);
            let mut hint = format!(
                "to use it as it is, write `external = true` in [volumes.{short}]; \
                 to keep it apart, give this stack another name with -p"
            );
            // An engine that is killed while it creates a volume makes its folder first and writes its labels last.
            if seen.stack.is_none() {
                hint += &format!(
                    "; if nothing of yours is in it, as after a crash of the engine: docker volume rm {}",
                    volume.name
                );
            }
            Err(Error::new(ErrorKind::Other, message).hint(hint))
        }
        _ => Ok(()),
    }
}

fn refuse_network(stack: &Stack, seen: &Observed, short: &str) -> Result<()> {
    let network = &stack.networks[short];
    let seen = seen.networks.iter().find(|seen| seen.name == network.name);
    match seen {
        None if network.external => {
            Err(Error::new(ErrorKind::Other, format!("external network {} does not exist", network.name))
                .hint(format!("create it, or remove `external = true` from [networks.{short}]")))
        }
        Some(seen) if !network.external && seen.stack.as_deref() != Some(stack.name.as_str()) => {
            let message = format!("network {} exists, but was not created by this stack", network.name);
            Err(Error::new(ErrorKind::Other, message)
                .hint(format!("to use it, write `external = true` in [networks.{short}]; or use another name: -p")))
        }
        _ => Ok(()),
    }
}
