//! The text of a new services.toml, for what was found in a folder. Pure; `cli::init` reads the folder and writes the
//! file.

use crate::model::StackName;

/// An application in the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum App {
    /// Cargo.toml
    Rust,
    /// package.json
    Node,
    /// pyproject.toml or requirements.txt
    Python,
}

impl App {
    /// The files that give each away, most telling first.
    pub const SIGNS: [(&'static str, Self); 4] = [
        ("Cargo.toml", Self::Rust),
        ("package.json", Self::Node),
        ("pyproject.toml", Self::Python),
        ("requirements.txt", Self::Python),
    ];

    /// As it is called.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::Node => "Node",
            Self::Python => "Python",
        }
    }

    fn watch(self) -> &'static str {
        match self {
            Self::Rust => {
                "  { path = \".\", action = \"rebuild\", ignore = [\"target\"] },      # compiled into the image\n"
            }
            Self::Node => {
                "  { path = \".\", action = \"sync\", target = \"/app\", ignore = [\"node_modules\", \"package.json\"] },\n  { path = \"package.json\", action = \"rebuild\" },\n"
            }
            Self::Python => {
                "  { path = \".\", action = \"sync+restart\", target = \"/app\", ignore = [\"tests\", \".venv\"] },\n"
            }
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Rust => 8080,
            Self::Node => 3000,
            Self::Python => 8000,
        }
    }
}

/// Services that can be added to PostgreSQL and Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[expect(missing_docs, reason = "each is the product of its name")]
pub enum Extra {
    Localstack,
    Mailhog,
    Mailpit,
}

/// The JSON Schema next to it, which its first line names.
pub const SCHEMA: &str = "services.schema.json";

/// The whole file.
pub fn services_toml(project: &StackName, app: Option<App>, with: &[Extra]) -> String {
    let mut text = HEAD.replace("SCHEMA", SCHEMA).replace("PROJECT", project.as_str());
    text.push_str(POSTGRES);
    text.push_str(REDIS);
    let (mailhog, mailpit) = (with.contains(&Extra::Mailhog), with.contains(&Extra::Mailpit));
    let block = |block: &str, wanted| if wanted { block.to_owned() } else { commented(block) };
    text.push_str(&block(LOCALSTACK, with.contains(&Extra::Localstack)));
    // One mail catcher is enough for most; two share no port.
    if mailhog || !mailpit {
        text.push_str(&block(MAILHOG, mailhog));
    }
    if mailpit {
        let (smtp, http) = if mailhog { ("1026", "8026") } else { ("1025", "8025") };
        text.push_str(&MAILPIT.replace("SMTP", smtp).replace("HTTP", http));
    }
    if let Some(app) = app {
        let block = APP
            .replace("LANGUAGE", app.as_str())
            .replace("PORT", &app.port().to_string())
            .replace("WATCH\n", app.watch());
        text.push_str(&commented(&block));
    }
    text
}

/// Everything but the comments taken out of service.
fn commented(block: &str) -> String {
    let line = |line: &str| match line {
        "" => String::from("\n"),
        line if line.starts_with('#') => format!("{line}\n"),
        line => format!("# {line}\n"),
    };
    block.lines().map(line).collect()
}

/// A folder's name as the name of a stack.
pub fn project(folder: &str) -> StackName {
    let keep = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c.to_ascii_lowercase() } else { '-' };
    let name: String = folder.chars().map(keep).collect();
    let name: String = name.trim_matches(['-', '_']).chars().take(63).collect();
    StackName::parse(&name).unwrap_or_else(|_| StackName::parse("my-stack").expect("it is a valid name"))
}

const HEAD: &str = r##"#:schema ./SCHEMA
# The services that this project needs for local development. `taskava dev up` starts them and returns when all are ready;
# eval "$(taskava dev env --format shell)" sets the variables through which a program on this machine finds them.
#
# Every key is described in SCHEMA, which editors read (`taskava dev schema` prints it). Put personal settings into
# services.local.toml next to this file (not committed to git): it overrides this file key by key.
# ${NAME:-default} is replaced by a variable of the environment or of .env.

project = "PROJECT"
"##;

