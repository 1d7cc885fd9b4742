//! Aligned columns for people. What goes in them is the caller's.

use crate::event::Endpoint;

use super::style::Paint;

/// Rows under a header. Cells may carry colours; widths are those seen.
#[derive(Debug, Clone, Default)]
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column titles.
    pub fn new(header: &[&str]) -> Self {
        Self { header: header.iter().map(|&title| title.to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The text, with each line cut to `width` columns if there is one.
    pub fn render(&self, width: Option<usize>, color: bool) -> String {
        let mut widths = vec![0; self.header.len()];
        for row in std::iter::once(&self.header).chain(&self.rows) {
            for (cell, width) in row.iter().zip(&mut widths) {
                *width = console::measure_text_width(cell).max(*width);
            }
        }
        let header: Vec<_> = self.header.iter().map(|title| Paint(color).dim(title)).collect();
        let mut out = String::new();
        for row in std::iter::once(&header).chain(&self.rows) {
            let mut line = String::new();
            for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
                line.push_str(cell);
                if at + 1 < row.len() {
                    line.push_str(&" ".repeat(width + 2 - console::measure_text_width(cell)));
                }
            }
            let line = line.trim_end();
            match width {
                Some(width) => out.push_str(&console::truncate_str(line, width, "…")),
                None => out.push_str(line),
            }
            out.push('\n');
        }
        out
    }
}

/// Columns of the terminal on stdout; none when it is no terminal, where nothing is cut.
pub fn stdout_width() -> Option<usize> {
    console::Term::stdout().size_checked().map(|(_, columns)| columns.into())
}

/// Where the services can be reached.
pub fn endpoints(endpoints: &[Endpoint]) -> Table {
    let mut table = Table::new(&["SERVICE", "PORT", "ADDRESS"]);
    for endpoint in endpoints {
        table.row([endpoint.service.as_str(), &endpoint.label, &endpoint.url]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["SERVICE", "STATE", "PORTS"]);
        table.row(["postgres", "ready", "127.0.0.1:5432"]);
        table.row(["データ", "\u{1b}[32mup\u{1b}[0m", ""]);
        table
    }

    #[test]
    fn columns_line_up_by_what_is_seen() {
        let text = "SERVICE   STATE  PORTS\npostgres  ready  127.0.0.1:5432\nデータ    \u{1b}[32mup\u{1b}[0m\n";
        assert_eq!(table().render(None, false), text);
    }

    #[test]
    fn a_narrow_terminal_cuts_lines() {
        let text = table().render(Some(20), false);
        assert_eq!(text.lines().nth(1), Some("postgres  ready  12…"));
        assert!(text.lines().all(|line| console::measure_text_width(line) <= 20), "{text}");
    }

    #[test]
    fn headers_are_dim() {
        assert!(table().render(None, true).starts_with("\u{1b}[2mSERVICE\u{1b}[0m"));
    }
}
