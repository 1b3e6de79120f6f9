//! [`ClientState`]: whether a client is closed.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Error, ErrorKind, Result};

/// The state of a client: open until it is closed.
#[derive(Default, Debug)]
pub struct ClientState {
    closed: AtomicBool,
}

impl ClientState {
    /// The error of every request to a closed client.
    pub fn closed_error() -> Error {
        Error::new(ErrorKind::Closed, "this client is closed")
    }

    /// Fails once the client is closed.
    ///
    /// # Errors
    /// [`ClientState::closed_error`].
    pub fn check_open(&self) -> Result<()> {
        if self.is_closed() { Err(ClientState::closed_error()) } else { Ok(()) }
    }

    /// Whether the client is closed.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Closes the client; whether it was open.
    pub fn close(&self) -> bool {
        !self.closed.swap(true, Ordering::AcqRel)
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
