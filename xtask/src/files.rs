//! The files of the project.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

#[derive(Debug)]
pub(crate) struct File {
    /// The path from the root, with `/` between the parts.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    /// Whether it holds tests or benchmarks and nothing else.
    pub(crate) fn is_test(&self) -> bool {
        ["/tests.rs", "/tests/", "/benches/"].iter().any(|part| self.path.contains(part))
    }

    pub(crate) fn directory(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(directory, _)| directory)
    }
}

/// The files whose names end in one of `endings`, sorted; without hidden ones and build products.
pub(crate) fn files(endings: &[&str]) -> Vec<File> {
    let root = root();
    let mut found = Vec::new();
    let walked = walk(&root, &root, endings, &mut found);
    assert!(walked.is_ok(), "the project cannot be read: {walked:?}");
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn walk(root: &Path, directory: &Path, endings: &[&str], found: &mut Vec<File>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let hidden = name.starts_with('.') && !matches!(name.as_str(), ".ci" | ".cargo");
        if hidden || name == "target" {
            continue;
        }
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            walk(root, &path, endings, found)?;
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            let relative = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            found.push(File { path: relative, text: fs::read_to_string(&path)? });
        }
    }
    Ok(())
}

/// The content of a file, by its path from the root.
pub(crate) fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(root().join(path)).map_err(|error| format!("{path}: {error}"))
}

/// Writes a file, by its path from the root.
pub(crate) fn write(path: &str, text: &str) -> Result<(), String> {
    fs::write(root().join(path), text).map_err(|error| format!("{path}: {error}"))
}

/// A command of the cargo that runs this program, in the root.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(root());
    command
}
