//! The modules of `src/` keep to the table in ARCHITECTURE.md: which module may use which, which crate is named where, what is
//! pure, and how long a file may be. The table is what is read here; a rule that nothing checks would hold for a while.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

/// Most lines of a file.
const MOST_LINES: usize = 450;

/// What pure modules do not name: time, the environment, files, processes and tasks.
const IMPURE: [&str; 9] = [
    r"\basync\b",
    r"\.await\b",
    r"\bInstant::now\b",
    r"\bSystemTime::now\b",
    r"\bZoned::now\b|\bTimestamp::now\b",
    r"\bstd::env\b",
    r"\bstd::fs\b",
    r"\bstd::process\b",
    r"\btokio::",
];

/// A row of the table.
#[derive(Debug, Default)]
struct Row {
    uses: BTreeSet<String>,
    crates: BTreeSet<String>,
    pure: bool,
}

type Table = BTreeMap<String, Row>;

/// The table whose first column is called `module`: module, purpose, pure, uses, crates.
fn table(markdown: &str) -> Table {
    let rows = markdown.lines().skip_while(|line| !line.starts_with("| module |")).skip(2);
    let words = |cell: &str| {
        let words = cell.split('`').skip(1).step_by(2);
        words.map(ToOwned::to_owned).collect::<BTreeSet<_>>()
    };
    let mut table = Table::new();
    for row in rows.take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [modules, _, pure, uses, crates] = cells[..] else { panic!("a row has five cells: {row}") };
        for module in words(modules) {
            let row = Row { uses: words(uses), crates: words(crates), pure: pure == "yes" };
            assert!(table.insert(module.clone(), row).is_none(), "`{module}` has two rows");
        }
    }
    table
}

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a pattern")
}

/// Source text without comments, the insides of strings, and tests.
fn code(text: &str) -> String {
    static SKIPPED: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r##"(?s)//[^\n]*|/\*.*?\*/|r#+".*?"#+|b?r?"(?:\\.|[^"\\])*"|b?'(?:\\(?:x..|u\{[^}]*\}|.)|[^'\\\n])'"##)
    });
    static TESTS: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"#\[cfg\(test\)\]\s*(?:pub(?:\([a-z]+\))? )?mod [a-z_]+ \{"));
    let text = SKIPPED.replace_all(text, "\"\"");
    TESTS.split(&text).next().unwrap_or_default().to_owned()
}

/// Whether a file holds only tests: `tests.rs`, a folder `tests`, or a module that its parent declares for tests alone.
fn is_test(path: &str, all: &BTreeMap<String, String>) -> bool {
    let stem = |part: &str| part.trim_end_matches(".rs").to_owned();
    if path.split('/').any(|part| stem(part) == "tests") {
        return true;
    }
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let parents = [format!("{folder}/mod.rs"), format!("{folder}.rs"), "lib.rs".to_owned()];
    let declared =
        Regex::new(&format!(r"#\[cfg\(test\)\]\s*(?:pub(?:\([a-z]+\))? )?mod {};", stem(name))).expect("a pattern");
    parents.iter().filter_map(|parent| all.get(parent)).any(|text| declared.is_match(text))
}

/// What `crate::` leads to: `crate::a::b`, and each of `crate::{a::b, c}`.
fn targets(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (start, _) in code.match_indices("crate::") {
        let rest = &code[start + "crate::".len()..];
        let first = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut item = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => drop(found.insert(first(std::mem::take(&mut item).trim()))),
                    _ if depth == 0 => item.push(c),
                    _ => {}
                }
            }
            found.insert(first(item.trim()));
        } else {
            found.insert(first(rest));
        }
    }
    found.remove("");
    found
}

