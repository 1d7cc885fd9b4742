//! What every command gets: the global options and the screen. Finding the stack is up to `load`, finding the engine up
//! to `engine`.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::builder::{EnumValueParser, PossibleValue, TypedValueParser};
use clap::{ArgAction, ValueEnum, ValueHint};

use super::compose_options::ComposeGlobals;
use crate::engine::connect::ConnectOptions;
use crate::remedy;
use crate::ui::{ColorChoice, Format, FormatChoice, Options, Screen, TerminalInfo};

/// Options of every command, accepted before and after its name.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// services.toml or Compose file [default: searched upwards]; repeatable, last wins
    #[arg(
        short,
        long,
        global = true,
        hide_short_help = true,
        env = "TASKAVA_FILE",
        hide_env = true,
        value_name = "FILE"
    )]
    #[arg(value_hint = ValueHint::FilePath, value_parser = path, action = ArgAction::Append)]
    pub file: Vec<PathBuf>,
    /// Name of the stack [default: `project` in services.toml]
    #[arg(
        short,
        long,
        alias = "project-name",
        global = true,
        hide_short_help = true,
        env = "TASKAVA_PROJECT",
        hide_env = true,
        value_name = "NAME"
    )]
    pub project: Option<String>,
    /// Enable a profile; repeatable
    #[arg(
        long = "profile",
        global = true,
        hide_short_help = true,
        env = "TASKAVA_PROFILES",
        hide_env = true,
        value_name = "NAME"
    )]
    #[arg(value_delimiter = ',', action = ArgAction::Append, add = super::commands::completions::profiles())]
    pub profiles: Vec<String>,
    /// Docker engine to connect to (unix:///…, tcp://…)
    #[arg(long, global = true, hide_short_help = true, value_name = "ADDRESS", conflicts_with = "context")]
    pub host: Option<String>,
    /// Docker context to use
    #[arg(long, global = true, hide_short_help = true, value_name = "NAME")]
    pub context: Option<String>,
    /// Output format of progress
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        value_name = "FORMAT",
        default_value = "auto",
        hide_default_value = true,
        add = super::commands::completions::formats(),
        value_parser = FormatParser
    )]
    pub format: FormatArg,
    /// When to use colours
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_default_value = true
    )]
    pub color: ColorArg,
    /// Print only results, warnings and errors
    #[arg(short, long, global = true, hide_short_help = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Print every step
    #[arg(short, long, global = true, hide_short_help = true)]
    pub verbose: bool,
    /// Those of docker compose.
    #[command(flatten)]
    pub compose: ComposeGlobals,
}

/// `--format`. The hidden ones are for some commands alone: an option can't mean two things to clap.
#[derive(Debug, Clone, PartialEq, Eq, Default, ValueEnum)]
#[expect(missing_docs, reason = "see ui::FormatChoice")]
pub enum FormatArg {
    #[default]
    Auto,
    Tty,
    Plain,
    Json,
    #[value(hide = true)]
    Dotenv,
    #[value(hide = true)]
    Shell,
    #[value(hide = true)]
    Docker,
    #[value(hide = true)]
    Github,
    #[value(hide = true)]
    Table,
    #[value(hide = true)]
    Pretty,
    #[value(hide = true)]
    Yaml,
    /// A line for each row, as `docker --format` takes it.
    #[value(skip)]
    Template(String),
}

impl FormatArg {
    /// Whether only `env` can be shown like this.
    pub fn is_of_env(&self) -> bool {
        matches!(self, Self::Dotenv | Self::Shell | Self::Docker | Self::Github)
    }
}

/// Reads `--format`.
#[derive(Debug, Clone)]
pub struct FormatParser;

impl TypedValueParser for FormatParser {
    type Value = FormatArg;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<FormatArg, clap::Error> {
        match value.to_str() {
            Some(text) if text.contains("{{") => Ok(FormatArg::Template(text.into())),
            _ => EnumValueParser::<FormatArg>::new().parse_ref(command, arg, value),
        }
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        // Those that only say what lists do anyway are not named.
        let is_named = |one: &&FormatArg| !matches!(one, FormatArg::Table | FormatArg::Pretty | FormatArg::Yaml);
        Some(Box::new(FormatArg::value_variants().iter().filter(is_named).filter_map(ValueEnum::to_possible_value)))
    }
}

/// `--color`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
#[expect(missing_docs, reason = "see ui::ColorChoice")]
pub enum ColorArg {
    #[default]
    Auto,
    Always,
    Never,
}

/// A path that may be empty: an empty variable is as good as none.
fn path(text: &str) -> Result<PathBuf, std::convert::Infallible> {
    Ok(PathBuf::from(text))
}

/// The files of a list such as `a.toml:b.toml`, as `TASKAVA_FILE` may have it. A file whose name has a colon is one file.
pub fn split(list: &Path) -> Vec<PathBuf> {
    if list.exists() {
        return vec![list.into()];
    }
    std::env::split_paths(list).filter(|path| !path.as_os_str().is_empty()).collect()
}

