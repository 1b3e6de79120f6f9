//! The copy of the sources in which the mechanisms can be switched off.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use crate::tree;

/// What is not needed to build and run tests, or is made by building.
const LEFT_OUT: &[&str] = &["target", "fuzz", "docs", ".git"];

/// Brings the copy up to date and answers where it is. Files that have not changed are not touched, so that cargo sees
/// what has.
pub(super) fn refresh(patched: &BTreeMap<&str, String>) -> io::Result<PathBuf> {
    let (from, to) = (tree::root(), tree::root().join("target/mutations/tree"));
    let mut wanted = BTreeSet::new();
    copy(&from, &from, &to, patched, &mut wanted)?;
    sweep(&to, &wanted)?;
    Ok(to)
}

fn copy(
    root: &Path,
    directory: &Path,
    to: &Path,
    patched: &BTreeMap<&str, String>,
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

/// Takes out what is not in the sources any more.
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
