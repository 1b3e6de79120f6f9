//! [`OwnProcess`]: the process that made a client, told from those that were forked from it.

use forkguard::Guard;

use crate::{Error, ErrorKind, Result};

/// The process that made it. Memory of it that another process has was inherited by a fork.
///
/// The C library calls back in each child that its `fork` makes, so a look costs no system call (ADR 0027). Where it cannot, the
/// process id decides.
#[derive(Clone, Debug)]
pub(crate) struct OwnProcess {
    id: u32,
    forks: Option<Guard>,
}

impl OwnProcess {
    /// The process that calls.
    pub(crate) fn new() -> OwnProcess {
        OwnProcess { id: std::process::id(), forks: Guard::try_new().ok() }
    }

    /// Fails in another process.
    pub(crate) fn check(&self) -> Result<()> {
        let is_own = match &self.forks {
            // The copy keeps the count of the one that made it: each look finds the same.
            Some(forks) => !forks.clone().detected_fork(),
            None => self.id == std::process::id(),
        };
        if is_own {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Closed,
            "this client belongs to the parent process: connect after the fork",
        ))
    }
}
