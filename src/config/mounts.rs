//! Volumes and bind mounts: `"data:/var/lib/data:ro"`, or a table.

use super::decode::{Decode, Reader, Spanned, table};
use super::describe::Shape;
use super::node::{Node, Value};
use crate::model::{MountOptions, RECURSIVE};

table! {
    /// A volume or bind mount in its long form.
    MountTable "Mounts" {
        /// Volume name, or path on the host (`./…`, `/…`, `~/…`). Without it, an anonymous volume, kept until `down -v` or `up -V`.
        source: Option<String>, default "an anonymous volume", example r#"source = "postgres-data""#;
        /// Image whose files are mounted, read-only; instead of `source`. It is pulled where it is missing. Docker 28 and newer have such mounts.
        image: Option<String>, default "none", example r#"image = "models:1""#;
        /// Path inside the container where it is mounted.
        target: String, default "", example r#"target = "/var/lib/postgresql/data""#;
        /// Mounts it read-only.
        read_only: Option<bool>, default "false", example "read_only = true";
        /// Isolated stacks (`taskava dev test`) write to this path too. Otherwise, if the path is writable, they get a copy-on-write view of it: an overlay if the engine can mount one, else a copy of up to 256 MiB (each file counted with at least 4 KiB). If neither is possible, the path is shared with a warning, or refused if a database may keep its data there.
        shared: Option<bool>, default "false", example r#"shared = true"#;
        /// Which mounts below a path are seen on the other side.
        propagation: Option<Spanned<String>>, default "rprivate", example r#"propagation = "rshared""#;
        /// A new volume does not begin with what the image has there.
        nocopy: Option<bool>, default "false", example "nocopy = true";
        /// Folder in the volume or image that is mounted.
        subpath: Option<String>, default "all of it", example r#"subpath = "uploads""#;
        /// What becomes of mounts below a path: `enabled` = mounted too, read-only as far as the kernel can; `disabled` = left out; `writable` = not read-only; `readonly` = read-only, or the container is refused.
        recursive: Option<Spanned<String>>, default "enabled", example r#"recursive = "disabled""#;
        /// SELinux label that a path or volume gets: `z` = shared between containers, `Z` = of this container alone. Without SELinux it changes nothing.
        selinux: Option<Spanned<String>>, default "none", example r#"selinux = "z""#;
        /// `up` creates a folder where there is nothing at the path.
        create_host_path: Option<bool>, default "false: it must exist", example "create_host_path = true";
    }
}

/// `source:target[:ro]`, or only a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountSpec {
    /// Volume name or path as written.
    pub source: Option<String>,
    /// Image that is mounted instead.
    pub image: Option<String>,
    /// Where, inside.
    pub target: String,
    /// Read-only.
    pub read_only: bool,
    /// The stack of a test run writes to it, too.
    pub shared: bool,
    /// What else the engine is told.
    pub options: MountOptions,
}

/// How a mount can be propagated.
const PROPAGATION: [&str; 6] = ["private", "rprivate", "shared", "rshared", "slave", "rslave"];

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
        let (mut read_only, mut more) = (false, MountOptions::default());
        for option in options.split(',').filter(|option| !option.is_empty()) {
            match option {
                "ro" => read_only = true,
                // What compose files carry for other platforms changes nothing here.
                "rw" | "cached" | "delegated" | "consistent" => {}
                "nocopy" => more.no_copy = true,
                "z" | "Z" => more.selinux = Some(option.into()),
                option if PROPAGATION.contains(&option) => more.propagation = Some(option.into()),
                _ => {
                    return Err(format!(
                        "`{option}` is not an option of a mount: ro, rw, nocopy, z, Z, {}",
                        PROPAGATION.join(", ")
                    ));
                }
            }
        }
        let (source, target) = (source.map(Into::into), target.into());
        Ok(Self { source, image: None, target, read_only, shared: false, options: more })
    }
}

impl Decode for MountSpec {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.value {
            Value::String(_) => {
                let text = String::decode(node, reader)?;
                reader.check(node, Self::parse(&text))
            }
            Value::Table(_) => MountTable::decode(node, reader).map(|table| {
                let words: [(_, _, &[&str]); 3] = [
                    (&table.propagation, "propagation", &PROPAGATION),
                    (&table.recursive, "value of `recursive`", &RECURSIVE),
                    (&table.selinux, "label", &["z", "Z"]),
                ];
                for (written, what, known) in words {
                    if let Some(word) = written.as_ref().filter(|word| !known.contains(&word.as_str())) {
                        let message = format!("`{}` is not a {what}: {}", word.value, known.join(", "));
                        reader.error(&word.place, message);
                    }
                }
                let text = |at: Option<Spanned<String>>| at.map(|at| at.value);
                Self {
                    source: table.source,
                    image: table.image,
                    target: table.target,
                    read_only: table.read_only.unwrap_or(false),
                    shared: table.shared.unwrap_or(false),
                    options: MountOptions {
                        propagation: text(table.propagation),
                        no_copy: table.nocopy.unwrap_or(false),
                        subpath: table.subpath,
                        create: table.create_host_path.unwrap_or(false),
                        selinux: text(table.selinux),
                        recursive: text(table.recursive).filter(|word| word != "enabled"),
                    },
                }
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
