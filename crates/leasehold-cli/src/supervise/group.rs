//! The process group of the command.

use rustix::{
    io::Errno,
    process::{Pid, Signal, kill_process_group, test_kill_process_group},
};

/// The process group that the command leads, with all descendants that have not left the group.
///
/// The id is not reused while a member exists or the command has not been reaped. No signal is sent after that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Group(pub(crate) Pid);

impl Group {
    /// Sends a signal to every member. An empty group is no error, nor a member that runs as another user.
    pub(crate) fn send(self, signal: Signal) {
        let _ = kill_process_group(self.0, signal);
    }

    /// Whether no member is left, not even a zombie.
    pub(crate) fn is_empty(self) -> bool {
        test_kill_process_group(self.0) == Err(Errno::SRCH)
    }
}
