//! Converts the mounts of a service to requests of the Engine API.

use bollard::models::{Mount as ApiMount, MountBindOptions, MountImageOptions, MountType, MountVolumeOptions};

use super::labels;
use super::nameless::Kept;
use crate::model::{Held, Mount, MountOptions, MountSource, Service, Stack, nameless};

/// The mounts of a container. `kept`: the anonymous volumes that it gets.
pub(super) fn of(stack: &Stack, service: &Service, kept: &[Kept]) -> Vec<ApiMount> {
    let is_kept = |mount: &&Mount| {
        let target = nameless::clean(&mount.target);
        mount.source == MountSource::Anonymous && kept.iter().any(|kept| kept.place.target == target)
    };
    let declared = service.mounts.iter().filter(|mount| !is_kept(mount) && bind(stack, mount).is_none());
    let declared = declared.map(|mount| api_mount(stack, mount));
    declared.chain(kept.iter().map(|kept| kept_mount(stack, kept))).collect()
}

fn kept_mount(stack: &Stack, kept: &Kept) -> ApiMount {
    let mut all_labels = labels::of_stack(stack);
    all_labels.extend(labels::of_place(&kept.place));
    ApiMount {
        target: Some(kept.place.target.clone()),
        source: Some(kept.volume.clone()),
        typ: Some(MountType::VOLUME),
        volume_options: Some(MountVolumeOptions { labels: Some(all_labels), ..Default::default() }),
        ..Default::default()
    }
}

fn api_mount(stack: &Stack, mount: &Mount) -> ApiMount {
    let volume = match &mount.source {
        MountSource::Volume(short) => Some(&stack.volumes[short]),
        _ => None,
    };
    // The engine silently creates a volume again that was removed a moment ago: then its labels must show whose it is.
    let labels = volume.filter(|volume| !volume.external).map(|volume| {
        let mut labels = labels::of_stack(stack);
        labels.extend(volume.labels.clone());
        MountVolumeOptions { labels: Some(labels), ..Default::default() }
    });
    let mut read_only = mount.read_only;
    let (typ, source) = match &mount.source {
        MountSource::Volume(short) => (MountType::VOLUME, Some(stack.volumes[short].name.clone())),
        MountSource::Bind(path) => (MountType::BIND, Some(path.display().to_string())),
        MountSource::View { of, held } => match held {
            Held::Volume(name) => return super::views::mount(stack, name, &mount.target),
            Held::File(path) => (MountType::BIND, Some(path.clone())),
            Held::Itself => (MountType::BIND, Some(of.display().to_string())),
            // Whatever comes, nothing is written where the developer's stack writes.
            Held::Unknown => {
                read_only = true;
                (MountType::BIND, Some(of.display().to_string()))
            }
        },
        MountSource::Anonymous => (MountType::VOLUME, None),
        MountSource::Image(image) => {
            return ApiMount {
                target: Some(mount.target.clone()),
                source: Some(image.clone()),
                typ: Some(MountType::IMAGE),
                read_only: Some(true),
                image_options: mount.options.subpath.clone().map(|path| MountImageOptions { subpath: Some(path) }),
                ..Default::default()
            };
        }
    };
    // A label is set through `binds`.
    let MountOptions { propagation, no_copy, subpath, create, selinux: _, recursive } = mount.options.clone();
    let has_options = labels.is_some() || no_copy || subpath.is_some();
    let volume_options = has_options.then(|| MountVolumeOptions {
        no_copy: no_copy.then_some(true),
        subpath,
        ..labels.unwrap_or_default()
    });
    let propagation = propagation.and_then(|propagation| propagation.parse().ok());
    let is = |word: &str| (recursive.as_deref() == Some(word)).then_some(true);
    let bind_options = (propagation.is_some() || create || recursive.is_some()).then(|| MountBindOptions {
        propagation,
        create_mountpoint: create.then_some(true),
        non_recursive: is("disabled"),
        read_only_non_recursive: is("writable"),
        read_only_force_recursive: is("readonly"),
    });
    ApiMount {
        target: Some(mount.target.clone()),
        source,
        typ: Some(typ),
        read_only: read_only.then_some(true),
        volume_options,
        bind_options,
        ..Default::default()
    }
}

/// The mounts that get an SELinux label: only the older notation of the API has it.
pub(super) fn binds(stack: &Stack, service: &Service) -> Vec<String> {
    service.mounts.iter().filter_map(|mount| bind(stack, mount)).collect()
}

fn bind(stack: &Stack, mount: &Mount) -> Option<String> {
    mount.options.selinux.as_ref()?;
    let source = match &mount.source {
        MountSource::Volume(short) => stack.volumes[short].name.clone(),
        MountSource::Bind(path) => path.display().to_string(),
        MountSource::View { .. } | MountSource::Anonymous | MountSource::Image(_) => return None,
    };
    let access = if mount.read_only { "ro" } else { "rw" };
    let (words, _) = mount.options.words();
    let words = std::iter::once(access).chain(words).collect::<Vec<_>>().join(",");
    Some(format!("{source}:{}:{words}", mount.target))
}

/// What an engine with this API ignores of the mounts of a service, in words.
pub(super) fn ignored(api: (u32, u32), service: &Service) -> Vec<String> {
    let mut found = Vec::new();
    for Mount { options, target, .. } in &service.mounts {
        if options.subpath.is_some() && api < (1, 45) {
            found.push(format!("all of the volume at {target} is mounted: `subpath` needs Docker 26 (API 1.45)"));
        }
        if let (Some(word @ ("writable" | "readonly")), true) = (options.recursive.as_deref(), api < (1, 44)) {
            found.push(format!("`recursive = \"{word}\"` of {target} changes nothing before Docker 25 (API 1.44)"));
        }
    }
    found
}
