//! The session without `async`.

use super::block_on;
use crate::{Result, SessionState};

/// How a client stands with its store, as a value to watch. See [`crate::Session`].
#[derive(Clone, Debug)]
pub struct Session {
    pub(super) inner: crate::Session,
}

impl Session {
    /// The state at this instant. No I/O.
    pub fn state(&self) -> SessionState {
        self.inner.state()
    }

    /// Waits until the state is another than this value has answered last, and answers it. A loss is never missed.
    ///
    /// # Errors
    /// [`ErrorKind::WouldDeadlock`](crate::ErrorKind) inside of an async task.
    pub fn wait_changed(&mut self) -> Result<SessionState> {
        block_on(async { Ok(self.inner.changed().await) })
    }
}
