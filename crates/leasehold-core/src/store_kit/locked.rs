//! [`Locked`]: a mutex without poisoning.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A mutex that ignores poisoning: its users keep the value whole between any two statements.
///
/// In the shuttle tests of this crate each `lock` is a point at which another thread may run first.
#[derive(Default, Debug)]
pub struct Locked<T>(Mutex<T>);

impl<T> Locked<T> {
    /// A mutex around a value.
    pub const fn new(value: T) -> Self {
        Locked(Mutex::new(value))
    }

    /// Locks the mutex.
    #[cfg(not(test))]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the mutex.
    #[cfg(test)]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        while super::schedule_point::others_first() {
            // All threads of such a test are one: it must not block.
            if let Ok(guard) = self.0.try_lock() {
                return guard;
            }
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value, which nobody else can have locked.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the mutex unless another thread has it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(std::sync::TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(std::sync::TryLockError::WouldBlock) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_panic_under_the_lock_does_not_poison_it() {
        let locked = Arc::new(Locked::new(1));
        let other = locked.clone();
        let panicked = std::panic::catch_unwind(move || {
            let _guard = other.lock();
            panic!("on purpose");
        });
        assert!(panicked.is_err());
        assert_eq!(locked.try_lock().map(|guard| *guard), Some(1));
        *locked.lock() = 2;
        let held = locked.lock();
        assert!(locked.try_lock().is_none());
        assert_eq!(*held, 2);
    }
}
