//! The roles of a PostgreSQL server as `pg_dumpall --roles-only` writes them, and nothing else: each statement is
//! parsed by the grammar of such a file and written again from its tokens. A psql command is not a statement.

/// A word of SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    /// Without quotes; as it is written.
    Bare(String),
    /// An identifier in quotes, with them.
    Quoted(String),
    /// A text or a number, as it is written.
    Value(String),
    /// One of `=`, `,`, `.` and `-`.
    Sign(char),
}

impl Word {
    fn text(&self) -> String {
        match self {
            Self::Bare(text) | Self::Quoted(text) | Self::Value(text) => text.clone(),
            Self::Sign(sign) => sign.to_string(),
        }
    }
}

/// Options of a role that take nothing.
const OPTIONS: [&str; 7] = ["SUPERUSER", "INHERIT", "CREATEROLE", "CREATEDB", "LOGIN", "REPLICATION", "BYPASSRLS"];

/// Settings at the beginning of every such file; they are those of our connection.
const SETTINGS: [&str; 4] =
    ["default_transaction_read_only", "client_encoding", "standard_conforming_strings", "escape_string_warning"];

/// The statements of a file, one a text.
///
/// # Errors
/// In words: what is none, after the name of the file.
pub(super) fn parse(text: &[u8]) -> Result<Vec<String>, String> {
    let text = std::str::from_utf8(text).map_err(|_| "is not in UTF-8")?;
    let mut statements = Vec::new();
    for words in split(text)? {
        let shown = || {
            let text: Vec<String> = words.iter().take(6).map(Word::text).collect();
            format!("has a statement that makes no role: {}", text.join(" "))
        };
        if statement(&mut Words(&words)).ok_or_else(shown)? {
            statements.push(words.iter().map(Word::text).collect::<Vec<_>>().join(" "));
        }
    }
    Ok(statements)
}

/// Cuts a text into statements of words. Comments are left out, and the lines by which newer versions of `pg_dumpall` keep
/// psql from anything but SQL.
fn split(text: &str) -> Result<Vec<Vec<Word>>, String> {
    let (mut statements, mut words, mut rest) = (Vec::new(), Vec::new(), text);
    while let Some(first) = rest.chars().next() {
        let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '$');
        let length = match first {
            c if c.is_ascii_whitespace() => 1,
            '-' if rest.starts_with("--") => rest.find(['\n', '\r']).unwrap_or(rest.len()),
            '\\' if words.is_empty() => restriction(rest).ok_or("has a command of psql")?,
            ';' => {
                if !words.is_empty() {
                    statements.push(std::mem::take(&mut words));
                }
                1
            }
            '"' => quoted(rest, '"', false).ok_or("has a name without an end")?,
            '\'' => quoted(rest, '\'', false).ok_or("has a text without an end")?,
            'E' | 'e' if rest[1..].starts_with('\'') => {
                1 + quoted(&rest[1..], '\'', true).ok_or("has a text without an end")?
            }
            c if c.is_ascii_alphanumeric() || c == '_' => rest.find(|c| !bare(c)).unwrap_or(rest.len()),
            '=' | ',' | '.' | '-' => 1,
            other => return Err(format!("has a {other:?} where no statement has one")),
        };
        let (word, after) = rest.split_at(length);
        rest = after;
        let text = word.to_owned();
        match first {
            c if c.is_ascii_whitespace() || matches!(c, '\\' | ';') || word.starts_with("--") => {}
            '"' => words.push(Word::Quoted(text)),
            _ if word.contains('\'') || first.is_ascii_digit() => words.push(Word::Value(text)),
            '=' | ',' | '.' | '-' => words.push(Word::Sign(first)),
            _ => words.push(Word::Bare(text)),
        }
        if word.contains('\0') {
            return Err("has a NUL".into());
        }
    }
    if words.is_empty() { Ok(statements) } else { Err("ends in the middle of a statement".into()) }
}

/// The length of what is in quotes; doubled, or after a backslash where that means something, they are part of it.
fn quoted(text: &str, quote: char, backslashes: bool) -> Option<usize> {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = characters.next() {
        if c == '\\' && backslashes {
            characters.next();
        } else if c == quote && characters.next_if(|(_, next)| *next == quote).is_none() {
            return Some(at + 1);
        }
    }
    None
}