/// Everything in `files` (path below `src/` → text) that the table does not allow.
fn problems(table: &Table, files: &BTreeMap<String, String>) -> Vec<String> {
    let mut problems = Vec::new();
    let module = |path: &str| path.split('/').next().unwrap_or_default().trim_end_matches(".rs").to_owned();
    let root = ["lib", "main"];
    let modules: BTreeSet<String> =
        files.keys().map(|path| module(path)).filter(|name| !root.contains(&name.as_str())).collect();
    let known: BTreeSet<String> = table.keys().cloned().collect();
    problems.extend(modules.difference(&known).map(|name| format!("`{name}` is not in the table of ARCHITECTURE.md")));
    problems.extend(known.difference(&modules).map(|name| format!("`{name}` is in the table, but not in src/")));
    problems.extend(circle(table).map(|circle| format!("the table has a circle: {}", circle.join(" → "))));
    // A module of our own with the name of a crate is no crate.
    let crates: BTreeSet<&String> =
        table.values().flat_map(|row| &row.crates).filter(|one| !modules.contains(*one)).collect();
    let named = |one: &&String| pattern(&format!(r"(?m)(?:^|[^:\w])(?:::)?{}::", one.replace('-', "_")));
    let crates: Vec<(&String, Regex)> = crates.iter().map(|one| (*one, named(one))).collect();
    let impure = IMPURE.map(pattern);
    for (path, text) in files {
        let (lines, name) = (text.lines().count(), module(path));
        if lines > MOST_LINES {
            problems.push(format!("src/{path} has {lines} lines, {MOST_LINES} is the most"));
        }
        let Some(row) = table.get(&name).filter(|_| !is_test(path, files)) else { continue };
        let code = code(text);
        let beyond = targets(&code).into_iter().filter(|target| *target != name && modules.contains(target));
        let beyond = beyond.filter(|target| !row.uses.contains(target));
        problems.extend(beyond.map(|target| format!("src/{path} uses `{target}`, which `{name}` may not")));
        let foreign = crates.iter().filter(|(one, named)| !row.crates.contains(*one) && named.is_match(&code));
        problems
            .extend(foreign.map(|(one, _)| format!("src/{path} names the crate `{one}`, which is not for `{name}`")));
        for found in impure.iter().filter(|_| row.pure).filter_map(|pattern| pattern.find(&code)) {
            problems.push(format!("src/{path}: `{name}` is pure, and this has `{}`", found.as_str()));
        }
    }
    problems
}

/// A circle in the table's arrows, if there is one.
fn circle(table: &Table) -> Option<Vec<String>> {
    fn visit<'a>(name: &'a str, table: &'a Table, path: &mut Vec<&'a str>, done: &mut BTreeSet<&'a str>) -> bool {
        if path.contains(&name) {
            path.push(name);
            return true;
        }
        if done.contains(name) {
            return false;
        }
        path.push(name);
        if table.get(name).is_some_and(|row| row.uses.iter().any(|next| visit(next, table, path, done))) {
            return true;
        }
        path.pop();
        done.insert(name);
        false
    }
    let (mut path, mut done) = (Vec::new(), BTreeSet::new());
    let found = table.keys().any(|name| visit(name, table, &mut path, &mut done));
    found.then(|| path.into_iter().map(ToOwned::to_owned).collect())
}

fn sources(folder: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(folder).expect("below it").to_string_lossy().into_owned();
                files.insert(name, std::fs::read_to_string(&path).expect("a file"));
            }
        }
    }
    files
}

#[test]
fn the_modules_keep_to_the_table() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = table(&std::fs::read_to_string(root.join("ARCHITECTURE.md")).expect("ARCHITECTURE.md"));
    let files = sources(&root.join("src"));
    assert!(files.len() > 300 && table.len() > 20, "{} files, {} rows", files.len(), table.len());
    let problems = problems(&table, &files);
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn files_of_tests_are_short_too() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let long = sources(&root).into_iter().map(|(path, text)| (path, text.lines().count()));
    let long: Vec<_> = long.filter(|(_, lines)| *lines > MOST_LINES).collect();
    assert!(long.is_empty(), "more than {MOST_LINES} lines: {long:?}");
}

/// No arrow of the table is there for nothing: what a module no longer uses, it may no longer use.
#[test]
fn the_table_allows_no_more_than_is_used() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = table(&std::fs::read_to_string(root.join("ARCHITECTURE.md")).expect("ARCHITECTURE.md"));
    let files = sources(&root.join("src"));
    for (name, row) in &table {
        let own = files
            .iter()
            .filter(|(path, _)| path.split('/').next().is_some_and(|top| top.trim_end_matches(".rs") == name));
        let used: BTreeSet<String> =
            own.filter(|(path, _)| !is_test(path, &files)).flat_map(|(_, text)| targets(&code(text))).collect();
        let unused: Vec<_> = row.uses.iter().filter(|target| !used.contains(*target)).collect();
        assert!(unused.is_empty(), "`{name}` does not use {unused:?}: take them out of its row");
    }
}

