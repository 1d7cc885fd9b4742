//! Commands to type next, as they are printed. Each works where it is printed: one for another stack than the current
//! one first changes to that stack's folder, or names the stack if the folder no longer exists.

use std::path::Path;

/// `taskava dev …`.
pub fn dev(arguments: &[&str]) -> String {
    format!("taskava dev {}", arguments.join(" "))
}

/// The same, typed from any folder: `cd FOLDER && taskava dev …`.
pub fn dev_in(folder: &Path, arguments: &[&str]) -> String {
    format!("cd {} && {}", quoted(folder), dev(arguments))
}

/// A text whose commands lead to the same stack and engine as this one: with the options that this one was given, in
/// words (`-p second`). What names a stack or a folder of its own stays.
pub fn with_options(text: &str, options: &str) -> String {
    const COMMAND: &str = "taskava dev ";
    if options.is_empty() || text.contains("&& taskava dev") && text.contains("cd ") {
        return text.to_owned();
    }
    let mut parts = text.split(COMMAND);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out += COMMAND;
        // One that begins with options was made with those of the command line already.
        if !part.starts_with('-') && !is_of_no_stack(part) {
            out += options;
            out.push(' ');
        }
        out += part;
    }
    out
}

/// Commands that take no stack: `init` would make its file under another name.
fn is_of_no_stack(part: &str) -> bool {
    ["init", "import", "completions", "schema", "gc"].contains(&part.split(' ').next().unwrap_or_default())
}

/// A path, or another word, as a shell takes it.
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+@%:,=".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_keep_the_options_that_led_to_the_stack() {
        let with = |text| with_options(text, "-p two --profile app");
        assert_eq!(with("start it: taskava dev up db"), "start it: taskava dev -p two --profile app up db");
        assert_eq!(with("or: taskava dev -p one down"), "or: taskava dev -p one down");
        assert_eq!(with("cd /x && taskava dev down"), "cd /x && taskava dev down");
        assert_eq!(with("taskava dev down && taskava dev up").matches("-p two").count(), 2);
        let made_with_them = "finish it: taskava dev --project two snapshot remove base";
        assert_eq!(with(made_with_them), made_with_them, "an option that stands twice would be refused");
        assert_eq!(with_options("taskava dev up", ""), "taskava dev up");
    }
}
