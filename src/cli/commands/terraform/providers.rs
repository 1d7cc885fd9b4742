//! Which `provider "aws"` blocks a configuration has: only what is there can be replaced. Terraform's language is read no
//! further than that needs: words, texts and braces.

use serde_json::Value;

/// The alias of each provider of AWS, in the order they were found; none for the one without.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Providers(pub(super) Vec<Option<String>>);

impl Providers {
    /// Adds those of a `.tf` file.
    pub(super) fn read(&mut self, text: &str) {
        let tokens = tokens(text);
        for (at, window) in tokens.windows(3).enumerate() {
            let [Token::Word("provider"), Token::Word("aws") | Token::Text("aws"), Token::Symbol('{')] = window else {
                continue;
            };
            self.add(alias(&tokens[at + 3..]));
        }
    }

    /// Adds those of a `.tf.json` file. One that can't be read has none: Terraform says what is wrong with it.
    pub(super) fn read_json(&mut self, text: &str) {
        let Ok(root) = serde_json::from_str::<Value>(text) else { return };
        // A block may stand alone or in a list, at each level.
        for block in each(&root["provider"]).flat_map(|providers| each(&providers["aws"])) {
            self.add(block["alias"].as_str().map(str::to_owned));
        }
    }

    fn add(&mut self, alias: Option<String>) {
        if !self.0.contains(&alias) {
            self.0.push(alias);
        }
    }
}

fn each(value: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match value {
        Value::Array(values) => Box::new(values.iter()),
        Value::Null => Box::new(std::iter::empty()),
        one => Box::new(std::iter::once(one)),
    }
}

/// The alias in a block, from behind its brace.
fn alias(block: &[Token<'_>]) -> Option<String> {
    let (mut depth, mut found) = (1, None);
    for (at, token) in block.iter().enumerate() {
        match token {
            Token::Symbol('{') => depth += 1,
            Token::Symbol('}') => depth -= 1,
            Token::Word("alias") if depth == 1 => {
                if let [Token::Symbol('='), Token::Text(name), ..] = block[at + 1..] {
                    found = Some(name.to_owned());
                }
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    found
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Token<'a> {
    Word(&'a str),
    /// Between quotes.
    Text(&'a str),
    Symbol(char),
}

/// The words, texts and symbols of a file, without comments and heredocs.
fn tokens(mut rest: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    while let Some(first) = rest.chars().next() {
        let length = if first == '#' || rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if rest.starts_with("<<") {
            heredoc(rest)
        } else if first == '"' {
            let length = quoted(rest);
            tokens.push(Token::Text(rest[1..length].trim_end_matches('"')));
            length
        } else if first.is_alphanumeric() || first == '_' {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').unwrap_or(rest.len());
            tokens.push(Token::Word(&rest[..length]));
            length
        } else {
            if !first.is_whitespace() {
                tokens.push(Token::Symbol(first));
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

/// Length of a text that begins with a quote. One inside `${…}` does not end it.
fn quoted(text: &str) -> usize {
    let (mut depth, mut before) = (0_usize, '"');
    for (at, now) in text.char_indices().skip(1) {
        match (before, now) {
            // What is escaped counts for nothing, and does not escape what follows.
            ('\\', _) => {
                before = ' ';
                continue;
            }
            ('$' | '%', '{') => depth += 1,
            (_, '{') if depth > 0 => depth += 1,
            (_, '}') => depth = depth.saturating_sub(1),
            (_, '"') if depth == 0 => return at + 1,
            _ => {}
        }
        before = now;
    }
    text.len()
}

/// Length of what begins with `<<`: up to the line that is its word, or these two characters if it is no heredoc.
fn heredoc(text: &str) -> usize {
    let (head, body) = text.split_once('\n').unwrap_or((text, ""));
    let word = head[2..].trim_start_matches('-').trim();
    if word.is_empty() || !word.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-') {
        return 2;
    }
    let mut length = head.len() + 1;
    for line in body.split_inclusive('\n') {
        length += line.len();
        if line.trim() == word {
            break;
        }
    }
    length.min(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Option<String>> {
        let mut providers = Providers::default();
        providers.read(text);
        providers.0
    }

    fn named(name: &str) -> Option<String> {
        Some(name.to_owned())
    }

    #[test]
    fn each_with_its_alias() {
        let text = r#"
            provider "aws" {
              region = var.region
              default_tags { tags = { alias = "tag" } }
            }
            provider "aws" {
              alias  = "us_east_1" # for CloudFront
              region = "us-east-1"
            }
            provider "random" {}
            provider "aws" { alias = "dns" }
            provider aws
            "#;
        assert_eq!(read(text), [None, named("us_east_1"), named("dns")]);
        assert!(read("resource \"aws_s3_bucket\" \"a\" { provider = aws.dns }").is_empty());
    }

    #[test]
    fn what_only_looks_like_one_is_none() {
        let text = r##"
            # provider "aws" { alias = "a" }
            // provider "aws" { alias = "b" }
            /* provider "aws" { alias = "c" } */
            locals {
              url  = "http://x/${var.names["aws"]}" # "
              text = <<-EOT
                provider "aws" { alias = "d" }
              EOT
              quoted = "provider \"aws\" { \\"
            }
            provider "aws" { alias = "e" }
        "##;
        assert_eq!(read(text), [named("e")]);
    }

    #[test]
    fn in_json_a_block_stands_alone_or_in_a_list() {
        let mut providers = Providers::default();
        providers.read_json(r#"{"provider": {"aws": {"region": "x"}}}"#);
        providers.read_json(r#"{"provider": [{"aws": [{"alias": "a"}, {"alias": "b"}]}, {"random": {}}]}"#);
        providers.read_json("{ not json");
        assert_eq!(providers.0, [None, named("a"), named("b")]);
    }
}
