//! What went wrong with the test's own machinery.

use std::fmt;

/// A sentence for whoever reads the failed test.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error(pub String);

/// What everything that acts answers.
pub type Result<T> = std::result::Result<T, Error>;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// Says what was tried when an operation of the machine failed.
pub(crate) trait Context<T> {
    /// `what` failed, and why.
    fn context(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: fmt::Display> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Error(format!("{}: {error}", what())))
    }
}
