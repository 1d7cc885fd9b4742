//! Creates views of host paths for isolated stacks: volumes that show a path and keep what is written to it. Which kind
//! of view is used is up to `run::views`.
//!
//! No container is ever started for it. A volume is created, filled and tried through a container that is only created
//! and has a fixed name. While that container exists the view is incomplete: a run that finds it starts over.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use bollard::errors::Error as Bollard;
use bollard::models::{
    ContainerCreateBody, HostConfig, Mount, MountType, MountVolumeOptions, MountVolumeOptionsDriverConfig,
};
use bollard::query_parameters::{
    ContainerArchiveInfoOptions, CreateContainerOptions, RemoveVolumeOptions, UploadToContainerOptions,
};

use futures_util::try_join;

use super::connect::answer;
use super::error::{failed, status};
use super::upload::{Owner, Upload};
use super::{Engine, labels};
use crate::diag::Result;
use crate::model::{Held, Service, Stack, fingerprint_of};

/// Where a volume is mounted in the container through which it is created.
const INSIDE: &str = "/taskava-view";

/// What a file is called in the volume that holds its copy.
const FILE: &str = "file";

/// The longest options that every kernel takes: they have to fit into one page.
const LONGEST: usize = 4000;

/// Tried first: renames of folders work as they do in a folder, and a changed owner or mode copies no content. Then
/// without, for kernels that know none of this.
const OPTIONS: [&str; 2] = [",redirect_dir=on,metacopy=on,index=off", ""];

/// A file of a folder, by which it is seen that the engine has the same folder at this path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
}

/// The mount of a view that is a volume. What the image has at this place is not copied into it.
pub(super) fn mount(stack: &Stack, volume: &str, target: &str) -> Mount {
    plain(volume, target, labels::of_stack(stack))
}

fn plain(volume: &str, target: &str, labels: HashMap<String, String>) -> Mount {
    let options = MountVolumeOptions { no_copy: Some(true), labels: Some(labels), ..Default::default() };
    Mount {
        typ: Some(MountType::VOLUME),
        source: Some(volume.into()),
        target: Some(target.into()),
        volume_options: Some(options),
        ..Default::default()
    }
}

