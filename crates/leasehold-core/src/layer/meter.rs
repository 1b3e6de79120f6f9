//! [`Meter`]: one histogram per store, by verb and outcome.

use std::{fmt, sync::Arc};

use metrics::histogram;

use super::Verb;
use crate::{
    BoxFuture, Capability, Claim, Contender, Env, Interest, LockName, Moment, Release, Renewal, Result,
    ServerInfo, Snapshot, Standing, Store, Wake,
};

/// Records `lock.store.duration`, in seconds, with the labels `lock.backend`, `verb` and `outcome` (`ok` or `error`).
#[derive(Debug)]
pub struct Meter {
    inner: Arc<dyn Store>,
    env: Env,
}

impl Meter {
    /// Wraps `inner`.
    pub fn new(inner: Arc<dyn Store>, env: Env) -> Self {
        Meter { inner, env }
    }

    fn record(&self, verb: Verb, begin: Moment, ok: bool) {
        let outcome = if ok { "ok" } else { "error" };
        let scheme = self.inner.capability().scheme;
        histogram!("lock.store.duration", "lock.backend" => scheme, "verb" => verb.label(), "outcome" => outcome)
            .record(self.env.now().since(begin).as_secs_f64());
    }

    async fn around<T>(
        &self,
        verb: Verb,
        _lock: &(dyn fmt::Display + Sync),
        _show: fn(&T) -> &dyn fmt::Debug,
        call: BoxFuture<'_, Result<T>>,
    ) -> Result<T> {
        let begin = self.env.now();
        let answer = call.await;
        self.record(verb, begin, answer.is_ok());
        answer
    }

    async fn renew_around(&self, claims: &[Claim]) -> Vec<Result<Renewal>> {
        let begin = self.env.now();
        let answers = self.inner.renew(claims).await;
        self.record(Verb::Renew, begin, answers.iter().all(Result::is_ok));
        answers
    }
}

store_around!(Meter);
