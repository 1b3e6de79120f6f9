//! [`Sequencers`]: the newest sequencer of each lock, for a server that asks no store.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use leasehold_core::{Error, ErrorKind, FencingToken, LockName, Mode, Result, Sequencer};

use super::Stale;

/// The newest sequencers that a server has seen, in memory: it refuses the older ones of the same lock, without a store
/// (Burrows, "The Chubby lock service", 2006, section 2.4: "against the most recent sequencer that the server has
/// observed"). A lock is remembered for ever: forgetting one would let the stale in.
///
/// An exclusive holder makes every earlier one stale; a reader makes only earlier writers stale, because readers
/// hold together, each with a token of its own.
///
/// ```
/// use leasehold::{Sequencer, fencing::Sequencers};
/// let seen = Sequencers::new();
/// let of = |text: &str| text.parse::<Sequencer>().unwrap();
/// seen.admit(&of("leasehold:x:17:billing/42")).unwrap();
/// seen.admit(&of("leasehold:x:18:billing/42")).unwrap();
/// assert!(seen.admit(&of("leasehold:x:17:billing/42")).is_err());     // its lease was lost before 18 was granted
/// seen.admit(&of("leasehold:x:17:billing/43")).unwrap();              // another lock
/// ```
#[derive(Default, Debug)]
pub struct Sequencers(Mutex<HashMap<LockName, Marks>>);

/// The highest tokens seen of one lock.
#[derive(Clone, Copy, Default, Debug)]
struct Marks {
    exclusive: Option<FencingToken>,
    any: Option<FencingToken>,
}

impl Sequencers {
    /// Nobody has been seen yet.
    pub fn new() -> Self {
        Sequencers::default()
    }

    /// Takes a sequencer that came with a request: those before it are too late from now on. Call it with the first
    /// request of a holder before anything is read for it, and with each write.
    ///
    /// # Errors
    /// [`ErrorKind::Stale`] when a later holder was here: do nothing for the request. [`ErrorKind::Unsupported`] for a
    /// sequencer of a semaphore of several places, whose holders are valid together in any order: ask the store.
    pub fn admit(&self, sequencer: &Sequencer) -> Result<()> {
        let shares = match sequencer.mode() {
            Mode::Exclusive | Mode::Permits { of: 1, .. } => false,
            Mode::Shared => true,
            _ => return Err(unordered(sequencer)),
        };
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let marks = seen.entry(sequencer.name().clone()).or_default();
        let presented = sequencer.fencing_token();
        match if shares { marks.exclusive } else { marks.any } {
            Some(highest) if presented < highest => {
                Err(Error::from(Stale { presented, highest }).lock(sequencer.name()))
            }
            _ => {
                marks.any = marks.any.max(Some(presented));
                if !shares {
                    marks.exclusive = Some(presented);
                }
                Ok(())
            }
        }
    }
}

fn unordered(sequencer: &Sequencer) -> Error {
    let message = "the holders of a semaphore are valid together: none of them makes another too late";
    Error::new(ErrorKind::Unsupported, message)
        .lock(sequencer.name())
        .hint("ask the store: `client.check(&sequencer)` or `leasehold check`")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The outcome for sequencers that come in this order.
    fn admitted(texts: &[&str]) -> Vec<Option<ErrorKind>> {
        let seen = Sequencers::new();
        let admit = |text: &&str| seen.admit(&text.parse().unwrap()).err().map(|error| error.kind());
        texts.iter().map(admit).collect()
    }

    const STALE: Option<ErrorKind> = Some(ErrorKind::Stale);

    #[test]
    fn a_later_holder_makes_those_before_too_late() {
        let texts =
            ["leasehold:x:5:a", "leasehold:x:5:a", "leasehold:x:7:a", "leasehold:x:5:a", "leasehold:x:7:a"];
        assert_eq!(admitted(&texts), [None, None, None, STALE, None]);
    }

    #[test]
    fn readers_are_valid_together_and_writers_are_not() {
        let texts =
            ["leasehold:s:6:a", "leasehold:s:5:a", "leasehold:x:4:a", "leasehold:x:8:a", "leasehold:s:6:a"];
        assert_eq!(admitted(&texts), [None, None, STALE, None, STALE]);
        assert_eq!(admitted(&["leasehold:x:8:a", "leasehold:s:9:a", "leasehold:x:8:a"]), [None, None, STALE]);
    }

    #[test]
    fn locks_do_not_touch_each_other_and_semaphores_are_not_judged() {
        assert_eq!(admitted(&["leasehold:x:8:a", "leasehold:x:7:b", "leasehold:x:7:a"]), [None, None, STALE]);
        assert_eq!(admitted(&["leasehold:p1/3:8:a"]), [Some(ErrorKind::Unsupported)]);
        assert_eq!(admitted(&["leasehold:p1/1:8:a", "leasehold:p1/1:7:a"]), [None, STALE]);
    }

    /// The control: a server that only looks at the form of what it is handed takes the late write.
    #[test]
    fn a_server_that_believes_what_it_is_handed_takes_the_late_write() {
        let believes = |text: &str| text.parse::<Sequencer>().is_ok();
        let seen = Sequencers::new();
        let (old, new) = ("leasehold:x:17:stock", "leasehold:x:18:stock");
        seen.admit(&new.parse().unwrap()).unwrap();
        assert!(believes(old));
        assert!(seen.admit(&old.parse().unwrap()).is_err());
    }
}
