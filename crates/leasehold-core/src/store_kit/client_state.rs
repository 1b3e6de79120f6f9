//! [`ClientState`]: whether a client is closed.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Error, ErrorKind, Result, env::check_process};

/// The state of a client: open until it is closed, in the process that made it.
#[derive(Debug)]
pub struct ClientState {
    closed: AtomicBool,
    process: u32,
}

impl Default for ClientState {
    fn default() -> Self {
        ClientState { closed: AtomicBool::new(false), process: std::process::id() }
    }
}

impl ClientState {
    /// The error of every request to a closed client.
    pub fn closed_error() -> Error {
        Error::new(ErrorKind::Closed, "this client is closed")
    }

    /// Fails once the client is closed, and in a child that was forked from its process.
    ///
    /// # Errors
    /// [`ClientState::closed_error`], or one of the same kind.
    pub fn check_open(&self) -> Result<()> {
        check_process(self.process)?;
        if self.is_closed() { Err(ClientState::closed_error()) } else { Ok(()) }
    }

    /// Whether the client is closed.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Closes the client; whether it was open, in this process.
    pub fn close(&self) -> bool {
        !self.closed.swap(true, Ordering::AcqRel) && check_process(self.process).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_closes_once() {
        let state = ClientState::default();
        assert!(state.check_open().is_ok());
        assert!(state.close() && !state.close());
        assert_eq!(state.check_open().unwrap_err().kind(), ErrorKind::Closed);
    }
}
