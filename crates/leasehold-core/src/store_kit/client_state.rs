//! [`ClientState`]: the part of a client that all stores have.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Capability, Error, ErrorKind, Result, Revalidations, env::OwnProcess};

/// The part of a client that all stores have. It is open until it is closed, in the process that made it.
#[derive(Debug)]
pub struct ClientState {
    /// The features of the store.
    pub capability: Capability,
    /// The URL without secrets that names the store in errors.
    pub url: String,
    /// The demands to renew all holds at once.
    pub revalidations: Revalidations,
    closed: AtomicBool,
    process: OwnProcess,
}

impl ClientState {
    /// The state of a new client, which is open.
    pub fn new(capability: Capability, url: impl Into<String>, revalidations: Revalidations) -> Self {
        let (url, closed, process) = (url.into(), AtomicBool::new(false), OwnProcess::new());
        ClientState { capability, url, revalidations, closed, process }
    }

    /// The error of every request to a closed client.
    pub fn closed_error() -> Error {
        Error::new(ErrorKind::Closed, "`close` was called before")
    }

    /// Fails once the client is closed, and in a child that was forked from its process.
    ///
    /// # Errors
    /// [`ClientState::closed_error`], or one of the same kind.
    pub fn check_open(&self) -> Result<()> {
        self.process.check()?;
        if self.is_closed() { Err(ClientState::closed_error()) } else { Ok(()) }
    }

    /// Whether the client is closed.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Closes the client; whether it was open, in this process.
    pub fn close(&self) -> bool {
        !self.closed.swap(true, Ordering::AcqRel) && self.process.check().is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;

    #[test]
    fn it_closes_once() {
        let state = ClientState::new(Memory::CAPABILITY, "test:", Revalidations::default());
        assert!(state.check_open().is_ok());
        assert!(state.close() && !state.close());
        assert_eq!(state.check_open().unwrap_err().kind(), ErrorKind::Closed);
    }
}
