//! The keys of a service: their order in a file, and which have another name in Compose.

use std::sync::LazyLock;

use crate::config::decode::Decode as _;
use crate::config::describe::Shape;
use crate::config::schema::Service;

/// All of them, in the order of the reference.
static KEYS: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let Shape::Table(table) = Service::shape() else { unreachable!("a service is a table") };
    (table.fields)().iter().map(|field| field.key).collect()
});

/// Those that Compose has no words for; of `hooks` this is `ready` only. They travel as they are written, under `x-taskava`.
const OWN: [&str; 3] = ["ready", "hooks", "exports"];

/// Where a key stands among the others; none of one that is no key of a service.
pub(super) fn place(key: &str) -> Option<usize> {
    KEYS.iter().position(|known| *known == key)
}

/// Whether Compose has words for what a key says.
pub(super) fn has_words(key: &str) -> bool {
    place(key).is_some() && !OWN.contains(&key)
}