mod rules {
    //! Each rule, broken once.

    use super::*;

    const TABLE: &str = "\
Before.

| module | what it is for | pure | uses | crates |
|---|---|---|---|---|
| `low` | words | yes | | `toml` |
| `high` | work | | `low` | `bollard` |

After.
";

    #[track_caller]
    fn broken(markdown: &str, files: &[(&str, &str)], expected: &[&str]) {
        let all = [
            ("low.rs", "pub struct Word;"),
            ("high/mod.rs", "use crate::low::Word;"),
            ("lib.rs", "mod low; mod high;"),
        ];
        let files = all.iter().chain(files).map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        assert_eq!(problems(&table(markdown), &files), expected);
    }

    #[test]
    fn what_keeps_to_them_passes() {
        broken(TABLE, &[], &[]);
        let allowed = "//! In `crate::high` and async.\n/* tokio::spawn */ const A: &str = \"crate::high\"; use toml::Table;\n\
                       #[cfg(test)]\nmod tests { use crate::high; fn now() { std::time::Instant::now(); } }";
        broken(TABLE, &[("low.rs", allowed)], &[]);
        broken(TABLE, &[("low/tests.rs", "use crate::high::A; async fn a() {}")], &[]);
    }

    #[test]
    fn an_arrow_that_is_not_allowed() {
        let one = ["src/low.rs uses `high`, which `low` may not"];
        broken(TABLE, &[("low.rs", "use crate::high::Work;")], &one);
        broken(TABLE, &[("low.rs", "use crate::{diag, high::{a, b}};")], &one);
        broken(TABLE, &[("low.rs", "fn a() { crate::high::work() }")], &one);
        broken(
            TABLE,
            &[("low/part.rs", "pub use crate::high;")],
            &["src/low/part.rs uses `high`, which `low` may not"],
        );
    }

    #[test]
    fn a_circle_in_the_table_itself() {
        let markdown = TABLE.replace("yes | |", "yes | `high` |");
        broken(&markdown, &[], &["the table has a circle: high → low → high"]);
    }

    #[test]
    fn a_module_without_a_row_and_a_row_without_a_module() {
        broken(TABLE, &[("new/mod.rs", "")], &["`new` is not in the table of ARCHITECTURE.md"]);
        let markdown = TABLE.replace("| `high` |", "| `high`, `gone` |");
        broken(&markdown, &[], &["`gone` is in the table, but not in src/"]);
    }

    #[test]
    fn a_foreign_crate_outside_its_module() {
        let one = ["src/low.rs names the crate `bollard`, which is not for `low`"];
        broken(TABLE, &[("low.rs", "use bollard::Docker;")], &one);
        broken(TABLE, &[("low.rs", "fn a(_: ::bollard::Docker) {}")], &one);
        broken(TABLE, &[("low.rs", "fn a(_: bollard::Docker) {}")], &one);
    }

    #[test]
    fn time_environment_and_tasks_in_a_pure_module() {
        for (text, word) in [
            ("pub async fn a() {}", "async"),
            ("fn a() { let _ = std::time::Instant::now(); }", "Instant::now"),
            ("fn a() { let _ = SystemTime::now(); }", "SystemTime::now"),
            ("use std::env;", "std::env"),
            ("use std::fs::File;", "std::fs"),
            ("use tokio::task;", "tokio::"),
        ] {
            broken(TABLE, &[("low.rs", text)], &[&format!("src/low.rs: `low` is pure, and this has `{word}`")]);
        }
    }

    #[test]
    fn a_file_that_is_too_long() {
        let long = "\n".repeat(MOST_LINES + 1);
        broken(TABLE, &[("low.rs", &long)], &["src/low.rs has 451 lines, 450 is the most"]);
        broken(TABLE, &[("low/tests.rs", &long)], &["src/low/tests.rs has 451 lines, 450 is the most"]);
    }
}
