//! What a Dockerfile uses by a name, `additional_contexts`: the builders of an engine take one context only. So each becomes a
//! stage before those of the Dockerfile; a folder is made into an image before, which is removed again when the build is done.

use std::collections::HashMap;

use bollard::query_parameters::RemoveImageOptions;

use super::{Engine, How};
use crate::context::{dockerfile, of_folder, with_stages};
use crate::diag::{Error, ErrorKind, Result};
use crate::engine::Progress;
use crate::model::{Build, NamedContext, Service, fingerprint_of};

impl Engine {
    /// Makes images of the folders that a build uses by a name; says what each is called.
    pub(super) async fn images_of_folders(
        &self,
        service: &Service,
        build: &Build,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<HashMap<String, String>> {
        let mut images = HashMap::new();
        for (name, context) in &build.contexts {
            if let NamedContext::Folder(folder) = context {
                let image = format!("taskava-context:{}-{name}", fingerprint_of(service.image.as_bytes()));
                let part = Service { image: image.clone(), build: Some(of_folder(folder)), ..service.clone() };
                images.insert(name.clone(), image);
                if let Err(error) = Box::pin(self.build_with_either(&part, How::default(), tell)).await {
                    self.forget(&images).await;
                    return Err(error);
                }
            }
        }
        Ok(images)
    }

    /// Removes those images. One that is in use, or gone already, is no failure of the build.
    pub(super) async fn forget(&self, images: &HashMap<String, String>) {
        for image in images.values() {
            let _ = self.docker.remove_image(image, None::<RemoveImageOptions>, None).await;
        }
    }
}

/// A build whose Dockerfile has a stage for each name; `folders`: the images of folders.
pub(super) fn staged(build: &Build, folders: &HashMap<String, String>) -> Result<Build> {
    let text = dockerfile(build).map_err(|error| {
        let path = build.context.join(&build.dockerfile);
        Error::new(ErrorKind::Image, format_args!("can't read {}: {error}", path.display()))
    })?;
    let stages = build.contexts.iter().map(|(name, context)| {
        let image = match context {
            NamedContext::Folder(_) => folders.get(name).cloned().unwrap_or_default(),
            NamedContext::Image(image) | NamedContext::Service { image, .. } => image.clone(),
        };
        (name.clone(), image)
    });
    let stages: Vec<(String, String)> = stages.collect();
    Ok(Build { inline: Some(with_stages(&text, &stages)), ..build.clone() })
}