/// The length of a line `\restrict KEY` or `\unrestrict KEY`.
fn restriction(text: &str) -> Option<usize> {
    let line = text.lines().next()?;
    let key = line.strip_prefix("\\restrict ").or_else(|| line.strip_prefix("\\unrestrict "))?;
    (!key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric())).then_some(line.len())
}

/// The words of a statement that are not read yet.
struct Words<'a>(&'a [Word]);

impl Words<'_> {
    fn next(&mut self) -> Option<&Word> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether these keywords come next; takes them if so.
    fn takes(&mut self, keywords: &str) -> bool {
        let mut rest = self.0;
        for keyword in keywords.split(' ') {
            match rest.split_first() {
                Some((Word::Bare(word), after)) if word.eq_ignore_ascii_case(keyword) => rest = after,
                _ => return false,
            }
        }
        self.0 = rest;
        true
    }

    fn sign(&mut self, sign: char) -> bool {
        let is_it = self.0.first() == Some(&Word::Sign(sign));
        if is_it {
            self.0 = &self.0[1..];
        }
        is_it
    }

    fn name(&mut self) -> Option<()> {
        matches!(self.next()?, Word::Bare(_) | Word::Quoted(_)).then_some(())
    }

    /// `search_path`, `plpgsql.check_asserts`
    fn setting(&mut self) -> Option<()> {
        self.name()?;
        while self.sign('.') {
            self.name()?;
        }
        Some(())
    }

    fn text(&mut self) -> Option<()> {
        matches!(self.next()?, Word::Value(text) if text.ends_with('\'')).then_some(())
    }

    /// A number, perhaps below zero.
    fn number(&mut self) -> Option<()> {
        self.sign('-');
        matches!(self.next()?, Word::Value(text) if !text.ends_with('\'')).then_some(())
    }
}

/// Reads a statement to its end. Whether it is carried out; none when it is none of those that a file of roles has.
fn statement(words: &mut Words<'_>) -> Option<bool> {
    if words.takes("SET") {
        let Word::Bare(name) = words.next()?.clone() else { return None };
        let known = SETTINGS.contains(&name.as_str()) && words.sign('=');
        let (Word::Bare(value) | Word::Value(value)) = words.next()?.clone() else { return None };
        // Texts are read as with `on`.
        let as_read = name != "standard_conforming_strings" || value == "on";
        return (known && as_read && words.is_over()).then_some(false);
    }
    if words.takes("CREATE ROLE") {
        words.name()?;
    } else if words.takes("ALTER ROLE") {
        alter(words)?;
    } else if words.takes("COMMENT ON ROLE") {
        words.name()?;
        if !words.takes("IS") {
            return None;
        }
        if !words.takes("NULL") {
            words.text()?;
        }
    } else if words.takes("GRANT") {
        grant(words)?;
    } else {
        return None;
    }
    words.is_over().then_some(true)
}

/// `ALTER ROLE … WITH …`, `ALTER ROLE … SET … TO …`
fn alter(words: &mut Words<'_>) -> Option<()> {
    words.name()?;
    if words.takes("WITH") {
        while !words.is_over() {
            if words.takes("CONNECTION LIMIT") {
                words.number()?;
            } else if words.takes("VALID UNTIL") {
                words.text()?;
            } else {
                let Word::Bare(option) = words.next()?.clone() else { return None };
                let option = option.to_ascii_uppercase();
                OPTIONS.iter().find(|known| option == **known || option.strip_prefix("NO") == Some(known))?;
            }
        }
        return Some(());
    }
    if words.takes("IN DATABASE") {
        words.name()?;
    }
    if !words.takes("SET") {
        return None;
    }
    words.setting()?;
    if !words.takes("TO") && !words.sign('=') {
        return None;
    }
    loop {
        words.sign('-');
        if matches!(words.next()?, Word::Sign(_)) {
            return None;
        }
        if !words.sign(',') {
            return Some(());
        }
    }
}

