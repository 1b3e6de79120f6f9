//! [`Place`]: where the database and its side files stand.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use leasehold_core::{Error, ErrorKind, Result};

use crate::refusal;

/// Where the database and its side files stand. All paths are absolute, so a change of directory does no harm.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The database.
    pub(crate) database: PathBuf,
    /// What writers lock in turn.
    pub(crate) gate: PathBuf,
    /// The directory of session files.
    pub(crate) sessions: PathBuf,
}

/// Which file a path names at the moment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
}

impl Place {
    /// Finds the real path, refuses what cannot be locked on, and makes directories if asked to.
    pub(crate) fn resolve(path: &Path, create_directories: bool) -> Result<Place> {
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
            made.map_err(|source| refusal::of_io(source, "make the directory", parent))?;
        }
        let directory =
            parent.canonicalize().map_err(|source| refusal::of_io(source, "use the directory", parent))?;
        if !directory.is_dir() {
            let message = format!("{} is not a directory", directory.display());
            return Err(Error::new(ErrorKind::Unreachable, message).hint("choose another path"));
        }
        // Through a symbolic link SQLite names its side files after the target; so do we.
        let database = match path.canonicalize() {
            Ok(real) => real,
            Err(_) => directory.join(file_name),
        };
        refuse_network(database.parent().unwrap_or(&directory))?;
        Ok(Place::of(database))
    }

    fn of(database: PathBuf) -> Place {
        let gate = beside(&database, "-gate");
        let sessions = beside(&database, "-sessions");
        Place { database, gate, sessions }
    }

    /// Another side file, of this suffix.
    pub(crate) fn beside(&self, suffix: &str) -> PathBuf {
        beside(&self.database, suffix)
    }

    /// Which file the path names now.
    pub(crate) fn identity(&self) -> io::Result<Identity> {
        fs::metadata(&self.database).map(|file| Identity::of(&file))
    }

    /// The rights of a new side file: those of the database, as SQLite does it for its own; private without one.
    pub(crate) fn mode(&self) -> u32 {
        fs::metadata(&self.database).map_or(0o600, |file| file.permissions().mode() & 0o666)
    }
}

impl Identity {
    /// Which file this is.
    pub(crate) fn of(file: &fs::Metadata) -> Identity {
        Identity { device: file.dev(), inode: file.ino() }
    }
}

fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(database.as_os_str());
    name.push(suffix);
    PathBuf::from(name)
}

/// Locks of one machine do not hold on the file system of another, and where they are said to, a lost connection
/// drops them silently. FUSE is among them because nothing says what is behind it.
fn refuse_network(directory: &Path) -> Result<()> {
    let status = rustix::fs::statfs(directory)
        .map_err(|errno| refusal::of_io(errno.into(), "ask for the file system of", directory))?;
    // The width of the field differs between machines; the magic numbers have 32 bits.
    let Some(kind) = network_file_system(status.f_type as u32) else { return Ok(()) };
    let message =
        format!("{} is on {kind}, where file locks of one machine do not hold", directory.display());
    Err(Error::new(ErrorKind::Unsafe, message)
        .hint("put the database on a local disk, or use a store with a server to lock between machines"))
}

/// The name of a file system that is refused, by the magic number of statfs(2).
fn network_file_system(magic: u32) -> Option<&'static str> {
    Some(match magic {
        0x6969 => "NFS",
        0x517b => "SMB",
        0xff53_4d42 | 0xfe53_4d42 => "CIFS",
        0x0102_1997 => "9P",
        0x5346_414f | 0x6b41_4653 => "AFS",
        0x00c3_6400 => "Ceph",
        0x7375_7245 => "Coda",
        0x564c => "NCP",
        0x0116_1970 => "GFS2",
        0x7461_636f => "OCFS2",
        0x0bd0_0bd0 => "Lustre",
        0x4750_4653 => "GPFS",
        0xaad7_aaea => "PanFS",
        0x1983_0326 => "BeeGFS",
        0x786f_4256 => "a VirtualBox shared folder",
        0xbacb_acbc => "a VMware shared folder",
        0x6573_5546 => "FUSE",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_of_other_machines_are_refused_and_local_ones_are_not() {
        for (magic, name) in
            [(0x6969, "NFS"), (0xff53_4d42, "CIFS"), (0x6573_5546, "FUSE"), (0x0102_1997, "9P")]
        {
            assert_eq!(network_file_system(magic), Some(name));
        }
        for local in [0xef53, 0x0102_1994, 0x9123_683e, 0x5846_5342, 0x794c_7630] {
            assert_eq!(network_file_system(local), None, "{local:x}");
        }
        let directory = tempfile::tempdir().unwrap();
        refuse_network(directory.path()).unwrap();
    }

    #[test]
    fn side_files_stand_beside_the_target_of_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().canonicalize().unwrap().join("real.db");
        std::fs::write(&real, "").unwrap();
        let link = directory.path().join("link.db");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let place = Place::resolve(&link, false).unwrap();
        assert_eq!(place.database, real);
        assert_eq!(place.gate, directory.path().canonicalize().unwrap().join("real.db-gate"));
    }

    #[test]
    fn a_missing_directory_is_made_only_when_asked() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b/locks.db");
        let error = Place::resolve(&path, false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable);
        assert!(error.hint_text().unwrap().contains("directory"));
        Place::resolve(&path, true).unwrap();
        assert!(directory.path().join("a/b").is_dir());
    }
}
