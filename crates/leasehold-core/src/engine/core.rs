//! [`Core`]: one client, as its handles, its holds and its watchdog share it.

use std::{
    future::{Future, poll_fn},
    ops::Deref,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::sync::Semaphore;

use super::{
    fairness::{Streaks, hands_over},
    local_queue::LocalQueue,
    registry::Registry,
    telemetry::UsualKeys,
};
use crate::{
    Claim, Env, Error, LockName, Moment, Release, Result, Store,
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
    /// `None` where the store hands over in order.
    pub(super) streaks: Option<Streaks>,
    pub(super) releases: Semaphore,
    pub(super) groups: OnceLock<GroupRule>,
    pub(super) usual_keys: UsualKeys,
}

/// The value of the label `lock.group` for a name.
pub(super) type GroupRule = Box<dyn Fn(&LockName) -> String + Send + Sync>;

/// A client in use. The watchdog ends after the drop.
pub(super) struct Handle(pub(super) Arc<Core>);

impl Core {
    pub(super) fn new(store: Arc<dyn Store>, env: Env) -> Arc<Core> {
        Arc::new(Core {
            usual_keys: UsualKeys::new(store.capability().scheme),
            streaks: (!hands_over(store.capability())).then(Streaks::default),
            store,
            env,
            registry: Arc::default(),
            local: LocalQueue::default(),
            releases: Semaphore::new(RELEASES_MAX),
            groups: OnceLock::new(),
        })
    }

    pub(super) fn scheme(&self) -> &'static str {
        self.store.capability().scheme
    }

    /// The group of a name in the metrics; empty without a rule.
    pub(super) fn group(&self, name: &LockName) -> String {
        self.groups.get().map_or_else(String::new, |rule| rule(name))
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

    /// Asks the store to end a hold, and tells this client's next task as soon as the request is on its way: its claim
    /// follows on the same connection, a round trip before the store's wake-up.
    pub(super) async fn release(&self, claim: &Claim, limit: Duration) -> Result<Release> {
        let mut request = self.store.release(claim);
        let mut is_sent = false;
        let request = poll_fn(|context| {
            let answer = request.as_mut().poll(context);
            if !std::mem::replace(&mut is_sent, true) {
                self.local.freed(&claim.name);
            }
            answer
        });
        self.ask(limit, request).await
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