/// `GRANT role TO role …`, `GRANT SET ON PARAMETER … TO role`
fn grant(words: &mut Words<'_>) -> Option<()> {
    words.name()?;
    if words.0.first().is_some_and(|word| *word != Word::Bare("TO".into())) {
        // What may be done with a setting: SET, ALTER SYSTEM, ALL.
        while words.sign(',') || !words.takes("ON PARAMETER") {
            words.name()?;
        }
        words.setting()?;
    }
    if !words.takes("TO") {
        return None;
    }
    words.name()?;
    if words.takes("WITH") {
        loop {
            let known = ["ADMIN", "INHERIT", "SET", "GRANT"].iter().any(|option| words.takes(option));
            if !known || !["OPTION", "TRUE", "FALSE"].iter().any(|value| words.takes(value)) {
                return None;
            }
            if !words.sign(',') {
                break;
            }
        }
    }
    if words.takes("GRANTED BY") {
        words.name()?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pg_dumpall_writes_is_taken_statement_by_statement() {
        let text = r#"--
-- PostgreSQL database cluster dump
--

\restrict dKyPz0OXcGpB1w5

SET default_transaction_read_only = off;

SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;

--
-- Roles
--

CREATE ROLE app;
ALTER ROLE app WITH SUPERUSER INHERIT CREATEROLE CREATEDB LOGIN REPLICATION BYPASSRLS;
CREATE ROLE "the ""reader""; \! id";
ALTER ROLE reader WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB LOGIN NOREPLICATION NOBYPASSRLS CONNECTION LIMIT 5 VALID UNTIL '2027-01-01 00:00:00+00';
COMMENT ON ROLE reader IS 'reads; it''s E\';
COMMENT ON ROLE reader IS E'two\\lines\n; it\'s';

--
-- User Config "app"
--

ALTER ROLE app SET search_path TO 'shop', 'public';
ALTER ROLE app IN DATABASE "Shop" SET "plpgsql.check_asserts" TO 'on';
ALTER ROLE app SET statement_timeout = -1;

GRANT app TO reader GRANTED BY app;
GRANT app TO reader WITH ADMIN OPTION GRANTED BY app;
GRANT app TO reader WITH ADMIN TRUE, INHERIT FALSE, SET TRUE GRANTED BY app;
GRANT SET, ALTER SYSTEM ON PARAMETER log_statement TO reader WITH GRANT OPTION;

\unrestrict dKyPz0OXcGpB1w5
"#;
        let found = parse(text.as_bytes()).unwrap();
        assert_eq!(found.len(), 13, "{found:#?}");
        assert_eq!(found[2], r#"CREATE ROLE "the ""reader""; \! id""#);
        assert_eq!(found[5], r"COMMENT ON ROLE reader IS E'two\\lines\n; it\'s'");
        assert_eq!(found[8], "ALTER ROLE app SET statement_timeout = - 1");
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "\\! touch /tmp/x",
            "CREATE ROLE a;\n\\! id\n",
            "CREATE ROLE a \\! id\n;",
            "\\restrict abc; \\! id",
            "\\restrict `id`",
            "\\connect postgres",
            "CREATE ROLE a; DROP DATABASE app;",
            "DO $$ begin end $$;",
            "DO 'begin end';",
            "COPY (select 1) TO PROGRAM 'id';",
            "CREATE ROLE a PASSWORD 'x';",
            "CREATE USER a;",
            "CREATE TABLE a (b int);",
            "CREATE ROLE a",
            "CREATE ROLE 'a';",
            "ALTER ROLE a WITH PASSWORD 'x';",
            "ALTER ROLE a RENAME TO b;",
            "ALTER ROLE a SET x TO ;",
            "ALTER ROLE a SET x TO (select 1);",
            "ALTER ROLE ALL SET x TO y, =;",
            "ALTER SYSTEM SET archive_command = 'id';",
            "ALTER DATABASE a SET x TO y;",
            "GRANT ALL ON TABLE t TO a;",
            "GRANT SELECT ON t TO a;",
            "GRANT a TO b, c;",
            "REVOKE a FROM b;",
            "COMMENT ON DATABASE a IS 'x';",
            "COMMENT ON ROLE a IS 'x' || 'y';",
            "SET search_path = x;",
            "SET standard_conforming_strings = off;",
            "SET ROLE a;",
            "/* */ CREATE ROLE a;",
            "CREATE ROLE \"a;",
            "COMMENT ON ROLE a IS 'x",
            "CREATE ROLE a\0;",
            "CREATE ROLE \"a\0\";",
            "SELECT 1;",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse(b"CREATE ROLE \xff;").is_err());
        assert_eq!(parse(b"\\! id").unwrap_err(), "has a command of psql");
        assert_eq!(parse(b"DROP ROLE a;").unwrap_err(), "has a statement that makes no role: DROP ROLE a");
    }

    #[test]
    fn a_comment_ends_where_the_server_ends_it() {
        assert_eq!(parse(b"-- a\rCREATE ROLE b;").unwrap(), ["CREATE ROLE b"]);
    }
}
