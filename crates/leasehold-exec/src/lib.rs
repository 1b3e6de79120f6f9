//! The start of a process that ends with its parent: the only crate of the workspace with `unsafe`.

mod platform;

use std::{
    io,
    os::{fd::OwnedFd, unix::process::CommandExt},
    process::{Child, Command},
};

use nix::sys::signal::{SigSet, SigmaskHow, Signal::SIGTTOU};
use rustix::process::{getpid, getppid};

pub use platform::Tie;

/// Starts a command as the leader of a new process group, in the foreground of `terminal` if that is given.
///
/// # Errors
/// Those of `fork` and `exec`, and `ESRCH` if the parent has ended meanwhile.
pub fn spawn(command: &mut Command, terminal: Option<OwnedFd>, tie: Tie) -> io::Result<Child> {
    let parent = Some(getpid());
    let prepare = move || {
        tie.bind()?;
        if getppid() != parent {
            return Err(rustix::io::Errno::SRCH.into());
        }
        if let Some(terminal) = &terminal {
            // SIGTTOU stops a background process that sets the foreground, unless it is blocked.
            let before = SigSet::from(SIGTTOU).thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
            let _ = rustix::termios::tcsetpgrp(terminal, getpid());
            before.thread_set_mask()?;
        }
        Ok(())
    };
    // SAFETY: the closure runs between `fork` and `exec`. It makes system calls alone: it allocates nothing, takes no
    // lock, and touches no memory but its own copies of process ids and descriptors.
    unsafe { command.pre_exec(prepare) };
    command.process_group(0).spawn()
}
