//! A text that is redrawn in one place of the terminal; in a pipe, one text after the other.

use std::fmt::Write as _;

/// What is drawn in one place.
#[derive(Debug, Default)]
pub struct Live {
    /// Lines of it that are on the terminal.
    drawn: usize,
}

impl Live {
    /// What has to be written to show a text instead of the one before. `height`: rows of the terminal, which is never
    /// filled, because what has scrolled away can't be drawn over; none = no terminal.
    pub fn frame(&mut self, text: &str, height: Option<usize>) -> String {
        let Some(height) = height else { return text.to_owned() };
        let mut out = String::new();
        if self.drawn > 0 {
            // Up to the first line, and nothing below it.
            let _ = write!(out, "\x1b[{}F\x1b[J", self.drawn);
        }
        let lines: Vec<&str> = text.lines().collect();
        let room = height.saturating_sub(1).max(2);
        let shown = if lines.len() > room { room - 1 } else { lines.len() };
        for line in &lines[..shown] {
            out.push_str(line);
            out.push('\n');
        }
        if shown < lines.len() {
            let _ = writeln!(out, "… and {} more", lines.len() - shown);
        }
        self.drawn = shown + usize::from(shown < lines.len());
        out
    }
}

/// Rows of the terminal on stdout; none when it is no terminal.
pub fn stdout_height() -> Option<usize> {
    console::Term::stdout().size_checked().map(|(rows, _)| rows.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_takes_the_place_of_the_one_before_and_no_more_than_there_is() {
        let mut live = Live::default();
        assert_eq!(live.frame("a\nb\n", Some(10)), "a\nb\n");
        assert_eq!(live.frame("c\n", Some(10)), "\x1b[2F\x1b[Jc\n");
        assert_eq!(live.frame("1\n2\n3\n4\n5\n", Some(4)), "\x1b[1F\x1b[J1\n2\n… and 3 more\n");
        assert_eq!(live.frame("x\n", Some(4)), "\x1b[3F\x1b[Jx\n");
    }

    #[test]
    fn in_a_pipe_nothing_is_drawn_over() {
        let mut live = Live::default();
        assert_eq!(live.frame("a\n", None) + &live.frame("b\n", None), "a\nb\n");
    }
}
