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

/// The directory of build products.
pub(crate) fn target() -> PathBuf {
    let chosen = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    chosen.unwrap_or_else(|| root().join("target"))
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
    let is_left_out =
        |name: &str| name == "target" || (name.starts_with('.') && !matches!(name, ".ci" | ".cargo"));
    let walked = walk(&root, &is_left_out, &mut |path| {
        let relative = path.strip_prefix(&root).unwrap_or(path).to_string_lossy();
        if endings.iter().any(|ending| relative.ends_with(ending)) {
            found.push(File { path: relative.into_owned(), text: fs::read_to_string(path)? });
        }
        Ok(())
    });
    assert!(walked.is_ok(), "the project cannot be read: {walked:?}");
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Visits the files below a directory, without the entries whose names are left out.
pub(crate) fn walk(
    directory: &Path,
    is_left_out: &dyn Fn(&str) -> bool,
    visit: &mut dyn FnMut(&Path) -> io::Result<()>,
) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if is_left_out(&entry.file_name().to_string_lossy()) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), is_left_out, visit)?;
        } else {
            visit(&entry.path())?;
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
