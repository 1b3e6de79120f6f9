//! The process group of the command: what signals go to.

use rustix::{
    io::Errno,
    process::{Pid, Signal, kill_process_group, test_kill_process_group},
};

/// The group that the command leads, with everything it started that did not leave the group by itself.
///
/// Its number cannot come to mean another group while a member is left, or while the command has not been reaped; and
/// nobody here sends to it after that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Group(pub(crate) Pid);

impl Group {
    /// Sends a signal to every member. That there is nobody left to get it is no error, nor that a member runs as
    /// another user.
    pub(crate) fn send(self, signal: Signal) {
        let _ = kill_process_group(self.0, signal);
    }

    /// Whether nobody is left, not even a member that waits to be reaped.
    pub(crate) fn is_empty(self) -> bool {
        test_kill_process_group(self.0) == Err(Errno::SRCH)
    }
}
