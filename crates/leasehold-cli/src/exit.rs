//! Exit codes, and the errors of the command line itself. The exit code of a command passes through unchanged.

use std::{error::Error as StdError, fmt};

use leasehold::ErrorKind;
use rustix::process::Signal;

/// `check` found a stale sequencer.
pub(crate) const STALE: u8 = 1;
/// Usage error, or an option that the store does not support (`EX_USAGE` of sysexits).
pub(crate) const USAGE: u8 = 64;
/// The store cannot be reached, or does not work (`EX_UNAVAILABLE`).
pub(crate) const UNAVAILABLE: u8 = 69;
/// Internal failure of leasehold (`EX_SOFTWARE`).
pub(crate) const SOFTWARE: u8 = 70;
/// The lock is busy: try again later (`EX_TEMPFAIL`).
pub(crate) const BUSY: u8 = 75;
/// Unsafe configuration, or damaged or foreign data in the store (`EX_CONFIG`).
pub(crate) const UNSAFE: u8 = 78;
/// The lease was lost while the command ran, whatever its own exit code. Unused by sysexits and by systemd.
pub(crate) const LOST: u8 = 79;
/// The command was found but cannot be run, as in shells.
pub(crate) const CANNOT_RUN: u8 = 126;
/// The command was not found, as in shells.
pub(crate) const NOT_FOUND: u8 = 127;

/// The code for a command or a wait that a signal ended: 128 + its number, as in shells.
pub(crate) fn of_signal(number: i32) -> u8 {
    u8::try_from(128 + number).unwrap_or(u8::MAX)
}

pub(crate) fn of_error(error: &anyhow::Error) -> u8 {
    if let Some(error) = error.downcast_ref::<CliError>() {
        return error.code;
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

/// An error of the command line itself: message, hint and exit code.
#[derive(Debug)]
pub(crate) struct CliError {
    code: u8,
    message: String,
    pub(crate) hint: String,
}

impl CliError {
    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
        CliError::with_code(USAGE, message, hint)
    }

    /// A signal that ended a wait. Its sender knows, so there is no message.
    pub(crate) fn interrupted(signal: Signal) -> anyhow::Error {
        CliError::with_code(of_signal(signal.as_raw()), "", "")
    }

    pub(crate) fn with_code(code: u8, message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(CliError { code, message: message.into(), hint: hint.into() })
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for CliError {}
