//! What SQLite's and the kernel's failures mean to a user.

use std::{io, path::Path};

use leasehold_core::{Error, ErrorKind, Outcome};
use rusqlite::{ErrorCode, ffi};

/// What a failure of SQLite means. It changed nothing, unless the caller says otherwise.
pub(crate) fn of_sqlite(source: rusqlite::Error) -> Error {
    let (kind, hint) = match source.sqlite_error() {
        Some(failure) => meaning(*failure),
        // A column of the wrong type or out of range: not written by this program.
        None => (ErrorKind::Corrupt, DAMAGED),
    };
    let error = Error::new(kind, source.to_string()).source(source);
    if hint.is_empty() { error } else { error.hint(hint) }
}

const DAMAGED: &str =
    "move the database and its side files away; a new one is made, and fencing tokens keep growing";
const FULL: &str = "free space on the file system of the database";
const RIGHTS: &str = "this process needs to write the database, its side files and their directory";
const BUSY: &str = "another program has locked the database file; only Leasehold should write it";

fn meaning(failure: ffi::Error) -> (ErrorKind, &'static str) {
    match failure.code {
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::TypeMismatch => {
            (ErrorKind::Corrupt, DAMAGED)
        }
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
        ErrorCode::Unknown => (ErrorKind::Corrupt, DAMAGED),
        _ => (ErrorKind::Rejected, ""),
    }
}

/// Whether SQLite could not begin because another connection is writing.
pub(crate) fn is_busy(source: &rusqlite::Error) -> bool {
    matches!(source.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Whether a failed commit may have written its last page all the same.
pub(crate) fn may_have_committed(source: &rusqlite::Error) -> bool {
    source.sqlite_error_code() == Some(ErrorCode::SystemIoFailure)
}

/// What a failure of the kernel means.
pub(crate) fn of_io(source: io::Error, doing: &str, path: &Path) -> Error {
    let (kind, hint) = match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => (ErrorKind::Exhausted, FULL),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            (ErrorKind::Unreachable, RIGHTS)
        }
        io::ErrorKind::NotFound => {
            (ErrorKind::Unreachable, "make the directory first, or choose another path")
        }
        _ => match source.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
            Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE) => {
                (ErrorKind::Exhausted, "raise the limit on open files (ulimit -n)")
            }
            _ => (ErrorKind::Unreachable, ""),
        },
    };
    let error = Error::new(kind, format!("cannot {doing} {}: {source}", path.display())).source(source);
    if hint.is_empty() { error } else { error.hint(hint) }
}

/// The store was closed.
pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the store has been closed")
}

/// The same failure once more, for each of several claims that failed together.
pub(crate) fn again(error: &Error) -> Error {
    let text = error.to_string();
    // What is shown begins with the words of the kind and may end with the doubt; both are added again.
    let message = text.split_once(": ").map_or(text.as_str(), |(_, message)| message);
    let message = message.strip_suffix(" (it may have taken effect)").unwrap_or(message);
    let mut copy = Error::new(error.kind(), message);
    if let Some(hint) = error.hint_text() {
        copy = copy.hint(hint);
    }
    if error.outcome() == Outcome::Unknown { copy.unknown() } else { copy }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_told_twice_reads_the_same() {
        let error = Error::new(ErrorKind::TimedOut, "a: b").hint("c").unknown();
        assert_eq!(again(&error).to_string(), error.to_string());
        assert_eq!(again(&error).hint_text(), Some("c"));
    }

    #[test]
    fn codes_of_sqlite_have_the_kind_that_tells_what_to_do() {
        let kind = |code| of_sqlite(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)).kind();
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