impl Engine {
    /// A stack's view of a path; none if there is none, or only an incomplete one, which is removed.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn view(&self, stack: &Stack, of: &Path, is_file: bool) -> Result<Option<Held>> {
        let volume = name(stack, of);
        let seen = match answer(self.docker.inspect_volume(&volume)).await {
            Ok(seen) => seen,
            Err(error) if status(&error) == Some(404) => return Ok(None),
            Err(error) => return Err(failed(format_args!("can't inspect volume {volume}"), &error)),
        };
        if self.inspect(&helper(&volume)).await?.is_some() {
            self.remove(&helper(&volume), &volume).await?;
            self.remove_view(&volume).await?;
            return Ok(None);
        }
        Ok(Some(if is_file { file(&seen.mountpoint) } else { Held::Volume(volume) }))
    }

    /// A view that costs nothing: an overlay of a folder, with what is written in a volume of the stack. None where the
    /// engine can't mount one. `root`: owner, group and mode of the folder, `like`: a service whose image is there.
    ///
    /// # Errors
    /// When the engine refuses another request.
    pub async fn overlay(
        &self,
        stack: &Stack,
        like: &Service,
        of: &Path,
        root: (u32, u32, u32),
        witness: Option<&Witness>,
    ) -> Result<Option<Held>> {
        let info = answer(self.docker.info()).await.map_err(|error| failed("can't query the engine", &error))?;
        // There, owners are other numbers, or a label decides who may read.
        let others = ["name=rootless", "name=userns", "name=selinux"];
        if info.security_options.iter().flatten().any(|option| others.iter().any(|other| option.contains(other))) {
            return Ok(None);
        }
        let volume = name(stack, of);
        let own = format!("{volume}-writes");
        let can = failed_at(&volume);
        let writes =
            self.through(stack, like, &own, plain(&own, INSIDE, self.of_view(stack, of))).await.map_err(&can)?;
        let archive = bollard::body_full(folders(root)?.into());
        let options = UploadToContainerOptions { path: INSIDE.into(), ..Default::default() };
        self.docker.upload_to_container(&writes, Some(options), archive).await.map_err(&can)?;
        let seen = answer(self.docker.inspect_volume(&own)).await.map_err(&can)?;
        if let Some(options) = options_of(of, &seen.mountpoint) {
            for more in OPTIONS {
                let mut mount = plain(&volume, INSIDE, self.of_view(stack, of));
                if let Some(volume) = &mut mount.volume_options {
                    volume.driver_config = Some(overlay(format!("{options}{more}")));
                }
                let through = self.through(stack, like, &volume, mount).await.map_err(&can)?;
                if self.shows(&through, witness).await {
                    try_join!(self.remove(&writes, &own), self.remove(&through, &volume))?;
                    return Ok(Some(Held::Volume(volume)));
                }
                self.remove(&through, &volume).await?;
                self.remove_view(&volume).await?;
            }
        }
        self.remove(&writes, &own).await?;
        self.remove_view(&own).await?;
        Ok(None)
    }

    /// A view that is a copy. `files`: what is copied, each below the volume's top; of a path that is a file, only that.
    /// `like`: a service whose image is there.
    ///
    /// # Errors
    /// When a file can't be read, or the engine refuses.
    pub async fn copy_view(
        &self,
        stack: &Stack,
        like: &Service,
        of: &Path,
        mut files: Vec<Upload>,
        is_file: bool,
    ) -> Result<Held> {
        let volume = name(stack, of);
        let can = failed_at(&volume);
        for file in &mut files {
            let to = if is_file { FILE } else { &file.to };
            // The engine gives no owner to the top of what it unpacks, but to everything in it.
            file.to = format!("{INSIDE}/{to}").trim_end_matches('/').into();
        }
        let through =
            self.through(stack, like, &volume, plain(&volume, INSIDE, self.of_view(stack, of))).await.map_err(&can)?;
        let copied = self.upload(&through, files, Owner::Kept).await;
        let seen = answer(self.docker.inspect_volume(&volume)).await.map_err(&can);
        // As long as the container is there, so is the knowledge that this is half a copy.
        copied?;
        self.remove(&through, &volume).await?;
        Ok(if is_file { file(&seen?.mountpoint) } else { Held::Volume(volume) })
    }

    /// The container through which a view is created; a leftover one is replaced.
    async fn through(&self, stack: &Stack, like: &Service, volume: &str, mount: Mount) -> Result<String, Bollard> {
        let body = ContainerCreateBody {
            image: Some(like.image.clone()),
            // Never run, but the engine wants one.
            entrypoint: Some(vec!["-".into()]),
            labels: Some(labels::of_stack(stack)),
            host_config: Some(HostConfig { mounts: Some(vec![mount]), ..Default::default() }),
            network_disabled: Some(true),
            ..Default::default()
        };
        let platform = like.platform.clone().unwrap_or_default();
        let options = CreateContainerOptions { name: Some(helper(volume)), platform };
        match self.docker.create_container(Some(options.clone()), body.clone()).await {
            Err(error) if status(&error) == Some(409) && self.remove(&helper(volume), volume).await.is_ok() => {
                self.docker.create_container(Some(options), body).await.map(|made| made.id)
            }
            made => made.map(|made| made.id),
        }
    }

    /// Whether an overlay can be mounted, and shows the folder that is meant. Looking into a container mounts its volumes.
    async fn shows(&self, container: &str, witness: Option<&Witness>) -> bool {
        let path = witness.map_or_else(|| INSIDE.into(), |witness| format!("{INSIDE}/{}", witness.name));
        let options = ContainerArchiveInfoOptions { path };
        let seen = answer(self.docker.get_container_archive_info(container, Some(options))).await;
        seen.is_ok_and(|seen| witness.is_none_or(|witness| u64::try_from(seen.size) == Ok(witness.size)))
    }

    async fn remove_view(&self, volume: &str) -> Result<()> {
        match self.docker.remove_volume(volume, None::<RemoveVolumeOptions>).await {
            Ok(()) => Ok(()),
            Err(error) if status(&error) == Some(404) => Ok(()),
            Err(error) => Err(failed(format_args!("can't remove volume {volume}"), &error)),
        }
    }

    fn of_view(&self, stack: &Stack, of: &Path) -> HashMap<String, String> {
        let mut labels = labels::of_stack(stack);
        labels.insert(labels::VIEW.into(), of.display().to_string());
        labels
    }
}

