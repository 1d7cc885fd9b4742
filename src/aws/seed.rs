//! The files of a bucket's seed folder.

use std::io;
use std::path::{Path, PathBuf};

/// A file and the key it gets.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) key: String,
    size: u64,
    modified: u128,
}

/// All files of a folder and the folders in it, sorted by key.
pub(super) fn files(folder: &Path) -> io::Result<Vec<File>> {
    let mut found = Vec::new();
    walk(folder, "", &mut found)?;
    found.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(found)
}

fn walk(folder: &Path, prefix: &str, found: &mut Vec<File>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let key = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let about = entry.metadata()?;
        // Links are left out: they may lead out of the project.
        if about.is_dir() {
            walk(&entry.path(), &format!("{key}/"), found)?;
        } else if about.is_file() {
            let modified = about.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
            found.push(File { path: entry.path(), key, size: about.len(), modified });
        }
    }
    Ok(())
}

/// Number and state of the files, in the letters that a tag may have: it changes when one of them does. Like `make`, by
/// size and time; the contents are not read.
pub(super) fn digest(files: &[File]) -> String {
    let lines = files.iter().map(|file| format!("{} {} {}\n", file.key, file.size, file.modified));
    let digest = crate::model::fingerprint_of(lines.collect::<String>().as_bytes());
    let noun = if files.len() == 1 { "file" } else { "files" };
    format!("{} {noun} {}", files.len(), &digest[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_paths_inside() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("img")).unwrap();
        for file in ["index.html", "img/a.png"] {
            std::fs::write(folder.path().join(file), file).unwrap();
        }
        let before = files(folder.path()).unwrap();
        let keys: Vec<&str> = before.iter().map(|file| file.key.as_str()).collect();
        assert_eq!(keys, ["img/a.png", "index.html"]);
        std::fs::write(folder.path().join("index.html"), "longer than before").unwrap();
        assert_ne!(digest(&before), digest(&files(folder.path()).unwrap()));
        assert!(digest(&before).starts_with("2 files "));
    }
}
