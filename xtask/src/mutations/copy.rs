//! The copy of the sources in which the mechanisms can be switched off.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::PathBuf,
};

use crate::files;

/// Directories without sources that tests need.
const LEFT_OUT: &[&str] = &["target", "docs", ".git"];

/// Updates the copy and answers its path. Unchanged files are not touched, so that cargo sees the changed ones.
pub(super) fn refresh(patched: &BTreeMap<String, String>) -> io::Result<PathBuf> {
    let (from, to) = (files::root(), files::root().join("target/mutations/tree"));
    let mut wanted = BTreeSet::new();
    files::walk(&from, &|name| LEFT_OUT.contains(&name), &mut |path| {
        let relative = path.strip_prefix(&from).unwrap_or(path);
        let bytes = match relative.to_str().and_then(|name| patched.get(name)) {
            Some(text) => text.clone().into_bytes(),
            None => fs::read(path)?,
        };
        let target = to.join(relative);
        if fs::read(&target).ok().as_ref() != Some(&bytes) {
            fs::create_dir_all(target.parent().unwrap_or(&to))?;
            fs::write(&target, bytes)?;
        }
        wanted.insert(target);
        Ok(())
    })?;
    // Files that are not in the sources any more.
    files::walk(&to, &|_| false, &mut |path| {
        if wanted.contains(path) { Ok(()) } else { fs::remove_file(path) }
    })?;
    Ok(to)
}
