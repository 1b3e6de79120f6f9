//! The tie of a process to its parent: the kernel of Linux, or a guardian on every system.

use std::{io, os::fd::OwnedFd};

/// The end of a process with its parent.
#[derive(Debug)]
pub enum Tie {
    /// The kernel kills it when the calling thread ends, unless its program is set-user-ID or has capabilities.
    #[cfg(target_os = "linux")]
    Kernel,
    /// A process that reads this pipe kills it when the pipe ends. It is told the process id and this number, both with eight
    /// bytes, the lowest first, before the program runs: until then the new process keeps the pipe open.
    Guardian(OwnedFd, u64),
}

impl Tie {
    /// Ties this process, between `fork` and `exec`: by system calls alone.
    pub(crate) fn bind(&self) -> io::Result<()> {
        use rustix::{io::write, process};
        match self {
            #[cfg(target_os = "linux")]
            Tie::Kernel => process::set_parent_process_death_signal(Some(process::Signal::KILL))?,
            Tie::Guardian(pipe, number) => {
                let id = u64::from(process::getpid().as_raw_pid().unsigned_abs());
                write(pipe, [id.to_le_bytes(), number.to_le_bytes()].as_flattened())?;
            }
        }
        Ok(())
    }
}
