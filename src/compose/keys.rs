//! The keys of a service: their order in a file, and which have another name in Compose.

const KEYS: [(&str, bool); 36] = [
    ("kind", true),
    ("image", true),
    ("build", true),
    ("pull", true),
    ("platform", true),
    ("command", true),
    ("entrypoint", true),
    ("ports", true),
    ("env", true),
    ("env_file", true),
    ("volumes", true),
    ("tmpfs", true),
    ("depends_on", true),
    ("ready", false),
    ("profiles", true),
    ("watch", true),
    ("hooks", false),
    ("exports", false),
    ("user", true),
    ("working_dir", true),
    ("hostname", true),
    ("networks", true),
    ("labels", true),
    ("init", true),
    ("read_only", true),
    ("shm_size", true),
    ("ulimits", true),
    ("cap_add", true),
    ("cap_drop", true),
    ("extra_hosts", true),
    ("dns", true),
    ("stop_signal", true),
    ("stop_timeout", true),
    ("restart", true),
    ("resources", true),
    ("logging", true),
];

/// Where a key stands among the others; none of one that is no key of a service.
pub(super) fn place(key: &str) -> Option<usize> {
    KEYS.iter().position(|(known, _)| *known == key)
}

/// Whether Compose has words for what a key says. What it has none for travels as it is written.
pub(super) fn has_words(key: &str) -> bool {
    KEYS.contains(&(key, true))
}

#[cfg(test)]
mod tests {
    use crate::config::decode::Decode as _;
    use crate::config::describe::Shape;
    use crate::config::schema::Service;

    #[test]
    fn every_key_of_a_service_has_its_place() {
        let Shape::Table(table) = Service::shape() else { unreachable!("a service is a table") };
        let mut keys: Vec<&str> = (table.fields)().iter().map(|field| field.key).collect();
        let mut known = super::KEYS.map(|(key, _)| key);
        keys.sort_unstable();
        known.sort_unstable();
        assert_eq!(keys, known);
    }
}
