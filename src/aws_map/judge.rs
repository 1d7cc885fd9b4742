//! Answers → lines. Pure.

use super::components::{Component, Real};
use super::{Declared, Line, Verdict};

/// An answer, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Evidence {
    /// What was probed; none = there is nothing to probe.
    pub(super) service: Vec<String>,
    /// What was said, or why nothing was.
    pub(super) said: Result<Vec<String>, String>,
    /// What the answer itself shows to be missing.
    pub(super) gaps: Vec<String>,
}

impl Evidence {
    /// Nothing could be probed.
    pub(super) fn none(why: impl Into<String>) -> Self {
        Self { service: Vec::new(), said: Err(why.into()), gaps: Vec::new() }
    }
}

/// What became of asking for one component.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// What does its work; none = nothing does.
    pub(super) real: Option<Evidence>,
    /// The emulator.
    pub(super) api: Option<Evidence>,
    /// Its declared resources.
    pub(super) declared: Option<Declared>,
}

/// The line of a component.
pub(super) fn line(component: &Component, answers: Answers) -> Line {
    let Answers { real, api, declared } = answers;
    let answered = |heard: &Option<Evidence>| heard.as_ref().is_some_and(|heard| heard.said.is_ok());
    let mut verdict = match (component.real, answered(&real), answered(&api)) {
        (Some(_), true, _) | (None, _, true) => component.at_most,
        (Some(_), false, true) => Verdict::MetadataOnly,
        _ => Verdict::Missing,
    };
    let (mut services, mut said, mut why) = (Vec::new(), Vec::new(), Vec::new());
    for heard in [real, api].into_iter().flatten() {
        match heard.said {
            Ok(words) => {
                services.extend(heard.service);
                said.extend(words);
                why.extend(heard.gaps);
            }
            Err(reason) => why.push(reason),
        }
    }
    if let Some(Declared { declared, existing }) =
        declared.filter(|all| all.declared > 0 && verdict != Verdict::Missing)
    {
        said.push(format!("{existing} of {declared} declared exist"));
        if existing < declared && verdict == Verdict::Mirrored {
            verdict = Verdict::Partial;
        }
        if existing < declared {
            why.push("what is declared does not exist: taskava dev up".into());
        }
    }
    if verdict == Verdict::MetadataOnly && component.real.is_some() {
        why.push("only described: nothing here does its work".into());
    } else if verdict != Verdict::Missing && !component.gaps.is_empty() {
        why.push(component.gaps.into());
    }
    services.dedup();
    Line { component: component.name, services, verdict, said, why, declared }
}

/// What a server of production's kind, but of another version, lacks.
pub(super) fn other_version(real: Real, version: &str) -> Option<String> {
    let wanted = match real {
        Real::Database => "15",
        Real::Cache => "7",
        _ => return None,
    };
    (version.split('.').next() != Some(wanted)).then(|| format!("production has version {wanted}, this is {version}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws_map::components::COMPONENTS;

    fn component(name: &str) -> &'static Component {
        static ALL: [Component; 25] = COMPONENTS;
        ALL.iter().find(|component| component.name == name).unwrap()
    }

    fn heard(service: &str) -> Option<Evidence> {
        Some(Evidence { service: vec![service.into()], said: Ok(vec!["yes".into()]), gaps: Vec::new() })
    }

    fn verdict(name: &str, real: Option<Evidence>, api: Option<Evidence>, declared: Option<Declared>) -> Verdict {
        line(component(name), Answers { real, api, declared }).verdict
    }

    #[test]
    fn a_description_is_never_the_thing() {
        let none = || Some(Evidence::none("none"));
        assert_eq!(verdict("RDS PostgreSQL 15 Multi-AZ", heard("db"), none(), None), Verdict::Partial);
        assert_eq!(verdict("RDS PostgreSQL 15 Multi-AZ", none(), heard("ministack"), None), Verdict::MetadataOnly);
        assert_eq!(verdict("RDS PostgreSQL 15 Multi-AZ", none(), none(), None), Verdict::Missing);
        assert_eq!(verdict("WAF", None, heard("ministack"), None), Verdict::MetadataOnly);
        assert_eq!(verdict("WAF", None, none(), None), Verdict::Missing);
    }

    #[test]
    fn what_is_declared_and_not_there_is_no_mirror() {
        let declared = |existing| Some(Declared { declared: 2, existing });
        assert_eq!(verdict("Parameter Store", None, heard("localstack"), declared(2)), Verdict::Mirrored);
        assert_eq!(verdict("Parameter Store", None, heard("localstack"), declared(1)), Verdict::Partial);
        assert_eq!(verdict("Parameter Store", None, Some(Evidence::none("off")), declared(0)), Verdict::Missing);
    }

    #[test]
    fn whatever_is_not_mirrored_says_why() {
        for component in &COMPONENTS {
            let none = || Some(Evidence::none("nobody answers"));
            let missing =
                line(component, Answers { real: component.real.and_then(|_| none()), api: none(), declared: None });
            assert_eq!(missing.verdict, Verdict::Missing, "{}", component.name);
            assert!(!missing.why.is_empty() && missing.services.is_empty(), "{missing:?}");
            let found = line(component, Answers { real: heard("a"), api: heard("b"), declared: None });
            assert_eq!(found.why.is_empty(), found.verdict == Verdict::Mirrored, "{found:?}");
        }
    }

    #[test]
    fn versions() {
        assert_eq!(other_version(Real::Database, "15.8"), None);
        assert_eq!(other_version(Real::Cache, "7.0.15"), None);
        assert!(other_version(Real::Database, "16.1").unwrap().contains("16.1"));
    }
}
