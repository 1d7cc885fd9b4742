//! The image of a service, or how it is built.

use std::collections::{BTreeSet, HashMap};

use indexmap::IndexMap;

use super::service::limit;
use super::{MustBe, PathUse, Resolver, strings};
use crate::config::decode::{Entry, Spanned};
use crate::config::forms::Scalar;
use crate::config::schema;
use crate::diag::{Diagnostic, Place};
use crate::kinds;
use crate::model::reference::Reference;
use crate::model::{Build, BuildOptions, Kind, NamedContext, Service, ServiceName, Unusable};

impl Resolver<'_> {
    /// The image's reference, with the tag filled in.
    pub(super) fn image(&mut self, name: &ServiceName, kind: Kind, entry: &Entry<schema::Service>) -> String {
        let Some(image) = &entry.image else {
            return match kinds::defaults(kind).image {
                Some(image) if entry.build.is_none() => image.into(),
                _ if entry.build.is_some() => format!("{}-{name}:latest", self.name),
                _ => {
                    if !entry.broken && entry.extends.is_none() {
                        let message = format!("service `{name}` has neither `image` nor `build`");
                        self.error_hint(
                            &entry.key,
                            message,
                            "say what to run: `image = \"…\"`, or `build = \"<folder>\"`",
                        );
                    }
                    String::new()
                }
            };
        };
        self.reference(image, &image.place)
    }

    /// A reference as it is written, with the tag filled in.
    pub(super) fn reference(&mut self, image: &str, place: &Place) -> String {
        if let Err(message) = check_image(image) {
            self.error(place, format!("`{image}` is not an image: {message}"));
            return image.into();
        }
        if Reference::of(image).version().is_none() { format!("{image}:latest") } else { image.into() }
    }

    /// LocalStack's images that exit at once without an account: said before gigabytes are pulled. Only the container's own
    /// environment counts; a token that is just in the shell does not reach it.
    pub(super) fn accounts(&mut self, services: &IndexMap<ServiceName, Service>) {
        let has_token = |service: &Service| {
            TOKENS.iter().any(|name| service.env.get(*name).is_some_and(|token| !token.value.is_empty()))
        };
        for service in services.values().filter(|service| service.build.is_none() && !has_token(service)) {
            let reference = Reference::of(&service.image);
            let community = reference.repository.ends_with("localstack/localstack");
            let asked = community && needs_account(reference.version())
                || reference.repository.ends_with("localstack/localstack-pro");
            let Some(place) = service.image_place.clone().filter(|_| asked) else { continue };
            let image = service.image.as_str();
            let message = format!("`{image}` needs a LocalStack account: without its token it exits with code 55");
            let problem = Diagnostic::error(place, message).hint(
                "image = \"localstack/localstack:4.14.0\" is the last that runs without; \
                 with an account: env = { LOCALSTACK_AUTH_TOKEN = \"${LOCALSTACK_AUTH_TOKEN}\" }",
            );
            self.unusable.push(Unusable { services: vec![service.name.clone()], problem });
        }
    }

    pub(super) fn build(&mut self, entry: &Entry<schema::Service>) -> Option<Build> {
        let build = entry.build.as_ref()?;
        let spec = &build.value.0;
        let written = spec.context.as_deref().unwrap_or(".");
        let context = self.path(written, "build context", MustBe::Folder, &build.place);
        let dockerfile = spec.dockerfile.clone().unwrap_or_else(|| "Dockerfile".into());
        let file = context.join(&dockerfile);
        let shown = if spec.context.is_some() && !dockerfile.starts_with('/') {
            format!("{}/{dockerfile}", written.trim_end_matches('/'))
        } else {
            dockerfile.clone()
        };
        let path = self.around.absolute(&file.to_string_lossy(), &build.place);
        if spec.dockerfile_inline.is_none() {
            self.paths.push(PathUse {
                path,
                written: shown,
                role: "dockerfile",
                must_be: MustBe::File,
                place: build.place.clone(),
                service: self.current.clone(),
            });
        } else if spec.dockerfile.is_some() {
            let message = "`dockerfile` and `dockerfile_inline` exclude each other";
            self.error_hint(&build.place, message, "remove one of them");
        }
        for cache in spec.cache_to.0.iter().filter(|cache| cache.value != "type=inline") {
            let hint = "write \"type=inline\" and push the image; for other kinds: docker buildx build --cache-to";
            self.error_hint(&cache.place, format!("the engine can't export a cache as `{}`", cache.value), hint);
        }
        let ssh = spec.ssh.0.iter().map(|written| match written.split_once('=') {
            // Whether it is there, the build sees: it belongs to no container.
            Some((id, socket)) => (id.to_owned(), Some(self.around.absolute(socket, &written.place))),
            None => (written.value.clone(), None),
        });
        let ssh = ssh.collect();
        let secrets = spec
            .secrets
            .iter()
            .map(|(id, file)| (id.clone(), self.path(&file.value, "build secret", MustBe::File, &file.key)));
        let secrets = secrets.collect();
        let contexts =
            spec.additional_contexts.0.iter().filter_map(|(name, written)| self.named_context(name, written));
        let contexts = contexts.collect();
        Some(Build {
            contexts,
            context,
            dockerfile,
            inline: spec.dockerfile_inline.clone(),
            target: spec.target.clone(),
            args: strings(&spec.args),
            cache_from: spec.cache_from.0.clone(),
            secrets,
            options: BuildOptions {
                tags: spec.tags.clone(),
                labels: strings(&spec.labels),
                network: spec.network.clone(),
                extra_hosts: spec.extra_hosts.as_ref().map(|hosts| hosts.0.clone()).unwrap_or_default(),
                shm_size: spec.shm_size.map(|size| size.0),
                no_cache: spec.no_cache.unwrap_or(false),
                pull: spec.pull.unwrap_or(false),
                ulimits: spec.ulimits.iter().map(limit).collect(),
                inline_cache: !spec.cache_to.0.is_empty(),
                ssh,
            },
        })
    }
}

