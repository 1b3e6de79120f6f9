//! The deadline of a granted claim.

use std::time::Duration;

use crate::{Drift, Env, Mechanism, Moment, Store, decide::validity};

/// The deadline of a hold that was granted or renewed by a request sent at `sent`.
pub(super) fn deadline(env: &Env, store: &dyn Store, sent: Moment, valid_for: Duration) -> Moment {
    let from = if env.keeps(Mechanism::DeadlineFromSendTime) { sent } else { env.now() };
    let drift = if env.keeps(Mechanism::Drift) { store.capability().drift } else { Drift::SAME_CLOCK };
    validity::deadline(from, valid_for, drift)
}
