//! The copy of the sources in which the mechanisms can be switched off.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use crate::files;

/// Directories without sources that tests need.
const LEFT_OUT: &[&str] = &["target", "fuzz", "docs", ".git"];

/// Updates the copy and answers its path. Unchanged files are not touched, so that cargo sees the changed ones.
pub(super) fn refresh(patched: &BTreeMap<String, String>) -> io::Result<PathBuf> {
    let (from, to) = (files::root(), files::root().join("target/mutations/tree"));
    let mut wanted = BTreeSet::new();
    copy(&from, &from, &to, patched, &mut wanted)?;
    sweep(&to, &wanted)?;
    Ok(to)
}

fn copy(
    root: &Path,
    directory: &Path,
    to: &Path,
    patched: &BTreeMap<String, String>,
    wanted: &mut BTreeSet<PathBuf>,
) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if LEFT_OUT.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            copy(root, &path, to, patched, wanted)?;
            continue;
        }
        let relative = path.strip_prefix(root).unwrap_or(&path);
        let bytes = match relative.to_str().and_then(|name| patched.get(name)) {
            Some(text) => text.clone().into_bytes(),
            None => fs::read(&path)?,
        };
        let target = to.join(relative);
        if fs::read(&target).ok().as_ref() != Some(&bytes) {
            fs::create_dir_all(target.parent().unwrap_or(to))?;
            fs::write(&target, bytes)?;
        }
        wanted.insert(target);
    }
    Ok(())
}

/// Removes files that are not in the sources any more.
fn sweep(directory: &Path, wanted: &BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            sweep(&path, wanted)?;
        } else if !wanted.contains(&path) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}
