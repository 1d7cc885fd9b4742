//! The parts of an image's reference.

/// `host:5000/team/app:1@sha256:…`. Nothing is checked here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference<'a> {
    /// Everything before tag and digest: `host:5000/team/app`.
    pub repository: &'a str,
    /// `1`
    pub tag: Option<&'a str>,
    /// `sha256:…`
    pub digest: Option<&'a str>,
}

impl<'a> Reference<'a> {
    /// Takes one apart.
    pub fn of(text: &'a str) -> Self {
        let (name, digest) = text.split_once('@').map_or((text, None), |(name, digest)| (name, Some(digest)));
        match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => Self { repository, tag: Some(tag), digest },
            _ => Self { repository: name, tag: None, digest },
        }
    }

    /// What says which of its repository's images it is.
    pub fn version(&self) -> Option<&'a str> {
        self.digest.or(self.tag)
    }

    /// The registry it names, `host:5000`. A first part is a host when it can be nothing else.
    pub fn host(&self) -> Option<&'a str> {
        let (host, _) = self.repository.split_once('/')?;
        (host.contains(['.', ':']) || host == "localhost").then_some(host)
    }

    /// Its repository without the registry: `team/app`.
    pub fn path(&self) -> &'a str {
        self.host().map_or(self.repository, |host| &self.repository[host.len() + 1..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_told_from_ports_and_hosts_from_folders() {
        for (text, host, path, tag, digest) in [
            ("redis", None, "redis", None, None),
            ("redis:7", None, "redis", Some("7"), None),
            ("team/app:1", None, "team/app", Some("1"), None),
            ("localhost/app", Some("localhost"), "app", None, None),
            ("host:5000/redis", Some("host:5000"), "redis", None, None),
            ("host:5000/team/redis:7", Some("host:5000"), "team/redis", Some("7"), None),
            ("redis:7@sha256:00", None, "redis", Some("7"), Some("sha256:00")),
            ("host.example/redis@sha256:00", Some("host.example"), "redis", None, Some("sha256:00")),
            ("host.example/", Some("host.example"), "", None, None),
            ("a:", None, "a", Some(""), None),
        ] {
            let found = Reference::of(text);
            assert_eq!((found.host(), found.path(), found.tag, found.digest), (host, path, tag, digest), "{text}");
        }
    }
}
