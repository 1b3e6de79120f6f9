//! Errors that several operations share.

use leasehold_core::{Error, ErrorKind};

pub(crate) fn too_contended() -> Error {
    Error::new(ErrorKind::TimedOut, "other clients changed the lock during every attempt")
        .hint("try again; a store with wake-ups suits many waiters better")
}

/// An error reply of the server.
pub(crate) fn refused(why: &str) -> Error {
    if why.contains("out of memory") || why.contains("too large") {
        return Error::new(ErrorKind::Exhausted, format!("the server has no room: {why}"))
            .hint("give it more memory (-m)");
    }
    Error::new(ErrorKind::Rejected, format!("the server refuses: {why}")).hint("see the server's log")
}

pub(crate) fn unexpected_reply() -> Error {
    Error::new(ErrorKind::Corrupt, "the server's reply does not fit the command").unknown()
}
