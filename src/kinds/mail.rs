//! Shared by MailHog and Mailpit: an SMTP port, an HTTP port, a page under a configurable path.

use super::arguments::Arguments;
use crate::model::Probe;

/// How one of them is configured where to listen: flags first, then the variable.
pub(super) struct Settings {
    pub http: (&'static [&'static str], &'static str),
    pub smtp: (&'static [&'static str], &'static str),
    pub web_root: (&'static [&'static str], &'static str),
    /// What is asked for, under the web root.
    pub path: &'static str,
}

pub(super) fn probe(arguments: &Arguments<'_>, settings: &Settings) -> Probe {
    let value = |(flags, variable)| arguments.flag(flags).or(arguments.env(variable));
    let root = value(settings.web_root).unwrap_or_default().trim_matches('/');
    let root = if root.is_empty() { String::new() } else { format!("/{root}") };
    Probe::Mail {
        http: Arguments::port(value(settings.http)).unwrap_or(8025),
        smtp: Arguments::port(value(settings.smtp)).unwrap_or(1025),
        path: format!("{root}{}", settings.path),
        root,
    }
}
