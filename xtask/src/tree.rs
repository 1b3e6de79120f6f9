//! The files of the project.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// A file of the project: its path from the root, with `/` between the parts, and its text.
#[derive(Debug)]
pub(crate) struct File {
    /// From the root.
    pub(crate) path: String,
    /// As it is.
    pub(crate) text: String,
}

impl File {
    /// Whether it holds tests or benchmarks and nothing else: what may panic.
    pub(crate) fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/") || self.path.contains("/benches/")
    }

    /// The directory it is in, from the root.
    pub(crate) fn directory(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(directory, _)| directory)
    }
}

/// The files whose names end in one of `endings`, sorted; not what is built or hidden.
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
            let relative = path.strip_prefix(root).unwrap_or(&path);
            let relative = relative.to_string_lossy().replace('\\', "/");
            found.push(File { path: relative, text: fs::read_to_string(&path)? });
        }
    }
    Ok(())
}

/// The cargo that runs us, at work in the root.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(root());
    command
}