const POSTGRES: &str = r#"
# The database.
[services.postgres]
kind = "postgres"               # ready = a login to POSTGRES_DB succeeds
image = "postgres:15-alpine"
ports = ["5432:5432"]           # HOST:CONTAINER on 127.0.0.1; "5432" alone lets the engine choose a free host port
env = { POSTGRES_USER = "app", POSTGRES_PASSWORD = "${POSTGRES_PASSWORD:-app}", POSTGRES_DB = "app" }
volumes = ["postgres-data:/var/lib/postgresql/data"]      # kept by `down`, removed by `down --volumes`
"#;

const REDIS: &str = r#"
# Cache and queues.
[services.redis]
kind = "redis"
image = "redis:7-alpine"
command = ["redis-server", "--appendonly", "yes"]
ports = ["6379:6379"]
volumes = ["redis-data:/data"]
"#;

const LOCALSTACK: &str = r#"
# AWS services. 4.14.0 is the last version that runs without an account.
[services.localstack]
kind = "localstack"
image = "localstack/localstack:4.14.0"
ports = ["4566:4566"]
env = { SERVICES = "s3,sqs,sns,ssm,secretsmanager", AWS_DEFAULT_REGION = "eu-central-1" }
volumes = ["localstack-data:/var/lib/localstack"]
"#;

const MAILHOG: &str = r#"
# Catches all mail, shown at http://localhost:8025. On arm64: kind = "mailpit", image = "axllent/mailpit:v1.27.11".
[services.mailhog]
kind = "mailhog"
image = "mailhog/mailhog:v1.0.1"
ports = ["1025:1025", "8025:8025"]
"#;

const MAILPIT: &str = r#"
# Catches all mail, shown at http://localhost:HTTP.
[services.mailpit]
kind = "mailpit"
image = "axllent/mailpit:v1.27.11"
ports = ["SMTP:1025", "HTTP:8025"]
"#;

const APP: &str = r#"
# The LANGUAGE application itself. It needs a Dockerfile; `taskava dev up --profile app --watch` then applies your changes.
[services.app]
build = "."
ports = ["PORT:PORT"]
env = { DATABASE_URL = "postgres://app:${POSTGRES_PASSWORD:-app}@postgres:5432/app", REDIS_URL = "redis://redis:6379" }
depends_on = ["postgres", "redis"]                        # waits until they are ready
init = true                                               # forwards the stop signal to the application
ready = { http = "http://:PORT/health" }
profiles = ["app"]                                        # only with --profile app
watch = [
WATCH
]
"#;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::{self, Variables};
    use crate::diag::Source;

    fn services(text: &str) -> Vec<String> {
        let source = Arc::new(Source { name: "services.toml".into(), text: text.into() });
        let (config, problems) = config::parse(&[source], &Variables::default());
        assert_eq!(problems, [], "{text}");
        config.services.keys().cloned().collect()
    }

    #[test]
    fn every_choice_is_a_good_file() {
        let project = project("My App!");
        assert_eq!(project.as_str(), "my-app");
        for app in [None, Some(App::Rust), Some(App::Node), Some(App::Python)] {
            assert_eq!(services(&services_toml(&project, app, &[])), ["postgres", "redis"]);
        }
        let all = services_toml(&project, None, &[Extra::Localstack, Extra::Mailpit]);
        assert_eq!(services(&all), ["postgres", "redis", "localstack", "mailpit"]);
        let both = services_toml(&project, None, &[Extra::Mailhog, Extra::Mailpit]);
        assert_eq!(services(&both), ["postgres", "redis", "mailhog", "mailpit"]);
        let ports: Vec<&str> = both.lines().filter(|line| line.starts_with("ports")).collect();
        let different: std::collections::BTreeSet<_> = ports.iter().collect();
        assert_eq!(different.len(), ports.len(), "{ports:?}");
    }

    #[test]
    fn what_is_commented_out_is_right_too() {
        for app in [App::Rust, App::Node, App::Python] {
            let text = services_toml(&project("x"), Some(app), &[]);
            let code = |line: &str| {
                let rest = line.strip_prefix("# ").filter(|rest| {
                    let key = rest.split(' ').next().unwrap_or_default();
                    rest.starts_with(['[', ']', ' '])
                        || (rest.contains(" = ") && key.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
                });
                rest.map_or_else(|| line.to_owned(), str::to_owned)
            };
            let all: String = text.lines().map(|line| code(line) + "\n").collect();
            assert_eq!(services(&all), ["postgres", "redis", "localstack", "mailhog", "app"], "{all}");
        }
    }
}
