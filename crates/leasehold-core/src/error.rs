//! [`Error`]: the failure, its lock and store, whether the operation may have taken effect, and the next step.

use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

use crate::{LockName, Lost, env::show};

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The class of a failure; programs decide by it, never by the text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The store cannot be reached.
    Unreachable,
    /// The store did not answer in time.
    TimedOut,
    /// Too few nodes of a quorum answered.
    NoQuorum,
    /// The store answered and refused: rights, read-only, wrong type of key.
    Rejected,
    /// The store has no room: disk full, out of memory, a limit of ours reached.
    Exhausted,
    /// The data is not ours or is damaged. Nothing was changed.
    Corrupt,
    /// The configuration would be unsafe and is refused: a network file system, an evicting server.
    Unsafe,
    /// The store cannot do this; known from its capability, before anything was sent.
    Unsupported,
    /// The name is in use with another number of permits, or as another kind of lock.
    Mismatch,
    /// The call could only wait for itself.
    WouldDeadlock,
    /// A stale fencing token was presented.
    Stale,
    /// The lease was lost.
    Lost,
    /// The client is closed.
    Closed,
    /// An argument is out of range.
    Invalid,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ErrorKind::Unreachable => "store unreachable",
            ErrorKind::TimedOut => "no answer in time",
            ErrorKind::NoQuorum => "no quorum",
            ErrorKind::Rejected => "rejected by the store",
            ErrorKind::Exhausted => "no room",
            ErrorKind::Corrupt => "damaged or foreign data",
            ErrorKind::Unsafe => "unsafe configuration refused",
            ErrorKind::Unsupported => "unsupported",
            ErrorKind::Mismatch => "limit mismatch",
            ErrorKind::WouldDeadlock => "would deadlock",
            ErrorKind::Stale => "stale fencing token",
            ErrorKind::Lost => "lease lost",
            ErrorKind::Closed => "client closed",
            ErrorKind::Invalid => "invalid argument",
        })
    }
}

/// Whether the operation took effect. After `Unknown`, repeat with the same claim id, or release.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Outcome {
    /// It certainly did not.
    NotApplied,
    /// It may have.
    Unknown,
}

/// A failure. One pointer wide; built up by the layers that know more. `{error}` is one line that says what failed; `{error:?}` adds
/// the hint and the cause.
///
/// ```
/// use leasehold_core::{Error, ErrorKind};
/// let error = Error::new(ErrorKind::Unreachable, "connection refused").store("redis://db:6379").verb("claim")
///     .hint("is the server running?");
/// assert_eq!(error.to_string(), "claim on redis://db:6379: store unreachable: connection refused");
/// assert_eq!(error.hint_text(), Some("is the server running?"));
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    outcome: Outcome,
    message: String,
    hint: Option<String>,
    verb: Option<&'static str>,
    lock: Option<LockName>,
    store: Option<String>,
    elapsed: Option<Duration>,
    passes_in: Option<Duration>,
    lost: Option<Lost>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// A failure that has certainly changed nothing; see [`Error::unknown`].
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error(Arc::new(Inner {
            kind,
            outcome: Outcome::NotApplied,
            message: message.into(),
            hint: None,
            verb: None,
            lock: None,
            store: None,
            elapsed: None,
            passes_in: None,
            lost: None,
            source: None,
        }))
    }

    fn inner(&mut self) -> &mut Inner {
        Arc::make_mut(&mut self.0)
    }

    /// Marks that the operation may have taken effect.
    #[must_use]
    pub fn unknown(mut self) -> Self {
        self.inner().outcome = Outcome::Unknown;
        self
    }

    /// Marks that the operation has certainly not taken effect.
    #[must_use]
    pub fn not_applied(mut self) -> Self {
        self.inner().outcome = Outcome::NotApplied;
        self
    }

    /// Sets the next step for the user, in one sentence.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.inner().hint = Some(hint.into());
        self
    }

    /// Names the verb; the first layer that names one wins.
    #[must_use]
    pub fn verb(mut self, verb: &'static str) -> Self {
        self.inner().verb.get_or_insert(verb);
        self
    }

    /// Names the lock; the first layer that names one wins.
    #[must_use]
    pub fn lock(mut self, name: &LockName) -> Self {
        self.inner().lock.get_or_insert_with(|| name.clone());
        self
    }

    /// Names the store or node by its URL without secrets; the first layer that names one wins.
    #[must_use]
    pub fn store(mut self, redacted_url: impl Into<String>) -> Self {
        self.inner().store.get_or_insert_with(|| redacted_url.into());
        self
    }

    /// Sets the time until the failure.
    #[must_use]
    pub fn elapsed(mut self, elapsed: Duration) -> Self {
        self.inner().elapsed = Some(elapsed);
        self
    }

    /// Sets the time after which the cause passes by itself.
    #[must_use]
    pub fn passing_in(mut self, span: Option<Duration>) -> Self {
        self.inner().passes_in = span;
        self
    }

    /// Sets the cause.
    #[must_use]
    pub fn source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.inner().source = Some(Arc::from(source.into()));
        self
    }

    fn fmt_failure(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.0;
        write!(f, "{}: {}", inner.kind, inner.message)?;
        if let Some(elapsed) = inner.elapsed.filter(|elapsed| elapsed.as_millis() > 0) {
            write!(f, " (after {})", show(elapsed))?;
        }
        if inner.outcome == Outcome::Unknown {
            f.write_str(" (it may have taken effect)")?;
        }
        Ok(())
    }

    /// The class of the failure.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the operation may have taken effect.
    pub fn outcome(&self) -> Outcome {
        self.0.outcome
    }

    /// The time after which the cause passes by itself, where the store knows it: members of a quorum that may have lost
    /// their data get their votes back.
    pub fn passes_in(&self) -> Option<Duration> {
        self.0.passes_in
    }

    /// The next step for the user, where one is known.
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The lock, where one was named.
    pub fn lock_name(&self) -> Option<&LockName> {
        self.0.lock.as_ref()
    }

    /// How the lease was lost, for [`ErrorKind::Lost`].
    pub fn lost(&self) -> Option<Lost> {
        self.0.lost
    }

    /// Whether the same call may succeed a little later without intervention.
    pub fn is_transient(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Unreachable | ErrorKind::TimedOut | ErrorKind::NoQuorum)
    }
}

