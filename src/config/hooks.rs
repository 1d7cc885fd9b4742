//! Hooks of a service: `"psql -f /seed.sql"`, or a table.

use super::decode::{Decode, Reader, Spanned, table};
use super::describe::Shape;
use super::forms::{Pairs, Scalar, Words};
use super::node::{Node, Value};

table! {
    /// Commands run at points in the life cycle of a service, one after the other: command lines, lists of arguments, or tables.
    Hooks "Hooks" {
        /// Commands to run as soon as the container was started, each time, before it is probed and before services start that wait for it. If one fails, the service has failed.
        post_start: Vec<Spanned<HookSpec>>, default "none", example r#"post_start = [{ command = "chown -R app /data", user = "root" }]"#;
        /// Commands to run when it becomes ready, each time it was started. If one fails, the service has failed.
        ready: Vec<Spanned<HookSpec>>, default "none", example r#"ready = ["psql -f /seed.sql"]"#;
        /// Commands to run before taskava stops the container (`stop`, `restart`, `down`, recreation), while its processes still run; not if it is killed. Together they have the time of `stop_timeout`, and the container after them its own. One that fails is a warning, and the container is stopped nevertheless. If taskava is killed meanwhile, the next run repeats them and stops the container.
        pre_stop: Vec<Spanned<HookSpec>>, default "none", example r#"pre_stop = ["nginx -s quit"]"#;
    }
}

table! {
    /// A command that is run inside a container.
    HookTable "Hook commands" {
        /// The command: a command line (not run by a shell) or a list of arguments.
        command: Words, default "", example r#"command = "psql -f /seed.sql""#;
        /// User, and optionally group, to run as.
        user: Option<Scalar>, default "that of the container", example r#"user = "root""#;
        /// Working directory inside the container.
        working_dir: Option<Spanned<String>>, default "that of the container", example r#"working_dir = "/app""#;
        /// Environment variables in addition to those of the container.
        env: Pairs, default "none", example r#"env = { MODE = "seed" }"#;
        /// Runs it with all capabilities.
        privileged: Option<bool>, default "false", example "privileged = true";
    }
}

/// A hook in either form.
#[derive(Debug, Clone, Default)]
pub struct HookSpec(pub HookTable);

impl Decode for HookSpec {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.value {
            Value::Table(_) => HookTable::decode(node, reader).map(Self),
            Value::String(_) | Value::Array(_) => {
                Words::decode(node, reader).map(|command| Self(HookTable { command, ..HookTable::default() }))
            }
            _ => {
                reader.wrong::<Self>(node);
                None
            }
        }
    }
    fn shape() -> Shape {
        Shape::Any(vec![Words::shape(), HookTable::shape()])
    }
}
