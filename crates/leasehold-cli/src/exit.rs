//! Exit codes, decided in one place. The child's own code passes through unchanged.

use std::{error::Error as StdError, fmt, process::ExitCode};

use leasehold::ErrorKind;

/// A `check` found that the sequencer is stale.
pub(crate) const STALE: u8 = 1;
/// The command line makes no sense, or the store cannot do what it asks for (sysexits' `EX_USAGE`).
pub(crate) const USAGE: u8 = 64;
/// The store cannot be reached, or does not do its work (`EX_UNAVAILABLE`).
pub(crate) const UNAVAILABLE: u8 = 69;
/// A failure of leasehold itself (`EX_SOFTWARE`).
pub(crate) const SOFTWARE: u8 = 70;
/// Somebody else has the lock: try again later (`EX_TEMPFAIL`).
pub(crate) const BUSY: u8 = 75;
/// The configuration would be unsafe, or the store holds damaged or foreign data (`EX_CONFIG`).
pub(crate) const UNSAFE: u8 = 78;
/// The lease was lost while the command ran, whatever the command itself said. No sysexits code; free in systemd too.
pub(crate) const LOST: u8 = 79;
/// The command was found and cannot be run, as in shells.
pub(crate) const CANNOT_RUN: u8 = 126;
/// The command was not found, as in shells.
pub(crate) const NOT_FOUND: u8 = 127;

/// The code for a command, or a wait, that a signal ended: 128 + its number, as in shells.
pub(crate) fn of_signal(number: i32) -> u8 {
    u8::try_from(128 + number).unwrap_or(u8::MAX)
}

/// The code for a failure.
pub(crate) fn of_error(error: &anyhow::Error) -> u8 {
    if let Some(refusal) = error.downcast_ref::<Refusal>() {
        return refusal.code;
    }
    error.downcast_ref::<leasehold::Error>().map_or(SOFTWARE, |error| of_kind(error.kind()))
}

fn of_kind(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Unreachable
        | ErrorKind::TimedOut
        | ErrorKind::NoQuorum
        | ErrorKind::Rejected
        | ErrorKind::Exhausted => UNAVAILABLE,
        ErrorKind::Corrupt | ErrorKind::Unsafe => UNSAFE,
        ErrorKind::Unsupported | ErrorKind::Mismatch | ErrorKind::WouldDeadlock | ErrorKind::Invalid => USAGE,
        ErrorKind::Stale => STALE,
        ErrorKind::Lost => LOST,
        _ => SOFTWARE,
    }
}

/// What the command line itself refuses: a message, the next step, and an exit code.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: u8,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Refusal {
    /// A usage error.
    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
        Refusal::with_code(USAGE, message, hint)
    }

    /// A refusal with a code of its own.
    pub(crate) fn with_code(code: u8, message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Refusal { code, message: message.into(), hint: Some(hint.into()) })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Refusal {}

/// Everything went well.
pub(crate) fn success() -> ExitCode {
    ExitCode::SUCCESS
}
