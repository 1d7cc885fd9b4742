//! What a service was configured with: its environment and the flags of its command, as an image reads them.

use indexmap::IndexMap;

use crate::model::EnvValue;

/// Environment and command of a service.
pub(super) struct Arguments<'a> {
    env: &'a IndexMap<String, EnvValue>,
    words: Vec<&'a str>,
}

impl<'a> Arguments<'a> {
    pub(super) fn new(env: &'a IndexMap<String, EnvValue>, command: Option<&'a [String]>) -> Self {
        let command = command.unwrap_or_default();
        let words = match command {
            // `sh -c "exec redis-server --port 6380"`: good enough to find flags, which is all that is asked here.
            [shell, flag, script] if shell.ends_with("sh") && flag.starts_with('-') && flag.ends_with('c') => {
                script.split_whitespace().map(|word| word.trim_matches(['"', '\''])).collect()
            }
            _ => command.iter().map(String::as_str).collect(),
        };
        Self { env, words }
    }

    /// A variable that is set and not empty: the official images take an empty one as not set.
    pub(super) fn env(&self, name: &str) -> Option<&'a str> {
        self.env.get(name).map(|value| value.value.as_str()).filter(|value| !value.is_empty())
    }

    /// The value of the last of these flags, as `--flag value` or `--flag=value`; for one letter also `-p5433`.
    pub(super) fn flag(&self, names: &[&str]) -> Option<&'a str> {
        self.flags(names).last()
    }

    /// The values of all of these flags, in order.
    pub(super) fn flags(&self, names: &[&str]) -> impl Iterator<Item = &'a str> {
        self.words.iter().enumerate().filter_map(|(at, word)| {
            let value = names.iter().find_map(|name| match word.strip_prefix(name)? {
                "" => self.words.get(at + 1).copied(),
                rest if rest.starts_with('=') => Some(&rest[1..]),
                rest if name.len() == 2 => Some(rest),
                _ => None,
            });
            // `$PORT` is known to the shell inside only.
            value.filter(|value| !value.is_empty() && !value.contains('$'))
        })
    }

    /// Port of `0.0.0.0:4566`, `[::]:4566`, `:4566` or `4566`.
    pub(super) fn port(address: Option<&str>) -> Option<u16> {
        let address = address?;
        address.rsplit_once(':').map_or(address, |(_, port)| port).parse().ok().filter(|port| *port != 0)
    }
}
