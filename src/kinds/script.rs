//! The words of a shell script, as far as they can be determined without running it: quotes, variables, `$(cat FILE)`.
//! Enough to find the flags of a server that a script starts, which is its only purpose.

use std::collections::BTreeMap;

/// A word of a command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// What it is, as far as that is known.
    pub(super) text: String,
    /// No part of it is only known to the shell inside.
    pub(super) known: bool,
}

impl Word {
    pub(super) fn known(text: &str) -> Self {
        Self { text: text.into(), known: true }
    }
}

/// What a script can look up.
pub(super) trait Lookup {
    /// The value of a variable.
    fn variable(&self, name: &str) -> Option<String>;
    /// The content of a file.
    fn file(&self, path: &str) -> Option<String>;
}

/// A script while it is read.
pub(super) struct Script<'a> {
    look: &'a dyn Lookup,
    /// Variables that it sets; none where the value can't be known.
    pub(super) set: BTreeMap<String, Option<String>>,
}

/// Stands between two commands.
const BETWEEN: &str = ";";

impl<'a> Script<'a> {
    pub(super) fn new(look: &'a dyn Lookup) -> Self {
        Self { look, set: BTreeMap::new() }
    }

    /// The words of all its commands, with `;` between two.
    pub(super) fn words(&mut self, script: &str) -> Vec<Word> {
        let chars: Vec<char> = script.chars().collect();
        let (mut at, mut words, mut word) = (0, Vec::new(), None::<Word>);
        while let Some(&c) = chars.get(at) {
            at += 1;
            match c {
                '#' if word.is_none() => at = until(&chars, at, '\n'),
                '\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>' => {
                    self.end(&mut words, &mut word);
                    words.push(Word::known(BETWEEN));
                }
                c if c.is_whitespace() => self.end(&mut words, &mut word),
                '\'' => {
                    let end = until(&chars, at, '\'');
                    begun(&mut word).text.extend(&chars[at..end]);
                    at = end + 1;
                }
                '"' => {
                    begun(&mut word);
                    at = self.quoted(&chars, at, &mut word);
                }
                '\\' => {
                    if let Some(c) = chars.get(at).filter(|c| **c != '\n') {
                        begun(&mut word).text.push(*c);
                    }
                    at += 1;
                }
                '$' | '`' => at = self.expand(&chars, at - 1, &mut word),
                c => begun(&mut word).text.push(c),
            }
        }
        self.end(&mut words, &mut word);
        words
    }

    /// What stands in double quotes, from behind the first to behind the last.
    fn quoted(&mut self, chars: &[char], mut at: usize, word: &mut Option<Word>) -> usize {
        while let Some(&c) = chars.get(at) {
            at += 1;
            match (c, chars.get(at)) {
                ('"', _) => break,
                ('\\', Some('\n')) => at += 1,
                ('\\', Some(c @ ('"' | '\\' | '$' | '`'))) => {
                    begun(word).text.push(*c);
                    at += 1;
                }
                ('$' | '`', _) => at = self.expand(chars, at - 1, word),
                _ => begun(word).text.push(c),
            }
        }
        at
    }

    /// `$NAME`, `${NAME:-default}`, `$(cat FILE)`; returns where it ends.
    fn expand(&mut self, chars: &[char], at: usize, word: &mut Option<Word>) -> usize {
        let text = |from: usize, to: usize| chars[from..to.min(chars.len())].iter().collect::<String>();
        let (value, end) = match (chars[at], chars.get(at + 1)) {
            ('`', _) => {
                let end = until(chars, at + 1, '`');
                (self.output(&text(at + 1, end)), end + 1)
            }
            (_, Some('(')) => {
                let mut depth = 1;
                let inside = chars[at + 2..].iter().take_while(|c| {
                    depth += i32::from(**c == '(') - i32::from(**c == ')');
                    depth > 0
                });
                let end = at + 2 + inside.count();
                (self.output(&text(at + 2, end)), end + 1)
            }
            (_, Some('{')) => {
                let end = until(chars, at + 2, '}');
                let inside = text(at + 2, end);
                let name: String = inside.chars().take_while(|c| is_name(*c)).collect();
                let value = match inside[name.len()..].split_at_checked(1) {
                    None => self.variable(&name).or(Some(None)),
                    Some((":", rest)) if rest.starts_with('-') => self.or(&name, &rest[1..]),
                    Some(("-", rest)) => self.or(&name, rest),
                    Some(_) => None,
                };
                (value.flatten(), end + 1)
            }
            (_, Some(c)) if is_name(*c) => {
                let name: String = chars[at + 1..].iter().take_while(|c| is_name(**c)).collect();
                (self.variable(&name).flatten(), at + 1 + name.len())
            }
            // `$@`, `$?`, …
            (_, Some('@' | '*' | '?' | '#' | '$' | '!')) => (None, at + 2),
            _ => (Some("$".into()), at + 1),
        };
        let word = begun(word);
        match value {
            Some(value) => word.text.push_str(&value),
            None => word.known = false,
        }
        end
    }