/// Where a command is typed that has to find the same stack and engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Typed {
    /// Here and next: what the environment says, it says for that one too.
    Next,
    /// In any folder, at any time.
    Anywhere,
}

/// The options that lead there, in words; empty where none is needed.
fn same_stack(global: &Global, typed: Typed) -> String {
    let said =
        |name: &str, value: &str| typed == Typed::Next && std::env::var_os(name).is_some_and(|said| said == *value);
    let mut words = Vec::new();
    let mut add = |option: &str, value: &Path| words.extend([option.to_owned(), remedy::quoted(value)]);
    for file in global.file.iter().filter(|file| !said("TASKAVA_FILE", &file.display().to_string())) {
        for file in split(file) {
            let absolute = if typed == Typed::Anywhere { std::path::absolute(&file).ok() } else { None };
            add("-f", &absolute.unwrap_or(file));
        }
    }
    for file in &global.compose.env_file {
        let absolute = if typed == Typed::Anywhere { std::path::absolute(file).ok() } else { None };
        add("--env-file", absolute.as_ref().unwrap_or(file));
    }
    let mut add = |option: &str, value: &str| add(option, Path::new(value));
    if let Some(name) = global.project.as_deref().filter(|name| !name.is_empty() && !said("TASKAVA_PROJECT", name)) {
        add("-p", name);
    }
    if !said("TASKAVA_PROFILES", &global.profiles.join(",")) {
        global.profiles.iter().filter(|name| !name.is_empty()).for_each(|name| add("--profile", name));
    }
    global.host.iter().for_each(|host| add("--host", host));
    global.context.iter().for_each(|name| add("--context", name));
    words.join(" ")
}

/// What every command gets.
#[derive(Debug)]
pub struct Context {
    /// The global options. Prefer the methods, which know that an empty variable is as good as none.
    pub global: Global,
    /// Where everything is shown.
    pub screen: Screen,
}

impl Context {
    /// From the global options and this process's surroundings.
    pub fn new(global: Global) -> Self {
        let global = global.translated();
        let options = Options {
            format: match global.format {
                FormatArg::Tty => FormatChoice::Tty,
                FormatArg::Plain => FormatChoice::Plain,
                FormatArg::Json => FormatChoice::Json,
                _ => FormatChoice::Auto,
            },
            color: match global.color {
                ColorArg::Auto => ColorChoice::Auto,
                ColorArg::Always => ColorChoice::Always,
                ColorArg::Never => ColorChoice::Never,
            },
            quiet: global.quiet,
            verbose: global.verbose,
            same_stack: same_stack(&global, Typed::Next),
        };
        Self { screen: Screen::new(&options, &TerminalInfo::read()), global }
    }

    /// The services.toml asked for and what overrides it; none when the usual one is meant.
    pub fn files(&self) -> Vec<PathBuf> {
        self.global.file.iter().flat_map(|path| split(path)).collect()
    }

    /// The stack name asked for, if one was.
    pub fn project(&self) -> Option<&str> {
        self.global.project.as_deref().filter(|name| !name.is_empty())
    }

    /// The active profiles.
    pub fn profiles(&self) -> Vec<String> {
        self.global.profiles.iter().filter(|name| !name.is_empty()).cloned().collect()
    }

    /// Which engine is asked for.
    pub fn connect_options(&self) -> ConnectOptions {
        ConnectOptions::from_environment(self.global.host.clone(), self.global.context.clone())
    }

    /// The options that lead another process of ours to the same stack and engine.
    pub fn arguments(&self) -> Vec<std::ffi::OsString> {
        let text = |option: &str, value: Option<&str>| value.map(|value| [option.into(), value.into()]);
        let mut all: Vec<_> = self.files().into_iter().map(|path| Some(["--file".into(), path.into()])).collect();
        all.extend(self.global.compose.env_file.iter().map(|path| Some(["--env-file".into(), path.into()])));
        all.push(text("--project", self.project()));
        all.extend(self.profiles().iter().map(|name| text("--profile", Some(name))));
        all.into_iter().flatten().flatten().chain(self.engine_options()).collect()
    }

    /// The options that a command to type next needs to lead to the same stack and engine, in words; empty where it needs
    /// none.
    pub fn same_stack(&self) -> String {
        same_stack(&self.global, Typed::Next)
    }

    /// A command of ours as it is typed, which finds the same stack and engine from any folder.
    pub fn command<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> String {
        let options = Some(same_stack(&self.global, Typed::Anywhere)).filter(|options| !options.is_empty());
        let words = words.into_iter().map(|word| remedy::quoted(Path::new(word)));
        let all: Vec<String> = options.into_iter().chain(words).collect();
        remedy::dev(&all.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// The same as options, for a process of ours that is to find the same engine.
    pub fn engine_options(&self) -> Vec<OsString> {
        let option = |name: &str, value: &Option<String>| value.iter().flat_map(|v| [name.into(), v.into()]).collect();
        let all: [Vec<OsString>; 2] = [option("--host", &self.global.host), option("--context", &self.global.context)];
        all.concat()
    }

    /// How things are shown.
    pub fn format(&self) -> Format {
        self.screen.format()
    }
}
