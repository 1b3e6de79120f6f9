//! [`Core`]: one client, as its handles, its holds and its watchdog share it.

use std::{future::Future, ops::Deref, sync::Arc, time::Duration};

use tokio::sync::Semaphore;

use super::{local_queue::LocalQueue, registry::Registry};
use crate::{
    Env, Error, LockName, Moment, Result, Store,
    decide::validity,
    store_kit::{Explain, in_time},
};

/// How many releases may be under way at once, so that renewals find room at the store.
const RELEASES_MAX: usize = 256;

pub(super) struct Core {
    pub(super) store: Arc<dyn Store>,
    pub(super) env: Env,
    pub(super) registry: Arc<Registry>,
    pub(super) local: LocalQueue,
    pub(super) releases: Semaphore,
}

/// A client in use. The watchdog ends after the drop.
pub(super) struct Handle(pub(super) Arc<Core>);

impl Core {
    pub(super) fn new(store: Arc<dyn Store>, env: Env) -> Arc<Core> {
        let (registry, local) = (Arc::default(), LocalQueue::default());
        Arc::new(Core { store, env, registry, local, releases: Semaphore::new(RELEASES_MAX) })
    }

    pub(super) fn scheme(&self) -> &'static str {
        self.store.capability().scheme
    }

    /// The deadline of a hold that was granted or renewed by a request sent at `sent`.
    pub(super) fn deadline(&self, sent: Moment, valid_for: Duration) -> Moment {
        validity::deadline(sent, valid_for, self.store.capability().drift)
    }

    /// Names verb, lock and store in an error.
    pub(super) fn explain<T: Explain>(&self, answer: T, verb: &'static str, name: &LockName) -> T {
        answer.explain(verb, name, self.store.url())
    }

    /// The answer of the store, in the process of this client.
    pub(super) async fn request<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        self.env.check_process()?;
        call.await
    }

    /// Waits for the store's answer for at most `limit`: a store that hangs blocks nothing for ever.
    pub(super) async fn ask<T>(&self, limit: Duration, call: impl Future<Output = Result<T>>) -> Result<T> {
        in_time(&self.env, limit, "answer of the store", call).await.map_err(Error::unknown)?
    }
}

impl Deref for Handle {
    type Target = Core;

    fn deref(&self) -> &Core {
        &self.0
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.env.check_process().is_ok() {
            self.registry.finish();
        }
    }
}
