//! Points at which a shuttle test of the engine may let another thread run first.

use std::cell::Cell;

thread_local! {
    static EXPLORING: Cell<bool> = const { Cell::new(false) };
    static FORGETFUL: Cell<bool> = const { Cell::new(false) };
}

/// Begins or ends the exploration of schedules on this thread.
pub(crate) fn explore(exploring: bool) {
    EXPLORING.set(exploring);
}

/// Makes notifiers forget a wake-up without a waiter, for the control of those tests.
pub(crate) fn forget_wake_ups(forgetful: bool) {
    FORGETFUL.set(forgetful);
}

/// Lets another thread run first, if the scheduler chooses so; whether schedules are explored.
pub(crate) fn others_first() -> bool {
    let exploring = EXPLORING.get();
    if exploring {
        shuttle::thread::yield_now();
    }
    exploring
}

/// Whether notifiers forget a wake-up without a waiter.
pub(crate) fn is_forgetful() -> bool {
    FORGETFUL.get()
}
