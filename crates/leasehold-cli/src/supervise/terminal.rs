//! The foreground process group of the controlling terminal.

use std::os::fd::OwnedFd;

use nix::sys::signal::{SigSet, SigmaskHow, Signal as NixSignal};
use rustix::{
    fs::{FileType, Mode, OFlags, fstat, open},
    process::{Pid, getpgrp, getpid, getsid},
    stdio,
    termios::{OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr, tcsetpgrp},
};

pub(crate) struct Terminal {
    tty: OwnedFd,
    modes: Option<Termios>,
}

impl Terminal {
    /// Opens the controlling terminal, if there is one.
    pub(crate) fn controlling() -> Option<Self> {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let tty = open("/dev/tty", flags, Mode::empty()).ok()?;
        let modes = tcgetattr(&tty).ok();
        Some(Terminal { tty, modes })
    }

    /// The terminal for a child that takes the foreground before its program starts.
    pub(crate) fn duplicate(&self) -> Option<OwnedFd> {
        self.tty.try_clone().ok()
    }

    /// Whether our process group is in the foreground.
    pub(crate) fn is_ours(&self) -> bool {
        self.foreground() == Some(getpgrp())
    }

    /// Whether a job-control shell started this process. Without one, a stopped process would never be continued.
    pub(crate) fn has_shell(&self) -> bool {
        getsid(None).is_ok_and(|session| session != getpid())
    }

    /// Moves `group` to the foreground.
    pub(crate) fn give(&self, group: Pid) {
        // SIGTTOU stops a background process that sets the foreground, unless it blocks the signal.
        let mut ttou = SigSet::empty();
        ttou.add(NixSignal::SIGTTOU);
        if let Ok(before) = ttou.thread_swap_mask(SigmaskHow::SIG_BLOCK) {
            let _ = tcsetpgrp(&self.tty, group);
            let _ = before.thread_set_mask();
        }
    }

    /// Takes the foreground back from `group`. With `restore` also resets the terminal modes, for a command that was killed
    /// before it could.
    pub(crate) fn take_back(&self, group: Pid, restore: bool) {
        if self.foreground() != Some(group) {
            return;
        }
        self.give(getpgrp());
        if let Some(modes) = self.modes.as_ref().filter(|_| restore) {
            let _ = tcsetattr(&self.tty, OptionalActions::Drain, modes);
        }
    }

    fn foreground(&self) -> Option<Pid> {
        tcgetpgrp(&self.tty).ok()
    }
}

/// Whether this process is part of a pipeline. The rest of the pipeline may then read the terminal too, and the command
/// gets the foreground only when it asks for it.
pub(crate) fn is_piped() -> bool {
    [stdio::stdin(), stdio::stdout()].into_iter().any(|stream| {
        fstat(stream).is_ok_and(|stat| {
            matches!(FileType::from_raw_mode(stat.st_mode), FileType::Fifo | FileType::Socket)
        })
    })
}
