//! Puts stages before those of a Dockerfile: what it uses by a name without having a stage of that name.

/// A Dockerfile with a stage for each name, which is an image. The numbers of its own stages stay right.
pub fn with_stages(dockerfile: &str, stages: &[(String, String)]) -> String {
    let is_from = |line: &str| {
        let mut words = line.split_whitespace();
        words.next().is_some_and(|word| word.eq_ignore_ascii_case("from")) && words.next().is_some()
    };
    let mut out = String::new();
    let mut begun = false;
    for line in dockerfile.lines() {
        if !begun && is_from(line) {
            begun = true;
            stages.iter().for_each(|(name, image)| out += &format!("FROM {image} AS {name}\n"));
        }
        let line = if begun { renumbered(line, stages.len()) } else { line.to_owned() };
        out += &line;
        out.push('\n');
    }
    out
}

/// A line in which the numbers of stages (`--from=0`, `--mount=…,from=0`) are those after so many others.
fn renumbered(line: &str, before: usize) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find("from=") {
        let (head, tail) = rest.split_at(at + "from=".len());
        let digits = tail.len() - tail.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let is_option = head[..at].ends_with("--") || head[..at].ends_with([',', '=']);
        let ends = tail[digits..].chars().next().is_none_or(|c| c == ',' || c.is_whitespace());
        out += head;
        match tail[..digits].parse::<usize>() {
            Ok(number) if is_option && ends => out += &(number + before).to_string(),
            _ => out += &tail[..digits],
        }
        rest = &tail[digits..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_come_before_the_first_and_numbers_stay_right() {
        let stages = [("shared".to_owned(), "one:1".to_owned()), ("base".to_owned(), "two".to_owned())];
        let written = "# syntax=docker/dockerfile:1\nARG TAG=1\nfrom base AS a\nFROM x:${TAG}\nCOPY --from=0 /a /b\n\
                       COPY --from=shared . /s\nRUN --mount=type=bind,from=1,target=/m x --from=0x from=3\n";
        let expected = "# syntax=docker/dockerfile:1\nARG TAG=1\nFROM one:1 AS shared\nFROM two AS base\nfrom base AS a\n\
                        FROM x:${TAG}\nCOPY --from=2 /a /b\nCOPY --from=shared . /s\n\
                        RUN --mount=type=bind,from=3,target=/m x --from=0x from=3\n";
        assert_eq!(with_stages(written, &stages), expected);
    }
}
