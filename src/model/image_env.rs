//! A service with the variables that its image or container sets and services.toml does not. No I/O.

use super::secret::is_secret_name;
use super::{EnvValue, Service};

impl Service {
    /// The same with these variables, `NAME=value`; those of services.toml keep their value and their story. It is not what
    /// its container is made from.
    #[must_use]
    pub fn with_env(&self, lines: &[String]) -> Self {
        let mut found = self.clone();
        for (name, value) in lines.iter().filter_map(|line| line.split_once('=')) {
            found.env.entry(name.into()).or_insert_with(|| EnvValue {
                value: value.into(),
                origin: vec![format!("image {}", self.image)],
                secret: is_secret_name(name),
            });
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use crate::resolve::sample::stack;

    #[test]
    fn what_services_toml_says_counts_before_the_image() {
        let stack = stack("[services.db]\nimage = \"db:1\"\nenv = { PGDATA = \"/own\" }\n");
        let found = stack.services["db"].with_env(&["PGDATA=/image".into(), "STATE_DIR=/a=b".into(), "odd".into()]);
        let value = |name: &str| found.env.get(name).map(|env| env.value.as_str());
        assert_eq!((value("PGDATA"), value("STATE_DIR"), value("odd")), (Some("/own"), Some("/a=b"), None));
    }
}
