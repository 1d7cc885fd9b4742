//! Commands that run inside a service's container at points of its life.

use super::{Resolver, strings};
use crate::config::decode::{Entry, Spanned};
use crate::config::hooks::HookSpec;
use crate::config::schema;
use crate::model::{Hook, Hooks};

impl Resolver<'_> {
    pub(super) fn hooks(&mut self, entry: &Entry<schema::Service>) -> Hooks {
        let Some(written) = &entry.hooks else { return Hooks::default() };
        let mut all = |hooks: &[Spanned<HookSpec>]| hooks.iter().map(|hook| self.hook(hook)).collect();
        Hooks { post_start: all(&written.post_start), ready: all(&written.ready), pre_stop: all(&written.pre_stop) }
    }

    fn hook(&mut self, written: &Spanned<HookSpec>) -> Hook {
        let hook = &written.value.0;
        if hook.command.0.is_empty() {
            self.error(&written.place, "the command is empty");
        }
        if let Some(folder) = hook.working_dir.as_ref().filter(|folder| !folder.starts_with('/')) {
            self.error(&folder.place, format!("`{}` is not an absolute path inside the container", folder.value));
        }
        Hook {
            command: hook.command.0.clone(),
            user: hook.user.as_ref().map(|user| user.0.clone()),
            working_dir: hook.working_dir.as_ref().map(|folder| folder.value.clone()),
            env: strings(&hook.env),
            privileged: hook.privileged.unwrap_or(false),
        }
    }
}
