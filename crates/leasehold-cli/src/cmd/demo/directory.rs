//! [`TempDirectory`]: a directory for the files of one demo.

use std::{
    env,
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process,
};

use anyhow::{Context, Result};

/// A new directory that only this user can read; removed with its contents on drop.
pub(super) struct TempDirectory(PathBuf);

impl TempDirectory {
    /// Creates the directory.
    pub(super) fn create() -> Result<Self> {
        let path = env::temp_dir().join(format!("leasehold-demo-{}", process::id()));
        // Fails if the path exists, also as a link of another user.
        let created = DirBuilder::new().mode(0o700).create(&path);
        created.with_context(|| format!("cannot create {}", path.display()))?;
        Ok(TempDirectory(path))
    }

    /// The path of the directory.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDirectory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