fn failed_at(volume: &str) -> impl Fn(Bollard) -> crate::diag::Error + use<> {
    let volume = volume.to_owned();
    move |error| failed(format_args!("can't create volume {volume}"), &error)
}

/// One for each path, and for each stack: no two runs share what they write.
fn name(stack: &Stack, of: &Path) -> String {
    format!("{}-view-{}", stack.name, &fingerprint_of(of.as_os_str().as_encoded_bytes())[..12])
}

/// No service's container can have it: their names have no dot.
fn helper(volume: &str) -> String {
    format!("{volume}.view")
}

fn file(mountpoint: &str) -> Held {
    Held::File(format!("{mountpoint}/{FILE}"))
}

fn overlay(options: String) -> MountVolumeOptionsDriverConfig {
    let pairs = [("type", "overlay".to_owned()), ("device", "overlay".to_owned()), ("o", options)];
    let options = pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    MountVolumeOptionsDriverConfig { name: Some("local".into()), options: Some(options) }
}

/// What is passed to the kernel; none when it would not accept it.
fn options_of(of: &Path, mountpoint: &str) -> Option<String> {
    let lower = escaped(of.to_str()?)?;
    let own = escaped(mountpoint)?;
    // What is cut off would be a part of our own paths, which is an error, and not another folder.
    let options = format!("lowerdir={lower},upperdir={own}/upper,workdir={own}/work");
    (options.len() + OPTIONS[0].len() < LONGEST).then_some(options)
}

/// Colons separate folders, commas options.
fn escaped(path: &str) -> Option<String> {
    let odd = |c: char| matches!(c, '\\' | '"') || c.is_control();
    (!path.is_empty() && !path.contains(odd)).then(|| path.replace(':', "\\:").replace(',', "\\,"))
}

/// An archive of the folders that an overlay writes to. The top of a view has the owner and mode of the first.
fn folders((user, group, mode): (u32, u32, u32)) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, user, group, mode) in [("upper/", user, group, mode), ("work/", 0, 0, 0o700)] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_size(0);
        header.set_mode(mode & 0o7777);
        header.set_uid(user.into());
        header.set_gid(group.into());
        archive.append_data(&mut header, path, io::empty())?;
    }
    archive.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_survives_the_kernels_separators() {
        let of = |path: &str| options_of(Path::new(path), "/v/_data");
        assert_eq!(of("/p/a").unwrap(), "lowerdir=/p/a,upperdir=/v/_data/upper,workdir=/v/_data/work");
        assert!(of("/p/a:b,c d").unwrap().starts_with("lowerdir=/p/a\\:b\\,c d,upper"));
        for path in ["/p/a\\b", "/p/\"a\"", "/p/a\nb", &format!("/{}", "x/".repeat(2000))] {
            assert_eq!(of(path), None, "{path}");
        }
    }

    #[test]
    fn every_path_has_a_view_of_its_own() {
        let stack = crate::resolve::sample::stack("[services.a]\nimage = \"a:1\"");
        assert_ne!(name(&stack, Path::new("/a")), name(&stack, Path::new("/a/b")));
        assert!(name(&stack, Path::new("/a")).starts_with(stack.name.as_str()));
    }
}
