//! [`DatabasePaths`]: the paths of the database and its side files.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use leasehold_core::{Error, ErrorKind, Result};

use crate::{config_check, error::from_io};

/// The paths of the database and its side files. All are absolute, so a change of the working directory is harmless.
#[derive(Clone, Debug)]
pub(crate) struct DatabasePaths {
    /// The database.
    pub(crate) database: PathBuf,
    /// The file that writers lock one after another.
    pub(crate) write_lock: PathBuf,
    /// The directory of session files.
    pub(crate) sessions: PathBuf,
}

impl DatabasePaths {
    /// Resolves symbolic links, checks the file system, and makes missing directories when asked to.
    pub(crate) fn resolve(path: &Path, create_directories: bool) -> Result<DatabasePaths> {
        let Some(file_name) = path.file_name() else {
            let message = format!("`{}` does not name a file", path.display());
            return Err(Error::new(ErrorKind::Invalid, message).hint("give the path of a database file"));
        };
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        if create_directories {
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(parent);
            made.map_err(|source| from_io(source, "make the directory", parent))?;
        }
        let directory =
            parent.canonicalize().map_err(|source| from_io(source, "use the directory", parent))?;
        if !directory.is_dir() {
            let message = format!("{} is not a directory", directory.display());
            return Err(Error::new(ErrorKind::Unreachable, message).hint("choose another path"));
        }
        // SQLite follows a symbolic link and names its side files after the target, and so does this store.
        let database = path.canonicalize().unwrap_or_else(|_| directory.join(file_name));
        config_check::file_system(database.parent().unwrap_or(&directory))?;
        let [write_lock, sessions] = ["-gate", "-sessions"].map(|suffix| beside(&database, suffix));
        Ok(DatabasePaths { database, write_lock, sessions })
    }

    /// The path of another side file: the database's with this suffix.
    pub(crate) fn beside(&self, suffix: &str) -> PathBuf {
        beside(&self.database, suffix)
    }

    /// The file of a session.
    pub(crate) fn session(&self, number: u64) -> PathBuf {
        self.sessions.join(format!("{number:016x}"))
    }

    /// The numbers of all session files.
    pub(crate) fn session_numbers(&self) -> io::Result<impl Iterator<Item = u64>> {
        let names =
            fs::read_dir(&self.sessions)?.flatten().filter_map(|file| file.file_name().into_string().ok());
        Ok(names.filter(|name| name.len() == 16).filter_map(|name| u64::from_str_radix(&name, 16).ok()))
    }

    /// The permissions of a new side file: those of the database, as SQLite does for its own; private without one.
    pub(crate) fn mode(&self) -> u32 {
        fs::metadata(&self.database).map_or(0o600, |file| file.permissions().mode() & 0o666)
    }
}

fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(database.as_os_str());
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn side_files_stand_beside_the_target_of_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().canonicalize().unwrap().join("real.db");
        std::fs::write(&real, "").unwrap();
        let link = directory.path().join("link.db");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let paths = DatabasePaths::resolve(&link, false).unwrap();
        assert_eq!(paths.database, real);
        assert_eq!(paths.write_lock, directory.path().canonicalize().unwrap().join("real.db-gate"));
    }

    #[test]
    fn a_missing_directory_is_made_only_when_asked() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b/locks.db");
        let error = DatabasePaths::resolve(&path, false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable);
        assert!(error.hint_text().unwrap().contains("directory"));
        DatabasePaths::resolve(&path, true).unwrap();
        assert!(directory.path().join("a/b").is_dir());
    }
}
