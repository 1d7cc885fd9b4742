//! Aligned columns that wrap and fold in narrow terminals. Their content is up to the caller.

use crate::model::Endpoint;

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

    /// The text, within `width` columns if there are so many: cells are wrapped between words, and columns that have no
    /// room beside the others are folded onto a line of their own below. Nothing is ever cut: it may be meant to be copied.
    pub fn render(&self, width: Option<usize>, color: bool) -> String {
        let header: Vec<_> = self.header.iter().map(|title| Paint(color).dim(title)).collect();
        let rows = || std::iter::once(&self.header).chain(&self.rows);
        let measure = |of: fn(&str) -> usize, at: usize| {
            rows().filter_map(|row| row.get(at)).map(|cell| of(cell)).max().unwrap_or(0)
        };
        let columns = 0..self.header.len();
        let whole: Vec<usize> = columns.clone().map(|at| measure(console::measure_text_width, at)).collect();
        let least: Vec<usize> = columns.map(|at| measure(longest_part, at)).collect();
        let lines = fold(&whole, &least, width.unwrap_or(usize::MAX));
        let mut out = String::new();
        for row in std::iter::once(&header).chain(&self.rows) {
            for (number, columns) in lines.iter().enumerate() {
                let indent = if number == 0 { 0 } else { INDENT };
                let cells: Vec<Vec<String>> = columns
                    .iter()
                    .map(|&(at, width)| row.get(at).map_or_else(Vec::new, |cell| wrapped(cell, width)))
                    .collect();
                let height = cells.iter().map(Vec::len).max().unwrap_or(0);
                for part in 0..height {
                    let mut line = " ".repeat(indent);
                    for (cell, (_, width)) in cells.iter().zip(columns) {
                        let text = cell.get(part).map_or("", String::as_str);
                        line.push_str(text);
                        let fill = (width + GAP).saturating_sub(console::measure_text_width(text));
                        line.push_str(&" ".repeat(fill));
                    }
                    let line = line.trim_end();
                    // An empty cell that was folded needs no line.
                    if number == 0 || !line.is_empty() {
                        out.push_str(line);
                        out.push('\n');
                    }
                }
            }
        }
        out
    }
}

/// Columns between two columns.
const GAP: usize = 2;

/// How far columns that were folded stand to the right.
const INDENT: usize = 2;

/// The columns on each line of a row, each with its width: `whole` if everything fits, else no less than `least`.
fn fold(whole: &[usize], least: &[usize], width: usize) -> Vec<Vec<(usize, usize)>> {
    let mut lines: Vec<Vec<(usize, usize)>> = vec![Vec::new()];
    let taken = |line: &[(usize, usize)], of: &[usize]| line.iter().map(|(at, _)| of[*at] + GAP).sum::<usize>();
    let room = |number: usize| width.saturating_sub(if number == 0 { 0 } else { INDENT });
    for at in 0..whole.len() {
        let number = lines.len() - 1;
        let fits = taken(&lines[number], least) + least[at] <= room(number);
        if !fits && !lines[number].is_empty() {
            lines.push(Vec::new());
        }
        lines.last_mut().expect("never empty").push((at, whole[at]));
    }
    for (number, line) in lines.iter_mut().enumerate() {
        let mut over = taken(line, whole).saturating_sub(room(number).saturating_add(GAP));
        // The widest gives way: it has the most to wrap.
        while over > 0 {
            let can = line.iter_mut().filter(|(at, width)| *width > least[*at]);
            let Some((_, width)) = can.max_by_key(|(_, width)| *width) else { break };
            *width -= 1;
            over -= 1;
        }
    }
    lines
}

