//! Names as types, each with one parse function that reports what is wrong with an invalid one.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// Name of a stack (compose: project): `[a-z0-9][a-z0-9_-]*`, at most 63 characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct StackName(Arc<str>);

/// Name of a service: `[a-z0-9][a-z0-9_-]*`, at most 63 characters, so that it is a DNS label too.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ServiceName(Arc<str>);

/// Name of a copy of data, a snapshot or a database: as that of a service.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct CopyName(Arc<str>);

fn parse(text: &str) -> Result<Arc<str>, String> {
    let bad = |c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
    if text.is_empty() {
        Err("a name can't be empty".into())
    } else if text.len() > 63 {
        Err(format!("a name has at most 63 characters, this one has {}", text.len()))
    } else if let Some(c) = text.chars().find(|c| bad(*c)) {
        Err(format!("a name can't contain {c:?}: use lower-case letters, digits, `-` and `_`"))
    } else if text.starts_with(['-', '_']) {
        Err("a name starts with a letter or digit".into())
    } else {
        Ok(text.into())
    }
}

macro_rules! name {
    ($name:ident) => {
        impl $name {
            /// Checks and wraps a name. The error says what is wrong with it.
            pub fn parse(text: &str) -> Result<Self, String> {
                parse(text).map(Self)
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(StackName);
name!(ServiceName);
name!(CopyName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_dns_labels() {
        assert!(ServiceName::parse("api-2_b").is_ok());
        for bad in ["", "Api", "-a", "_a", "a b", "a/b", "ä", &"a".repeat(64)] {
            assert!(ServiceName::parse(bad).is_err(), "{bad:?}");
        }
    }
}
