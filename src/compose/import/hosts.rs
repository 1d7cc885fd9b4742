//! `container_name`: containers are called otherwise here, which matters where another service uses the name as a host.

use super::Importer;
use super::service::Draft;
use crate::compose::Note;
use crate::compose::merge::pairs;
use crate::compose::yaml::Entry;

impl Importer<'_> {
    pub(super) fn container_name(&mut self, draft: &mut Draft<'_>, entry: &Entry) {
        let own = self.value(&entry.node);
        let name = self.name(draft.name);
        if own == name {
            return self.lost(&entry.key, "container_name", "containers are called <project>-<service>");
        }
        let remedy =
            format!("containers are called <project>-<service>; other services reach it as `{name}`, not `{own}`");
        self.lost(&entry.key, "container_name", remedy);
        // A service of that name is what the host is here.
        if self.services().any(|(other, _)| other == own) {
            return;
        }
        for (other, service) in self.services().collect::<Vec<_>>() {
            let environment = service.node.get("environment").map(|node| pairs(node.clone(), &['=']));
            for (variable, entry) in environment.as_ref().and_then(|node| node.map()).into_iter().flatten() {
                if is_host(variable, &self.value(&entry.node), &own) {
                    let other = self.name(other);
                    let message = format!("`{variable}` of `{other}` has `{own}` as a host, the container of `{name}`");
                    self.notes.push(Note::lost(
                        &entry.key,
                        message,
                        format!("write `{name}`, the service's name, there"),
                    ));
                }
            }
        }
    }
}

/// Whether a variable's value has a name as a host: in a URL, before a port, or alone in a variable that is for hosts.
fn is_host(variable: &str, value: &str, name: &str) -> bool {
    const FOR_HOSTS: [&str; 6] = ["HOST", "SERVER", "ADDR", "URL", "URI", "ENDPOINT"];
    let variable = variable.to_ascii_uppercase();
    if name.is_empty() || value == name {
        return !name.is_empty() && FOR_HOSTS.iter().any(|word| variable.contains(word));
    }
    value.match_indices(name).any(|(at, _)| {
        let (before, after) = (&value[..at], &value[at + name.len()..]);
        let in_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let in_url = before.ends_with("//") || before.ends_with('@') && before.contains("//");
        let has_port = after.strip_prefix(':').is_some_and(|port| port.starts_with(|c: char| c.is_ascii_digit()));
        !before.ends_with(in_word) && !after.starts_with(in_word) && (in_url || has_port)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_other_words() {
        for (variable, value, expected) in [
            ("DB_HOST", "my-db", true),
            ("DB_NAME", "my-db", false),
            ("DATABASE", "postgres://u:p@my-db/x", true),
            ("SITE", "http://my-db", true),
            ("BROKERS", "a:1,my-db:9092", true),
            ("BROKERS", "not-my-db:9092", false),
            ("SITE", "http://my-db.example", false),
            ("TEXT", "my-db: the best", false),
        ] {
            assert_eq!(is_host(variable, value, "my-db"), expected, "{variable}={value}");
        }
    }
}
