//! [`LastAnswer`]: the reason why a wait has ended without its result.

use crate::{Error, ErrorKind, Result};

/// The last answer that a wait has had of the store.
#[derive(Clone, Default)]
pub(super) enum LastAnswer {
    #[default]
    None,
    /// The lock is taken, or what is waited for has not come.
    NotYet,
    Failed(Error),
}

impl LastAnswer {
    /// The result of a wait that is over: `None` if the store has answered, its last error otherwise.
    pub(super) fn at_end<T>(&self) -> Result<Option<T>> {
        match self {
            LastAnswer::NotYet => Ok(None),
            LastAnswer::Failed(error) => Err(error.clone()),
            LastAnswer::None => {
                let message = "the wait was over before the store had answered";
                Err(Error::new(ErrorKind::TimedOut, message).hint("wait for longer"))
            }
        }
    }
}
