//! Diagnosis of a database file. Nothing is written, and SQLite does not open the file.

use std::path::Path;

use leasehold_core::{Error, Finding, Result};
use rustix::fs::{Access, access};

use crate::{config_check::HeaderReader, error::from_io, keys::DatabasePaths};

/// The findings about the database at `path`: one, the first that keeps locks from being taken.
pub(crate) fn diagnose(path: &Path) -> Finding {
    let is_there = match examine(path) {
        Ok(is_there) => is_there,
        Err(error) => return refusal(&error),
    };
    let what = if is_there { "the database can be opened" } else { "the database is made at its first use" };
    Finding::ok("sqlite", what, "it is on a local file system, and this process may write there")
}

/// Whether the database is there; fails as opening it would.
fn examine(path: &Path) -> Result<bool> {
    let paths = DatabasePaths::resolve(path, false)?;
    let is_there = HeaderReader::new().finds(&paths.database)?;
    let side_files = ["", "-gate", "-sessions", "-wal", "-shm"].map(|suffix| paths.beside(suffix));
    let directory = paths.database.parent().map(Path::to_path_buf);
    for file in side_files.into_iter().chain(directory).filter(|file| file.exists()) {
        access(&file, Access::WRITE_OK).map_err(|errno| from_io(errno.into(), "write", &file))?;
    }
    Ok(is_there)
}

fn refusal(error: &Error) -> Finding {
    let why = "no lock can be taken there";
    Finding::critical("sqlite", error.to_string(), why, error.hint_text().unwrap_or_default())
}
