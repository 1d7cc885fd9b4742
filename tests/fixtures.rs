//! services.toml files, right and wrong ones, and what is said about each.
//!
//! `tests/fixtures/bad/NAME.toml` (or `bad/NAME/services.toml` with files beside it) has its diagnostics in `NAME.txt`.
//! After a wanted change: `SNAPSHOTS=overwrite cargo test --test fixtures`, and read the difference.

use std::path::{Path, PathBuf};

use taskava::diag::Diagnostic;
use taskava::load::{self, Ask, Loaded};
use taskava::ui::errors;

fn fixtures(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new("tests/fixtures").join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("the fixtures are there")
        .map(|entry| entry.expect("it can be listed").path())
        .filter_map(|path| match path.is_dir() {
            true => Some(path.join("services.toml")).filter(|path| path.is_file()),
            false => path.extension().is_some_and(|end| end == "toml").then_some(path),
        })
        .collect();
    files.sort();
    files
}

fn load(file: &Path) -> taskava::diag::Result<Loaded> {
    load::stack(&Ask { file: Some(file.into()), ..Ask::default() })
}

fn render(diagnostics: &[Diagnostic]) -> String {
    errors::diagnostics(diagnostics, false).replace(env!("CARGO_MANIFEST_DIR"), "[ROOT]")
}

/// Where the expected text of a fixture is.
fn expected(file: &Path, ending: &str) -> PathBuf {
    match file.file_name().is_some_and(|name| name == "services.toml") {
        true => file.parent().expect("it is in a folder").with_extension(ending),
        false => file.with_extension(ending),
    }
}

#[test]
fn bad_files_are_refused_with_all_their_problems() {
    let files = fixtures("bad");
    assert!(files.len() >= 40, "{} files", files.len());
    for file in files {
        let error = load(&file).expect_err(&format!("{} is not refused", file.display()));
        assert_eq!(error.kind.exit_code(), 2, "{}", file.display());
        snapbox::assert_data_eq!(
            render(&error.diagnostics),
            snapbox::Data::read_from(&expected(&file, "txt"), None).raw()
        );
    }
}

#[test]
fn good_files_are_accepted() {
    for file in fixtures("ok") {
        let loaded =
            load(&file).unwrap_or_else(|error| panic!("{}: {error}\n{}", file.display(), render(&error.diagnostics)));
        println!("{:#?}", loaded);
    }
}
