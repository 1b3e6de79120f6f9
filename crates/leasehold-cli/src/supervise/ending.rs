//! The end of the command, and its exit code.

use leasehold::Lost;
use rustix::process::WaitStatus;

use crate::{exit, loss_policy::OnLost};

/// The end of the command.
pub(crate) struct Ending {
    /// The exit code of the command, once it has been reaped.
    pub(super) command: Option<u8>,
    /// The loss of the lease, if it was lost by then.
    pub(crate) lost: Option<Lost>,
    /// The reaction to a lease that was about to end, if there was one.
    pub(super) asked: Option<OnLost>,
    /// A signal asked leasehold to end.
    pub(crate) interrupted: bool,
}

impl Ending {
    /// The end of a run whose command was not started.
    pub(super) fn without_process(command: Option<u8>, lost: Option<Lost>) -> Ending {
        Ending { command, lost, asked: None, interrupted: false }
    }

    pub(crate) fn code(&self) -> u8 {
        if self.is_lost() { exit::LOST } else { self.command.unwrap_or(exit::LOST) }
    }

    /// Whether the work was not done under the lock: the lease was lost, or the command was stopped before that, whatever its
    /// own exit code. A signal of the user's choice need not stop it: then it has failed by its own code only.
    pub(crate) fn is_lost(&self) -> bool {
        let has_failed = self.command != Some(0);
        self.lost.is_some()
            || match self.asked {
                None => false,
                Some(OnLost::Kill) => true,
                Some(OnLost::Send(_) | OnLost::Ignore) => has_failed,
            }
    }
}

pub(super) fn code_of(status: WaitStatus) -> u8 {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => u8::try_from(code).unwrap_or(u8::MAX),
        (None, signal) => exit::of_signal(signal.unwrap_or_default()),
    }
}
