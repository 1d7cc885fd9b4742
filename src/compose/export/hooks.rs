//! Writes hooks with Compose's keys: `post_start` and `pre_stop`. It has none for what is run when a service is ready.

use super::raw::text;
use super::yaml::Yaml;
use super::{Exporter, put};
use crate::config::node::{Node, Value};
use crate::model::{Hook, Hooks, ServiceName};

type Map = Vec<(String, Yaml)>;

impl Exporter<'_> {
    pub(super) fn hooks(&self, map: &mut Map, service: &ServiceName, hooks: &Hooks) {
        let written = self.raw.of(service.as_str(), "hooks");
        for (key, hooks) in hooks.named().into_iter().filter(|(key, _)| *key != "ready") {
            let items = match written.and_then(|written| written.get(key)).map(|node| &node.value) {
                Some(Value::Array(items)) => items.as_slice(),
                _ => &[],
            };
            let all = hooks.iter().enumerate().map(|(index, hook)| self.hook(items.get(index), hook));
            put(map, key, Yaml::List(all.collect()));
        }
    }

    fn hook(&self, written: Option<&Node>, hook: &Hook) -> Yaml {
        let Hook { command, user, working_dir, env, privileged } = hook;
        let part = |key: &str| written.and_then(|written| written.get(key));
        let written_command = part("command").or(written);
        let mut map = vec![("command".to_owned(), self.words_as_written(written_command, command))];
        for (key, value) in [("user", user), ("working_dir", working_dir)] {
            map.extend(
                value.as_ref().map(|value| (key.to_owned(), self.raw.templated(part(key).and_then(text), value))),
            );
        }
        let variables = part("env");
        let variable = |(name, value): (&String, &String)| {
            let written = variables.and_then(|variables| variables.get(name)).and_then(text);
            (name.clone(), self.raw.templated(written, value))
        };
        put(&mut map, "environment", Yaml::Map(env.iter().map(variable).collect()));
        map.extend(privileged.then(|| ("privileged".to_owned(), Yaml::plain(true))));
        Yaml::Map(map)
    }
}
