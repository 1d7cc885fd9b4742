//! Colours: the few that this tool uses, and one per service that stays the same from run to run.

use console::Style;

/// Puts colours on text, or not.
#[derive(Debug, Clone, Copy)]
pub struct Paint(pub bool);

impl Paint {
    fn with(self, style: Style, text: &str) -> String {
        style.force_styling(self.0).apply_to(text).to_string()
    }

    /// A headline.
    pub fn bold(self, text: &str) -> String {
        self.with(Style::new().bold(), text)
    }

    /// Beside the point.
    pub fn dim(self, text: &str) -> String {
        self.with(Style::new().dim(), text)
    }

    /// Went well.
    pub fn good(self, text: &str) -> String {
        self.with(Style::new().green(), text)
    }

    /// Went wrong.
    pub fn bad(self, text: &str) -> String {
        self.with(Style::new().red().bold(), text)
    }

    /// To look at.
    pub fn warn(self, text: &str) -> String {
        self.with(Style::new().yellow().bold(), text)
    }

    /// What to do.
    pub fn hint(self, text: &str) -> String {
        self.with(Style::new().cyan().bold(), text)
    }

    /// A service's name in its colour, filled up to a width.
    pub fn service(self, name: &str, width: usize) -> String {
        let fill = width.saturating_sub(console::measure_text_width(name));
        format!("{}{:fill$}", self.with(service_color(name), name), "")
    }
}

/// 256-colour codes that can be read on dark and on light grounds: medium in brightness, far apart in hue. No red
/// (failures), no green (went well) and no grey (secondary).
const PALETTE: [u8; 14] = [32, 37, 63, 67, 98, 130, 133, 136, 138, 162, 166, 172, 103, 31];

/// A service's colour: by its name alone, so that it is the same in each run and on each machine.
pub fn service_color(name: &str) -> Style {
    // FNV-1a: the standard hasher promises nothing from one release to the next.
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    // The bits are chosen so that the services most stacks have get colours of their own.
    let at = usize::try_from((hash >> 14) % PALETTE.len() as u64).unwrap_or(0);
    Style::new().color256(PALETTE[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_keeps_its_colour() {
        assert_eq!(Paint(true).service("postgres", 0), Paint(true).service("postgres", 0));
        let colors: std::collections::BTreeSet<_> = ["postgres", "redis", "localstack", "ministack", "mailhog"]
            .map(|name| Paint(true).service(name, 0).replace(name, ""))
            .into();
        assert_eq!(colors.len(), 5, "the usual ones differ: {colors:?}");
    }

    #[test]
    fn without_colour_only_the_width_stays() {
        assert_eq!(Paint(false).service("redis", 8), "redis   ");
        assert_eq!(Paint(false).bad("x"), "x");
    }
}
