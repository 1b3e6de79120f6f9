//! [`Case`]: one check of one promise, and what a store must be able to do for it to apply.

use leasehold_core::{BoxFuture, Capability, Fencing, Liveness};

use crate::{CaseResult, Test};

/// A capability without which a case does not apply.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    /// The missing requirement in words: "it needs a fair queue".
    pub words: &'static str,
    /// Whether the store has it.
    pub met: fn(&Capability) -> bool,
}

impl Need {
    pub(crate) const SHARED: Need = Need { words: "shared locks", met: |it| it.shared };
    pub(crate) const PERMITS: Need = Need { words: "permits", met: |it| it.permits > 0 };
    pub(crate) const MANY_PERMITS: Need =
        Need { words: "any number of permits in one claim", met: |it| it.permits == u32::MAX };
    pub(crate) const FEW_PERMITS: Need =
        Need { words: "a bound on the permits of one claim", met: |it| (1..u32::MAX).contains(&it.permits) };
    pub(crate) const NO_SHARED: Need = Need { words: "the absence of shared locks", met: |it| !it.shared };
    pub(crate) const NO_PERMITS: Need = Need { words: "the absence of permits", met: |it| it.permits == 0 };
    pub(crate) const FIFO: Need = Need { words: "a fair queue", met: |it| it.fifo };
    pub(crate) const NO_FIFO: Need = Need { words: "the absence of a fair queue", met: |it| !it.fifo };
    pub(crate) const WAITERS: Need = Need { words: "waiters that are seen", met: |it| it.waiters };
    pub(crate) const NO_WAITERS: Need =
        Need { words: "the absence of waiters that are seen", met: |it| !it.waiters };
    pub(crate) const WAKES: Need = Need { words: "wake-ups", met: |it| it.wakes };
    pub(crate) const NO_WAKES: Need = Need { words: "the absence of wake-ups", met: |it| !it.wakes };
    pub(crate) const SEEN_OR_WOKEN: Need =
        Need { words: "waiters that are seen or woken", met: |it| it.waiters || it.wakes };
    pub(crate) const FENCING: Need = Need { words: "fencing tokens", met: |it| it.fencing != Fencing::None };
    pub(crate) const DURABLE: Need =
        Need { words: "durable fencing", met: |it| it.fencing == Fencing::Durable };
    pub(crate) const NO_FENCING: Need =
        Need { words: "the absence of fencing tokens", met: |it| it.fencing == Fencing::None };
    pub(crate) const DETACH: Need = Need { words: "holds that outlive their client", met: |it| it.detach };
    pub(crate) const NO_DETACH: Need =
        Need { words: "the absence of holds that outlive their client", met: |it| !it.detach };
    pub(crate) const NOTES: Need = Need { words: "notes", met: |it| it.notes };
    pub(crate) const LISTS: Need = Need { words: "locks that are listed by name", met: |it| it.lists };
    pub(crate) const NO_LISTS: Need =
        Need { words: "the absence of locks that are listed by name", met: |it| !it.lists };
    pub(crate) const LOCK_DELAY: Need = Need { words: "a lock-delay", met: |it| it.lock_delay };
    pub(crate) const NO_LOCK_DELAY: Need =
        Need { words: "the absence of a lock-delay", met: |it| !it.lock_delay };
    pub(crate) const SEES_CLOSE: Need =
        Need { words: "a store that knows its clients", met: |it| it.liveness != Liveness::Ttl };
}

/// One check of one promise.
#[derive(Clone, Copy)]
pub struct Case {
    /// The file: what is promised.
    pub promise: &'static str,
    /// The function: the part of the promise that is checked.
    pub name: &'static str,
    /// The required capabilities.
    pub needs: &'static [Need],
    /// Runs it.
    pub run: fn(Test) -> BoxFuture<'static, CaseResult>,
}

impl Case {
    /// The first missing requirement in words; `None` when the case applies to the store.
    pub fn lacking(&self, capability: &Capability) -> Option<String> {
        let missing = self.needs.iter().filter(|need| !(need.met)(capability)).map(|need| need.words);
        let missing: Vec<_> = missing.collect();
        (!missing.is_empty())
            .then(|| format!("not applicable to {}: needs {}", capability.scheme, missing.join(", ")))
    }

    /// `promise::name`.
    pub fn path(&self) -> String {
        format!("{}::{}", self.promise, self.name)
    }
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.path())
    }
}

/// Lists the cases of a promise: `cases![name, other [SHARED, FIFO]]` in the file that is called like the promise.
macro_rules! cases {
    ($($name:ident $([$($need:ident),+])?),+ $(,)?) => {
        pub(crate) fn cases() -> Vec<$crate::Case> {
            let promise = module_path!().rsplit("::").next().unwrap_or_default();
            vec![$($crate::Case {
                promise,
                name: stringify!($name),
                needs: &[$($($crate::Need::$need),+)?],
                run: |test| Box::pin(async move { $name(&test, $crate::context::Setup::of(&test).await?).await }),
            }),+]
        }
    };
}
pub(crate) use cases;