/// For conversions that cannot fail.
impl From<std::convert::Infallible> for Error {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

impl From<Lost> for Error {
    fn from(lost: Lost) -> Self {
        let mut error = Error::new(ErrorKind::Lost, lost.reason.to_string());
        error.inner().lost = Some(lost);
        error.hint(
            "stop the protected work; what it wrote is safe only where the resource checks fencing tokens",
        )
    }
}

/// `{:#}` leaves out the verb, the lock and the store.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.0;
        if f.alternate() {
            return self.fmt_failure(f);
        }
        if let Some(verb) = inner.verb {
            f.write_str(verb)?;
        }
        if let Some(lock) = &inner.lock {
            write!(f, "{}`{lock}`", if inner.verb.is_some() { " " } else { "" })?;
        }
        if let Some(store) = &inner.store {
            let glue = if inner.verb.is_some() || inner.lock.is_some() { " on " } else { "" };
            write!(f, "{glue}{store}")?;
        }
        if inner.verb.is_some() || inner.lock.is_some() || inner.store.is_some() {
            f.write_str(": ")?;
        }
        self.fmt_failure(f)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        if let Some(hint) = &self.0.hint {
            write!(f, "; hint: {hint}")?;
        }
        if let Some(source) = &self.0.source {
            write!(f, "; caused by: {source}")?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

const _: () = assert!(size_of::<Error>() == size_of::<usize>());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_names_verb_lock_store_time_and_doubt() {
        let error = Error::new(ErrorKind::TimedOut, "no reply from node 2")
            .verb("renew")
            .lock(&LockName::new("a b").unwrap())
            .store("sqlite:x.db")
            .elapsed(Duration::from_millis(1500))
            .unknown();
        let expected = "renew `a b` on sqlite:x.db: no answer in time: no reply from node 2 (after 1.5s) (it may have taken effect)";
        assert_eq!(error.to_string(), expected);
        let short = "no answer in time: no reply from node 2 (after 1.5s) (it may have taken effect)";
        assert_eq!(format!("{error:#}"), short);
        assert!(error.is_transient());
    }

    #[test]
    fn the_layer_nearest_to_the_failure_names_the_node() {
        let error = Error::new(ErrorKind::Unreachable, "x").store("node 1").store("all").verb("a").verb("b");
        assert_eq!(error.to_string(), "a on node 1: store unreachable: x");
    }

    #[test]
    fn a_copy_is_whole_and_changes_alone() {
        let source = std::io::Error::other("deep");
        let error = Error::new(ErrorKind::Unreachable, "x").hint("h").source(source);
        let copy = error.clone().store("node 1").unknown();
        assert_eq!(
            (error.to_string(), error.outcome()),
            ("store unreachable: x".into(), Outcome::NotApplied)
        );
        assert_eq!((copy.hint_text(), copy.outcome()), (Some("h"), Outcome::Unknown));
        assert_eq!(StdError::source(&copy).map(ToString::to_string).as_deref(), Some("deep"));
        assert_eq!(copy.not_applied().outcome(), Outcome::NotApplied);
        assert_eq!(ErrorKind::NoQuorum.to_string(), "no quorum");
    }

    #[test]
    fn a_lost_lease_keeps_its_reason() {
        let lost = Lost { reason: crate::LostReason::MaxHold, certain: true };
        assert_eq!(Error::from(lost).lost(), Some(lost));
    }
}
