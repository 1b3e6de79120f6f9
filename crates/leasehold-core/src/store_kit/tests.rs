//! A connection for the tests of this module.

use std::sync::atomic::{AtomicBool, Ordering};

use super::Connection;

/// A connection that knows whether it was ended.
#[derive(Default, Debug)]
pub(super) struct Line(AtomicBool);

impl Connection for Line {
    fn is_open(&self) -> bool {
        !self.0.load(Ordering::Acquire)
    }

    fn end(&self) {
        self.0.store(true, Ordering::Release);
    }
}
