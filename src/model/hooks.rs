//! Commands that run inside a service's container at points of its life, as `post_start` and `pre_stop` of Compose files.

use indexmap::IndexMap;

/// A command, and what differs from the container's own process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hook {
    /// The command.
    pub command: Vec<String>,
    /// `user[:group]`.
    pub user: Option<String>,
    /// Absolute path inside.
    pub working_dir: Option<String>,
    /// Variables in addition to those of the container.
    pub env: IndexMap<String, String>,
    /// With all capabilities.
    pub privileged: bool,
}

/// The hooks of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hooks {
    /// Run as soon as the container was started, each time.
    pub post_start: Vec<Hook>,
    /// Run when the service becomes ready, each time it was started.
    pub ready: Vec<Hook>,
    /// Run before the container is stopped.
    pub pre_stop: Vec<Hook>,
}

impl Hooks {
    /// All of them by their key in services.toml.
    pub fn named(&self) -> [(&'static str, &[Hook]); 3] {
        let Self { post_start, ready, pre_stop } = self;
        [("post_start", post_start), ("ready", ready), ("pre_stop", pre_stop)]
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Hook> {
        self.named().into_iter().flat_map(|(_, hooks)| hooks)
    }
}
