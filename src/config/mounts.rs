//! Volumes and bind mounts: `"data:/var/lib/data:ro"`, or a table.

use super::decode::{Decode, Reader, table};
use super::describe::Shape;
use super::node::{Node, Value};

table! {
    /// A volume or bind mount in its long form.
    MountTable "Mounts" {
        /// Volume name, or path on the host (`./…`, `/…`, `~/…`). Without it, an anonymous volume, kept until `down -v` or `up -V`.
        source: Option<String>, default "an anonymous volume", example r#"source = "postgres-data""#;
        /// Path inside the container where it is mounted.
        target: String, default "", example r#"target = "/var/lib/postgresql/data""#;
        /// Mounts it read-only.
        read_only: Option<bool>, default "false", example "read_only = true";
        /// Isolated stacks (`taskava dev test`) write to this path too. Otherwise, if the path is writable, they get a copy-on-write view of it: an overlay if the engine can mount one, else a copy of up to 256 MiB (each file counted with at least 4 KiB). If neither is possible, the path is shared with a warning, or refused if a database may keep its data there.
        shared: Option<bool>, default "false", example r#"shared = true"#;
    }
}

/// `source:target[:ro]`, or only a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountSpec {
    /// Volume name or path as written.
    pub source: Option<String>,
    /// Where, inside.
    pub target: String,
    /// Read-only.
    pub read_only: bool,
    /// The stack of a test run writes to it, too.
    pub shared: bool,
}

impl MountSpec {
    /// Reads the short form.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let (source, target, options) = match parts[..] {
            [target] => (None, target, ""),
            [source, target] => (Some(source), target, ""),
            [source, target, options] => (Some(source), target, options),
            _ => return Err(format!("`{text}` has too many colons: source:target[:ro]")),
        };
        if source == Some("") {
            return Err(format!("`{text}` has no source before the colon"));
        }
        let mut read_only = false;
        for option in options.split(',').filter(|option| !option.is_empty()) {
            match option {
                "ro" => read_only = true,
                // What compose files carry for other platforms changes nothing here.
                "rw" | "cached" | "delegated" | "consistent" => {}
                _ => return Err(format!("`{option}` is not an option of a mount: ro or rw")),
            }
        }
        Ok(Self { source: source.map(Into::into), target: target.into(), read_only, shared: false })
    }
}

impl Decode for MountSpec {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.value {
            Value::String(_) => {
                let text = String::decode(node, reader)?;
                reader.check(node, Self::parse(&text))
            }
            Value::Table(_) => MountTable::decode(node, reader).map(|table| Self {
                source: table.source,
                target: table.target,
                read_only: table.read_only.unwrap_or(false),
                shared: table.shared.unwrap_or(false),
            }),
            _ => {
                reader.wrong::<Self>(node);
                None
            }
        }
    }
    fn shape() -> Shape {
        Shape::Any(vec![Shape::Text("a mount such as \"data:/var/lib/data\""), MountTable::shape()])
    }
}
