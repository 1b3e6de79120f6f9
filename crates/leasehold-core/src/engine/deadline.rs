//! The deadline of a granted claim.

use std::time::Duration;

use crate::{Moment, Store, decide::validity};

/// The deadline of a hold that was granted or renewed by a request sent at `sent`.
pub(super) fn deadline(store: &dyn Store, sent: Moment, valid_for: Duration) -> Moment {
    validity::deadline(sent, valid_for, store.capability().drift)
}
