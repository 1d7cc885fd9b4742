//! What of a restored database is not as it was saved.

use super::Table;

/// The tables that differ, in words.
pub(super) fn compare(place: &str, saved: &[Table], found: &[Table]) -> Vec<String> {
    let mut differences = Vec::new();
    for table in saved {
        match found.iter().find(|found| found.name == table.name) {
            None => differences.push(format!("{place}: table {} is missing", table.name)),
            Some(found) if found.rows != table.rows => {
                differences.push(format!("{place}: {} has {} rows instead of {}", table.name, found.rows, table.rows));
            }
            Some(found) if found.content != table.content => {
                differences.push(format!("{place}: the content of {} differs", table.name));
            }
            Some(_) => {}
        }
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_difference_is_named() {
        let table = |name: &str, rows, content: &str| Table { name: name.into(), rows, content: content.into() };
        let saved = [table("a", 1, "1"), table("b", 2, "2"), table("c", 3, "3"), table("d", 4, "4")];
        let found = [table("a", 1, "1"), table("b", 2, "x"), table("c", 2, "3")];
        let said = compare("postgres app", &saved, &found);
        assert_eq!(
            said,
            [
                "postgres app: the content of b differs",
                "postgres app: c has 2 rows instead of 3",
                "postgres app: table d is missing"
            ]
        );
        assert!(compare("", &saved, &saved).is_empty());
    }
}
