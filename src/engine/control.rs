//! What is done to a running container without changing what it is: signals, pauses, a look at its processes.

use std::collections::BTreeMap;

use bollard::models::ContainerConfig;
use bollard::query_parameters::{
    CommitContainerOptions, InspectContainerOptions, KillContainerOptions, ListContainersOptions, TopOptions,
};
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _};

use super::connect::answer;
use super::error::failed;
use super::upload::COPY;
use super::{Engine, labels};
use crate::diag::Result;

/// A stack as the labels of its containers say it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StackInfo {
    /// Its name.
    pub name: String,
    /// Folder of its services.toml.
    pub root: String,
    /// How many of its containers are in a state, by the engine's word for it.
    pub states: BTreeMap<String, usize>,
    /// It belongs to a test run.
    pub isolated: bool,
}

/// An image that is made from a container.
#[derive(Debug, Clone, Default)]
pub struct CommitOptions {
    /// Its name without the tag.
    pub repository: Option<String>,
    /// Its tag.
    pub tag: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// What it is.
    pub message: Option<String>,
    /// Dockerfile instructions.
    pub changes: Vec<String>,
    /// The container's processes are suspended meanwhile.
    pub pause: bool,
}

/// The processes of a container: what the columns are, and the rows.
type Processes = (Vec<String>, Vec<Vec<String>>);

impl Engine {
    /// The stacks that have containers, by name.
    ///
    /// # Errors
    /// When the engine can't be asked.
    pub async fn list_stacks(&self) -> Result<Vec<StackInfo>> {
        let filters = [("label".to_owned(), vec![labels::PROJECT.to_owned()])].into();
        let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
        let listed = answer(self.docker.list_containers(Some(options))).await;
        let listed = listed.map_err(|error| failed("can't list containers", &error))?;
        let mut stacks: BTreeMap<(String, String), StackInfo> = BTreeMap::new();
        for seen in listed {
            let found = seen.labels.unwrap_or_default();
            let label = |key: &str| found.get(key).cloned().unwrap_or_default();
            let (name, root) = (label(labels::PROJECT), label(labels::ROOT));
            let isolated = found.contains_key(labels::OWNER);
            let stack = stacks.entry((name.clone(), root.clone())).or_insert_with(|| StackInfo {
                name,
                root,
                isolated,
                ..StackInfo::default()
            });
            let state = seen.state.map(|state| state.to_string()).unwrap_or_default();
            *stack.states.entry(state).or_default() += 1;
        }
        Ok(stacks.into_values().collect())
    }

    /// Sends a signal to the first process of a container.
    ///
    /// # Errors
    /// When it does not run, or the engine does not know the signal.
    pub async fn kill(&self, id: &str, name: &str, signal: &str) -> Result<()> {
        let options = KillContainerOptions { signal: signal.to_owned() };
        let sent = self.docker.kill_container(id, Some(options)).await;
        sent.map_err(|error| failed(format_args!("can't send {signal} to {name}"), &error))
    }

    /// Suspends all processes of a container.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn pause(&self, id: &str, name: &str) -> Result<()> {
        self.docker.pause_container(id).await.map_err(|error| failed(format_args!("can't pause {name}"), &error))
    }

    /// Lets them go on.
    ///
    /// # Errors
    /// When it is not paused.
    pub async fn unpause(&self, id: &str, name: &str) -> Result<()> {
        self.docker.unpause_container(id).await.map_err(|error| failed(format_args!("can't unpause {name}"), &error))
    }

    /// Makes an image of a container's file system. Returns its id.
    ///
    /// # Errors
    /// When the engine refuses a name or an instruction.
    pub async fn commit_image(&self, id: &str, name: &str, options: CommitOptions) -> Result<String> {
        let failed = |error: bollard::errors::Error| failed(format_args!("can't create an image of {name}"), &error);
        let seen = answer(self.docker.inspect_container(id, None::<InspectContainerOptions>)).await.map_err(failed)?;
        // A container of this image would be taken for one of the stack.
        let own = seen.config.unwrap_or_default().labels.unwrap_or_default().into_keys();
        let labels = own.filter(|label| label.starts_with(labels::PREFIX)).map(|label| (label, String::new()));
        let config = ContainerConfig { labels: Some(labels.collect()), ..Default::default() };
        let asked = CommitContainerOptions {
            container: Some(id.into()),
            repo: options.repository,
            tag: options.tag,
            comment: options.message,
            author: options.author,
            pause: options.pause,
            changes: (!options.changes.is_empty()).then(|| options.changes.join("\n")),
        };
        let docker = self.docker.clone().with_timeout(COPY);
        Ok(docker.commit_container(asked, config).await.map_err(failed)?.id)
    }

    /// The file system of a container as a tar, volumes left out.
    pub fn export(&self, id: &str) -> impl Stream<Item = std::io::Result<Bytes>> + use<> {
        self.docker.clone().with_timeout(COPY).export_container(id).map_err(std::io::Error::other)
    }

    /// The processes in a container, as `ps -ef` on the engine's machine shows them.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn top(&self, id: &str, name: &str) -> Result<Processes> {
        let seen = answer(self.docker.top_processes(id, None::<TopOptions>)).await;
        let seen = seen.map_err(|error| failed(format_args!("can't list the processes of {name}"), &error))?;
        Ok((seen.titles.unwrap_or_default(), seen.processes.unwrap_or_default()))
    }
}
