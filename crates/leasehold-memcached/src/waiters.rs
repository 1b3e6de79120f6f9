//! A wait that nothing ends: Memcached tells nobody of anything.

use leasehold_core::{BoxFuture, Result, Wake};

pub(crate) struct NeverWakes;

impl Wake for NeverWakes {
    fn wait(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(std::future::pending())
    }
}