impl Resolver<'_> {
    /// What a Dockerfile uses by a name.
    fn named_context(&mut self, name: &str, written: &Spanned<Scalar>) -> Option<(String, NamedContext)> {
        let (text, place) = (&written.value.0, &written.place);
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-' | '.');
        if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(good) {
            let hint = "letters in lower case, digits, `_`, `-` and `.`, beginning with a letter";
            self.error_hint(place, format!("`{name}` can't name a stage of a Dockerfile"), hint);
            return None;
        }
        let context = if let Some(image) = text.strip_prefix("docker-image://") {
            NamedContext::Image(image.into())
        } else if let Some(service) = text.strip_prefix("service:") {
            let known = ServiceName::parse(service).ok().filter(|_| self.config.services.contains_key(service));
            let Some(service) = known else {
                let message = format!("the context `{name}` is the image of `{service}`, which doesn't exist");
                self.error_hint(place, message, "name a service of this file");
                return None;
            };
            NamedContext::Service { service, image: String::new() }
        } else if text.contains("://") || text.starts_with("target:") || text.starts_with("git@") {
            let hint = "write a folder, \"docker-image://IMAGE\" or \"service:NAME\"";
            self.error_hint(place, format!("the context `{name}` can't be `{text}`"), hint);
            return None;
        } else {
            NamedContext::Folder(self.path(text, "additional build context", MustBe::Folder, place))
        };
        Some((name.to_owned(), context))
    }

    /// Fills in the images of services that others are built on, and reports those that are built on each other.
    pub(super) fn images_of_contexts(&mut self, services: &mut IndexMap<ServiceName, Service>) {
        let images: HashMap<ServiceName, String> =
            services.values().map(|service| (service.name.clone(), service.image.clone())).collect();
        for build in services.values_mut().filter_map(|service| service.build.as_mut()) {
            for context in build.contexts.values_mut() {
                if let NamedContext::Service { service, image } = context {
                    *image = images.get(service).cloned().unwrap_or_default();
                }
            }
        }
        let uses = |name: &ServiceName| -> Vec<ServiceName> {
            let build = services.get(name).and_then(|service| service.build.as_ref());
            build.iter().flat_map(|build| build.services()).cloned().collect()
        };
        let is_circular = |name: &ServiceName| {
            let (mut seen, mut queue) = (BTreeSet::new(), uses(name));
            while let Some(next) = queue.pop() {
                if seen.insert(next.clone()) {
                    queue.extend(uses(&next));
                }
            }
            seen.contains(name)
        };
        let circular: Vec<ServiceName> = services.keys().filter(|name| is_circular(name)).cloned().collect();
        for name in circular {
            let place = services[&name].place.clone();
            let message = format!("the image of `{name}` is built on itself, through `additional_contexts`");
            self.problems.push(Diagnostic::error(place, message).hint("remove one of the contexts"));
            // So that no plan goes in circles.
            if let Some(build) = services.get_mut(&name).and_then(|service| service.build.as_mut()) {
                build.contexts.clear();
            }
        }
    }
}

