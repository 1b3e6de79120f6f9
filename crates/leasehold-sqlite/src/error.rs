//! Errors of SQLite and of the operating system, as errors of a store.

use std::{io, path::Path};

use leasehold_core::{Error, ErrorKind};
use rusqlite::{ErrorCode, ffi};
use rustix::io::Errno;

const DAMAGED: &str =
    "move the database and its side files away; a new one is made, and fencing tokens keep growing";
const FULL: &str = "free space on the file system of the database";
const RIGHTS: &str = "this process needs to write the database, its side files and their directory; in a directory that \
                      all may write, such as /tmp, the kernel may admit a file's owner alone (fs.protected_regular)";
const BUSY: &str = "another program has locked the database file; only Leasehold should write it";

/// Converts an error of SQLite. The outcome is "nothing was changed" unless the caller marks it otherwise.
pub(crate) fn from_sqlite(source: rusqlite::Error) -> Error {
    let (kind, hint) = match source.sqlite_error() {
        Some(failure) => classify(*failure),
        // A column of the wrong type or out of range: this program did not write it.
        None => (ErrorKind::Corrupt, DAMAGED),
    };
    with_hint(Error::new(kind, source.to_string()).source(source), hint)
}

fn classify(failure: ffi::Error) -> (ErrorKind, &'static str) {
    match failure.code {
        ErrorCode::DatabaseCorrupt
        | ErrorCode::NotADatabase
        | ErrorCode::TypeMismatch
        | ErrorCode::Unknown => (ErrorKind::Corrupt, DAMAGED),
        ErrorCode::DiskFull => (ErrorKind::Exhausted, FULL),
        ErrorCode::SystemIoFailure if failure.extended_code == ffi::SQLITE_IOERR_SHMSIZE => {
            (ErrorKind::Exhausted, FULL)
        }
        ErrorCode::OutOfMemory => (ErrorKind::Exhausted, ""),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => {
            (ErrorKind::TimedOut, BUSY)
        }
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied => {
            (ErrorKind::Rejected, RIGHTS)
        }
        ErrorCode::CannotOpen => (ErrorKind::Unreachable, RIGHTS),
        ErrorCode::SystemIoFailure => (ErrorKind::Unreachable, "see the system log for errors of the disk"),
        _ => (ErrorKind::Rejected, ""),
    }
}

/// Whether a commit that failed may have written its last page nevertheless.
pub(crate) fn may_have_committed(source: &rusqlite::Error) -> bool {
    source.sqlite_error_code() == Some(ErrorCode::SystemIoFailure)
}

/// Converts an error of a file operation; `action` and `path` name it.
pub(crate) fn from_io(source: io::Error, action: &str, path: &Path) -> Error {
    let (kind, hint) = match (source.kind(), source.raw_os_error().map(Errno::from_raw_os_error)) {
        (io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded, _) => (ErrorKind::Exhausted, FULL),
        (io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem, _) => {
            (ErrorKind::Unreachable, RIGHTS)
        }
        (io::ErrorKind::NotFound, _) => {
            (ErrorKind::Unreachable, "make the directory first, or choose another path")
        }
        (_, Some(Errno::MFILE | Errno::NFILE)) => {
            (ErrorKind::Exhausted, "raise the limit on open files (ulimit -n)")
        }
        _ => (ErrorKind::Unreachable, ""),
    };
    with_hint(Error::new(kind, format!("cannot {action} {}: {source}", path.display())).source(source), hint)
}

fn with_hint(error: Error, hint: &str) -> Error {
    if hint.is_empty() { error } else { error.hint(hint) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_sqlite_have_the_kind_that_tells_what_to_do() {
        let kind = |code| from_sqlite(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)).kind();
        assert_eq!(kind(ffi::SQLITE_CORRUPT), ErrorKind::Corrupt);
        assert_eq!(kind(ffi::SQLITE_NOTADB), ErrorKind::Corrupt);
        assert_eq!(kind(ffi::SQLITE_FULL), ErrorKind::Exhausted);
        assert_eq!(kind(ffi::SQLITE_IOERR_SHMSIZE), ErrorKind::Exhausted);
        assert_eq!(kind(ffi::SQLITE_BUSY), ErrorKind::TimedOut);
        assert_eq!(kind(ffi::SQLITE_READONLY), ErrorKind::Rejected);
        assert_eq!(kind(ffi::SQLITE_CANTOPEN), ErrorKind::Unreachable);
        assert_eq!(kind(ffi::SQLITE_IOERR), ErrorKind::Unreachable);
    }
}
