//! Suggestions for an unknown word.

use crate::diag::similar;

/// What people who come from docker compose write in a service, and what it is here.
pub(super) fn compose(word: &str) -> Option<&'static str> {
    Some(match word {
        "environment" => "what compose calls `environment` is `env` here",
        "develop" => "what compose calls `develop.watch` is `watch` here",
        "deploy" | "mem_limit" | "cpus" => "limits are written `resources = { memory = \"512m\", cpus = 1.5 }`",
        "pull_policy" => "what compose calls `pull_policy` is `pull` here",
        "stop_grace_period" => "what compose calls `stop_grace_period` is `stop_timeout` here",
        "links" => "services on one network reach each other by name; the order of starting is `depends_on`",
        "post_start" | "pre_stop" => "hooks are written `hooks = { post_start = [\"…\"], pre_stop = [\"…\"] }`",
        "service_healthy" | "service_completed_successfully" => {
            "write \"ready\": for a job it means that it ended with exit code 0"
        }
        "service_started" => "write \"started\"",
        _ => return None,
    })
}

/// The hint for a word that is not one of the choices.
pub fn choose(word: &str, words: &[&'static str]) -> String {
    match (compose(word), similar(word, words.iter().copied())) {
        (Some(hint), _) => hint.into(),
        (None, Some(similar)) => format!("did you mean \"{similar}\"?"),
        (None, None) => format!("one of \"{}\"", words.join("\", \"")),
    }
}