    /// What is set: outer none = not set, inner none = set to what can't be known.
    fn variable(&self, name: &str) -> Option<Option<String>> {
        self.set.get(name).cloned().or_else(|| self.look.variable(name).map(Some))
    }

    fn or(&mut self, name: &str, default: &str) -> Option<Option<String>> {
        match self.variable(name) {
            Some(Some(value)) if value.is_empty() => Some(Some(default.into())),
            None => Some(Some(default.into())),
            known => known,
        }
    }

    /// What a command in a script prints, where it is only a file.
    fn output(&mut self, command: &str) -> Option<String> {
        let path = match command.trim().strip_prefix('<') {
            Some(path) => path.to_owned(),
            None => command.trim().strip_prefix("cat ")?.to_owned(),
        };
        match &self.words(&path)[..] {
            [path] if path.known => {
                self.look.file(&path.text).map(|text| text.trim_end_matches(['\n', '\r']).to_owned())
            }
            _ => None,
        }
    }

    /// Ends a word, and notes it where it sets a variable.
    fn end(&mut self, words: &mut Vec<Word>, word: &mut Option<Word>) {
        let Some(word) = word.take() else { return };
        let begins = words.iter().rev().find(|word| !is_assignment(&word.text));
        if is_assignment(&word.text)
            && begins.is_none_or(|word| [BETWEEN, "export", "env", "exec", "then", "do"].contains(&&*word.text))
            && let Some((name, value)) = word.text.split_once('=')
        {
            self.set.insert(name.into(), word.known.then(|| value.into()));
        }
        words.push(word);
    }
}

fn begun(word: &mut Option<Word>) -> &mut Word {
    word.get_or_insert_with(|| Word::known(""))
}

fn until(chars: &[char], from: usize, end: char) -> usize {
    chars[from.min(chars.len())..].iter().position(|c| *c == end).map_or(chars.len(), |at| from + at)
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.chars().all(is_name) && !name.starts_with(|c: char| c.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Here;

    impl Lookup for Here {
        fn variable(&self, name: &str) -> Option<String> {
            (name == "PORT").then(|| "6400".into())
        }

        fn file(&self, path: &str) -> Option<String> {
            (path == "/run/pw").then(|| "from file\n".into())
        }
    }

    fn shown(script: &str) -> String {
        let words = Script::new(&Here).words(script);
        let shown = |word: Word| if word.known { word.text } else { format!("?{}", word.text) };
        words.into_iter().map(shown).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn words_are_those_of_a_shell() {
        for (script, expected) in [
            ("exec redis-server --requirepass 'open sesame'", "exec|redis-server|--requirepass|open sesame"),
            ("a --b \"c d\";e", "a|--b|c d|;|e"),
            (r#"a "b\"c" d\ e ''"#, r#"a|b"c|d e|"#),
            ("a \\\n  b # c\nd", "a|b|;|d"),
            ("a $PORT ${PORT} ${NO:-7} ${PORT:-7} \"$NO\" '$PORT'", "a|6400|6400|7|6400|?|$PORT"),
            ("a \"$(cat /run/pw)\" $(< /run/pw) `cat /run/pw` $(date +%s)", "a|from file|from file|from file|?"),
            (
                "P=/run/pw; export PW=$(cat $P) && a --pw \"$PW\"",
                "P=/run/pw|;|export|PW=from file|;|;|a|--pw|from file",
            ),
            ("a 2>&1 | b", "a|2|;|;|1|;|b"),
            ("a \"$@\" $$", "a|?|?"),
            ("a 'open", "a|open"),
            ("a \"open", "a|open"),
            ("a $(open", "a|?"),
            ("a ${open", "a|?"),
            ("a \\", "a"),
            ("a $", "a|$"),
        ] {
            assert_eq!(shown(script), expected, "{script}");
        }
    }

    #[test]
    fn it_notes_what_is_set() {
        let mut script = Script::new(&Here);
        script.words("export A=1 B=$(cat /run/pw)\nC=$(x) exec y D=4");
        let set: Vec<_> = script.set.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        assert_eq!(set, [("A", Some("1")), ("B", Some("from file")), ("C", None)]);
    }
}