/// Where a cell may be broken: between words, but a number stays with its unit. Colours reach over the end of a line, so
/// that a cell with colours stays whole.
fn parts(cell: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut begin = 0;
    if !cell.contains('\u{1b}') {
        for (at, _) in cell.match_indices(' ') {
            let before = cell[begin..at].rsplit(' ').next().unwrap_or_default();
            let is_number = before.starts_with(|first: char| first.is_ascii_digit()) && !before.ends_with([',', ';']);
            if !(is_number || before == "/" || before.is_empty() || cell[at..].starts_with(" / ")) {
                parts.push(&cell[begin..at]);
                begin = at + 1;
            }
        }
    }
    parts.push(&cell[begin..]);
    parts
}

fn longest_part(cell: &str) -> usize {
    parts(cell).into_iter().map(console::measure_text_width).max().unwrap_or(0)
}

/// A cell as lines of so many columns; a part that is wider has a line of its own.
fn wrapped(cell: &str, width: usize) -> Vec<String> {
    if console::measure_text_width(cell) <= width {
        return vec![cell.to_owned()];
    }
    let mut lines: Vec<String> = Vec::new();
    for part in parts(cell) {
        let needed = console::measure_text_width(part) + 1;
        match lines.last_mut().filter(|line| console::measure_text_width(line) + needed <= width) {
            Some(line) => {
                line.push(' ');
                line.push_str(part);
            }
            None => lines.push(part.to_owned()),
        }
    }
    lines
}

/// Columns of the terminal on stdout; none when it is no terminal, where nothing is wrapped.
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

    /// A `ps` of two services, one with much to say.
    fn services() -> Table {
        let mut table = Table::new(&["SERVICE", "READY", "PORTS", "IMAGE"]);
        table.row(["redis", "yes", "6379→6379", "taskava/redis:7"]);
        table.row([
            "mailhog",
            "no: HTTP 503 on 8025",
            "1025→1025, 8025→8025",
            "registry.example.com/mailhog/mailhog:v1.0.1",
        ]);
        table
    }

    #[test]
    fn what_has_no_room_is_wrapped_between_words() {
        let text = "
SERVICE  READY         PORTS         IMAGE
redis    yes           6379→6379     taskava/redis:7
mailhog  no: HTTP      1025→1025,    registry.example.com/mailhog/mailhog:v1.0.1
         503 on 8025   8025→8025
";
        assert_eq!(format!("\n{}", services().render(Some(80), false)), text);
    }

    #[test]
    fn what_has_no_room_beside_the_others_is_folded_and_stays_whole() {
        let text = "
SERVICE  READY                 PORTS
  IMAGE
redis    yes                   6379→6379
  taskava/redis:7
mailhog  no: HTTP 503 on 8025  1025→1025,
                               8025→8025
  registry.example.com/mailhog/mailhog:v1.0.1
";
        assert_eq!(format!("\n{}", services().render(Some(50), false)), text);
    }

    #[test]
    fn no_word_is_lost_at_any_width() {
        let all = services().render(None, false);
        let words = |text: &str| {
            let mut words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            words.sort();
            words
        };
        for width in 1..120 {
            let text = services().render(Some(width), false);
            assert_eq!(words(&text), words(&all), "{width}: {text}");
            let longest = "registry.example.com/mailhog/mailhog:v1.0.1".len() + INDENT;
            let too_long = text.lines().find(|line| console::measure_text_width(line) > width.max(longest));
            assert_eq!(too_long, None, "{width}: {text}");
        }
    }

    #[test]
    fn numbers_stay_with_their_units() {
        assert_eq!(parts("1.5 MiB / 3.0 GiB"), ["1.5 MiB / 3.0 GiB"]);
        assert_eq!(parts("made two weeks ago, 3 times, 4, 5"), ["made", "two", "weeks", "ago,", "3 times,", "4,", "5"]);
        assert_eq!(parts("\u{1b}[31mno way\u{1b}[0m"), ["\u{1b}[31mno way\u{1b}[0m"]);
        assert_eq!(parts(""), [""]);
    }

    #[test]
    fn headers_are_dim() {
        assert!(table().render(None, true).starts_with("\u{1b}[2mSERVICE\u{1b}[0m"));
    }
}
