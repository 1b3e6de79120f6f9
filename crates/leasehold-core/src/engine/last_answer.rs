//! [`LastAnswer`]: the reason why a wait has ended without its result.

use std::time::Duration;

use crate::{Error, ErrorKind, Result, env::show};

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
    /// A failure after this answer. A request that was cut short (`is_cut`) at the end of the wait says less than the error
    /// before it.
    pub(super) fn or_failure(&self, error: &Error, is_cut: bool) -> LastAnswer {
        match self {
            LastAnswer::Failed(before) if is_cut && error.kind() == ErrorKind::TimedOut => {
                LastAnswer::Failed(before.clone().unknown())
            }
            _ => LastAnswer::Failed(error.clone()),
        }
    }

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

/// A lock that is in use with another number of permits.
pub(super) fn mismatch(asked: Option<u32>, stored: Option<u32>) -> Error {
    let words = |limit: Option<u32>| match limit {
        None => "a lock without permits".to_string(),
        Some(of) => format!("a semaphore of {of} permits"),
    };
    let message = format!("asked for as {}, but in use as {}", words(asked), words(stored));
    Error::new(ErrorKind::Mismatch, message).hint("let all users of the name agree, or use another name")
}

/// A store that grants after the deadline of its grants.
pub(super) fn too_slow(ttl: Duration) -> Error {
    let message = format!("the store's answers take longer than the ttl of {}", show(ttl));
    Error::new(ErrorKind::TimedOut, message).unknown().hint("raise the ttl")
}
