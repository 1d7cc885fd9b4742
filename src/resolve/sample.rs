//! Stacks for unit tests.

use std::sync::Arc;

use super::{ResolveContext, resolve};
use crate::config::{self, Variables};
use crate::diag::Source;
use crate::model::Stack;

/// What a services.toml means that has nothing wrong with it; `project = "p"` is added.
#[track_caller]
pub(crate) fn stack(text: &str) -> Stack {
    let source = Arc::new(Source { name: "services.toml".into(), text: format!("project = \"p\"\n{text}") });
    let (config, mut problems) = config::parse(&[source], &Variables::default());
    let stack = resolve(&config, &ResolveContext::default(), &mut problems).stack;
    assert!(problems.is_empty(), "{problems:?}\n{text}");
    stack
}
