//! Pulls images, and reports the progress. Building them is up to `build`.

use bollard::errors::Error as Bollard;
use bollard::query_parameters::{CreateImageOptions, PushImageOptions, RemoveImageOptions, TagImageOptions};
use futures_util::StreamExt;

use super::error::{failed, message, status};
use super::{Engine, credentials};
use crate::diag::{Error, ErrorKind, Result};
use crate::model::reference::Reference;

/// How far a pull or build is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Which of the parallel parts.
    pub layer: Option<String>,
    /// What is being done: `Downloading`, or a line of the build's output.
    pub text: String,
    /// Bytes so far.
    pub current: Option<u64>,
    /// Bytes in all.
    pub total: Option<u64>,
}

impl Engine {
    /// Pulls an image; with `pinned`, that digest of it, which then gets the reference as its name.
    ///
    /// # Errors
    /// [`ErrorKind::Image`] when the registry does not have it, can't be reached, or wants a login.
    pub async fn pull(
        &self,
        reference: &str,
        pinned: Option<&str>,
        platform: Option<&str>,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<()> {
        self.fetch(pinned.unwrap_or(reference), platform, tell).await?;
        // A reference with a digest of its own names nothing else already.
        let Some(pinned) = pinned.filter(|_| !reference.contains('@')) else { return Ok(()) };
        let name = Reference::of(reference);
        let tag = name.tag.unwrap_or("latest");
        let options = TagImageOptions { repo: Some(name.repository.into()), tag: Some(tag.into()) };
        let tagged = self.docker.tag_image(pinned, Some(options)).await;
        tagged.map_err(|error| failed(format_args!("can't name {pinned} {reference}"), &error))
    }

    async fn fetch(&self, reference: &str, platform: Option<&str>, tell: &mut dyn FnMut(Progress)) -> Result<()> {
        let options = CreateImageOptions {
            from_image: Some(reference.into()),
            platform: platform.unwrap_or_default().into(),
            ..Default::default()
        };
        let credentials = credentials::for_image(&self.config_dir, reference).await?;
        let credentials = credentials.map(credentials::Credentials::into_bollard);
        let mut stream = std::pin::pin!(self.docker.create_image(Some(options), None, credentials));
        while let Some(item) = stream.next().await {
            match item {
                Ok(info) => tell(Progress {
                    layer: info.id,
                    text: info.status.unwrap_or_default(),
                    current: info.progress_detail.as_ref().and_then(|detail| detail.current?.try_into().ok()),
                    total: info.progress_detail.as_ref().and_then(|detail| detail.total?.try_into().ok()),
                }),
                // A stream that ends in the middle of a line says nothing about the pull; whether it is there does.
                Err(error) if is_cut_off(&error) => break,
                Err(error) => return Err(pull_failed(reference, &error)),
            }
        }
        match self.image(reference).await? {
            Some(_) => Ok(()),
            None => Err(Error::new(ErrorKind::Image, format_args!("can't pull {reference}: the pull was cut off"))
                .hint("run the command again; what was fetched so far is kept")),
        }
    }
}

/// What became of an image that was to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageRemoval {
    /// It is removed, or has a name less.
    Removed,
    /// A container or another image uses it.
    InUse,
    /// There was none.
    Missing,
}

impl Engine {
    /// Sends an image to its registry.
    ///
    /// # Errors
    /// [`ErrorKind::Image`] when there is none, or the registry refuses it.
    pub async fn push(&self, reference: &str) -> Result<()> {
        let credentials = credentials::for_image(&self.config_dir, reference).await?;
        let name = Reference::of(reference);
        let options = PushImageOptions { tag: name.tag.map(Into::into), ..Default::default() };
        let credentials = credentials.map(credentials::Credentials::into_bollard);
        let mut stream = std::pin::pin!(self.docker.push_image(name.repository, Some(options), credentials));
        while let Some(said) = stream.next().await {
            said.map_err(|error| {
                let text = message(&error);
                let of_registry = failed("", &error).kind == ErrorKind::Other;
                let kind = if of_registry { ErrorKind::Image } else { ErrorKind::Engine };
                let failed = Error::new(kind, format_args!("can't push {reference}: {text}"));
                let host = name.host().map(|host| format!(" {host}")).unwrap_or_default();
                let hint = format!("is it built, and are you logged in? docker login{host}");
                if of_registry { failed.hint(hint) } else { failed }
            })?;
        }
        Ok(())
    }

    /// Removes an image that nothing uses.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn remove_unused_image(&self, reference: &str) -> Result<ImageRemoval> {
        match self.docker.remove_image(reference, None::<RemoveImageOptions>, None).await {
            Ok(_) => Ok(ImageRemoval::Removed),
            Err(error) if status(&error) == Some(404) => Ok(ImageRemoval::Missing),
            Err(error) if status(&error) == Some(409) => Ok(ImageRemoval::InUse),
            Err(error) => Err(failed(format_args!("can't remove image {reference}"), &error)),
        }
    }
}

fn is_cut_off(error: &Bollard) -> bool {
    matches!(error, Bollard::JsonDataError { .. } | Bollard::JsonSerdeError { .. })
        || message(error).contains("bytes remaining on stream")
}

fn pull_failed(reference: &str, error: &Bollard) -> Error {
    let text = message(error);
    let of_registry = failed("", error).kind == ErrorKind::Other;
    let kind = if of_registry { ErrorKind::Image } else { ErrorKind::Engine };
    let failed = Error::new(kind, format_args!("can't pull {reference}: {text}"));
    // What `kinds` knows says more; this is for the rest.
    if of_registry { failed.hint(format!("try it by hand: docker pull {reference}")) } else { failed }
}