fn check_image(image: &str) -> Result<(), String> {
    let reference = Reference::of(image);
    let path = reference.path();
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-' | '/');
    if path.is_empty() {
        Err("it has no name".into())
    } else if let Some(c) = reference.repository.chars().find(|c| c.is_whitespace() || c.is_control()) {
        Err(format!("it can't contain {c:?}"))
    } else if path.chars().any(|c| c.is_ascii_uppercase()) {
        Err("names are in lower case".into())
    } else if let Some(c) = path.chars().find(|c| !good(*c)) {
        Err(format!("its name can't contain {c:?}"))
    } else if path.split('/').any(str::is_empty) {
        Err("a part between slashes is empty".into())
    } else if reference.version().is_some_and(|tag| tag.is_empty() || tag.contains(|c: char| c.is_whitespace())) {
        Err("the tag is empty or has a space".into())
    } else {
        Ok(())
    }
}

/// What LocalStack takes for an account: the token, and what came before it.
const TOKENS: [&str; 2] = ["LOCALSTACK_AUTH_TOKEN", "LOCALSTACK_API_KEY"];

/// Whether a tag of LocalStack's image starts only with an account: floating ones, and everything after 4.14. What a
/// digest or a tag of the user's own stands for is not known.
fn needs_account(tag: Option<&str>) -> bool {
    let Some(tag) = tag else { return true };
    // The smaller image with S3 alone.
    let tag = tag.strip_prefix("s3-").unwrap_or(tag);
    let mut numbers = tag.split('.').map_while(|part| part.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), minor) => (major, minor.unwrap_or(0)) > (4, 14),
        // `latest-arm64` too.
        (None, _) => matches!(tag.split('-').next(), Some("latest" | "stable")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_that_an_engine_takes() {
        for good in ["redis", "team/app_1-x.y:v1", "localhost/app", "host:5000/team/app:1", "a@sha256:00"] {
            assert_eq!(check_image(good), Ok(()), "{good}");
        }
        for bad in ["", ":1", "Redis", "a b", "a//b", "a/", "a:", "ä", "a$b", "host.example/"] {
            assert!(check_image(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn localstack_with_an_account() {
        for (tag, needs) in [
            ("latest", true),
            ("4.14.0", false),
            ("4.14", false),
            ("4", false),
            ("3.8.1", false),
            ("4.15.0", true),
            ("2026.3.0", true),
            ("2026.03.0", true),
            ("s3-latest", true),
            ("latest-arm64", true),
            ("s3-4.14.0", false),
            ("4.14.0-amd64", false),
            ("sha256:0011", false),
            ("mine", false),
        ] {
            assert_eq!(needs_account(Some(tag)), needs, "{tag}");
        }
        assert!(needs_account(None));
    }
}
