//! The volumes, folders and tmpfs mounts of a service.

use super::{MustBe, Resolver};
use crate::config::decode::{Entry, Spanned};
use crate::config::mounts::MountSpec;
use crate::config::schema;
use crate::diag::{Diagnostic, Place};
use crate::model::{InlineFile, Mount, MountOptions, MountSource, Tmpfs, Volume};

impl Resolver<'_> {
    pub(super) fn mounts(&mut self, entry: &Entry<schema::Service>) -> Vec<Mount> {
        let mut targets: Vec<(String, Place)> = Vec::new();
        let mut mounts = Vec::new();
        for spec in &entry.volumes {
            self.check_target(&spec.target, &spec.place, &mut targets);
            let source = self.mount_source(spec);
            let place = Some(spec.place.clone());
            if spec.shared && !matches!(source, MountSource::Bind(_)) {
                let message = "`shared` is for paths; the stack of a test run has volumes of its own";
                self.error_hint(&spec.place, message, "leave it out");
            }
            self.check_options(spec, &source);
            let MountSpec { target, read_only, shared, options, image, .. } = &spec.value;
            let (target, options, read_only) = (target.clone(), options.clone(), *read_only || image.is_some());
            mounts.push(Mount { source, target, read_only, shared: *shared, options, place });
        }
        for tmpfs in &entry.tmpfs.0 {
            let target = tmpfs.split_once(':').map_or(tmpfs.value.as_str(), |(target, _)| target);
            self.check_target(target, &tmpfs.place, &mut targets);
        }
        mounts
    }

    /// Each option is for paths or for volumes.
    fn check_options(&mut self, spec: &Spanned<MountSpec>, source: &MountSource) {
        let MountOptions { propagation, no_copy, subpath, create, selinux, recursive } = &spec.options;
        let is_path = matches!(source, MountSource::Bind(_));
        let is_image = matches!(source, MountSource::Image(_));
        let for_what = [
            ("propagation", propagation.is_some(), is_path, "paths"),
            ("create_host_path", *create, is_path, "paths"),
            ("recursive", recursive.is_some(), is_path, "paths"),
            ("nocopy", *no_copy, !is_path && !is_image, "volumes"),
            ("subpath", subpath.is_some(), !is_path, "volumes and images"),
            ("selinux", selinux.is_some(), !is_image, "paths and volumes"),
        ];
        for (key, _, _, what) in for_what.into_iter().filter(|(_, is_set, fits, _)| *is_set && !fits) {
            self.error_hint(&spec.place, format!("`{key}` is for {what}"), "leave it out");
        }
        // With a label it is created through an older part of the engine's API, which has neither.
        for (key, is_set) in [("recursive", recursive.is_some()), ("subpath", subpath.is_some())] {
            if is_set && selinux.is_some() {
                let message = format!("`selinux` and `{key}` exclude each other");
                self.error_hint(&spec.place, message, "remove one of them; a folder can be labelled with chcon");
            }
        }
    }

    fn mount_source(&mut self, spec: &Spanned<MountSpec>) -> MountSource {
        if let Some(image) = &spec.image {
            if spec.source.is_some() {
                self.error_hint(&spec.place, "`image` and `source` exclude each other", "remove one of them");
            }
            return MountSource::Image(self.reference(image, &spec.place));
        }
        let Some(source) = &spec.source else { return MountSource::Anonymous };
        if source.starts_with(['.', '/', '~']) {
            let path = self.around.absolute(source, &spec.place);
            if path.file_name().is_some_and(|name| name == "docker.sock") {
                let message = "the Docker socket gives the container full control of this machine";
                self.problems.push(Diagnostic::warning(spec.place.clone(), message));
                return MountSource::Bind(path);
            }
            let must_be = if spec.options.create { MustBe::Created } else { MustBe::Anything };
            return MountSource::Bind(self.path(source, "mount source", must_be, &spec.place));
        }
        if !self.volumes.contains_key(source) {
            if source.contains('/') {
                let hint = format!("if it is a path, write `./{source}`");
                self.error_hint(&spec.place, format!("`{source}` can't name a volume"), hint);
            } else {
                self.check_resource_name("volume", source, &spec.place);
            }
            let name = self.engine_name(source, None, false);
            self.volumes.insert(source.clone(), Volume { name, ..Volume::default() });
        }
        MountSource::Volume(source.clone())
    }

    fn check_target(&mut self, target: &str, place: &Place, seen: &mut Vec<(String, Place)>) {
        let plain = target.trim_end_matches('/');
        if !target.starts_with('/') {
            self.error(place, format!("`{target}` is not an absolute path inside the container"));
        } else if plain.is_empty() {
            self.error(place, "nothing can be mounted over `/`");
        } else if let Some((_, other)) = seen.iter().find(|(other, _)| other == plain) {
            let message = format!("`{target}` is already mounted at {other}");
            self.error_hint(place, message, "each path inside can be mounted once");
        }
        seen.push((plain.to_owned(), place.clone()));
    }

    pub(super) fn files(&mut self, entry: &Entry<schema::Service>) -> Vec<InlineFile> {
        let mut files = Vec::new();
        for file in &entry.files {
            let schema::FileSpec { target, content, mode, uid, gid } = &file.value;
            if !target.starts_with('/') || target.ends_with('/') {
                self.error(&file.place, format!("`{target}` is not the absolute path of a file inside the container"));
            }
            let bits = mode.as_ref().map_or(Some(0o444), |mode| u32::from_str_radix(mode, 8).ok());
            if let (Some(mode), false) = (mode, bits.is_some_and(|bits| bits <= 0o7777)) {
                self.error(&mode.place, format!("`{}` is not a mode such as \"0444\"", mode.value));
            }
            files.push(InlineFile {
                target: target.clone(),
                content: content.clone(),
                mode: bits.unwrap_or(0o444),
                uid: uid.unwrap_or(0),
                gid: gid.unwrap_or(0),
            });
        }
        files
    }

    pub(super) fn tmpfs(&mut self, entry: &Entry<schema::Service>) -> Vec<Tmpfs> {
        let split = |text: &Spanned<String>| {
            let (target, options) = text.split_once(':').unwrap_or((text, ""));
            Tmpfs { target: target.into(), options: options.into() }
        };
        entry.tmpfs.0.iter().map(split).collect()
    }
}
