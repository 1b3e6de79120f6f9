//! [`Trace`]: one `tracing` event per request.

use std::{fmt, sync::Arc};

use super::Verb;
use crate::{
    BoxFuture, Capability, Claim, Contender, Env, Interest, LockName, Moment, Release, Renewal, Result,
    ServerInfo, Snapshot, Standing, Store, Wake,
};

/// Writes each request to a store and its answer at level `TRACE`, with the time it took.
#[derive(Debug)]
pub struct Trace {
    inner: Arc<dyn Store>,
    env: Env,
}

impl Trace {
    /// Wraps `inner`.
    pub fn new(inner: Arc<dyn Store>, env: Env) -> Self {
        Trace { inner, env }
    }

    async fn around<T>(
        &self,
        verb: Verb,
        lock: &(dyn fmt::Display + Sync),
        show: fn(&T) -> &dyn fmt::Debug,
        call: BoxFuture<'_, Result<T>>,
    ) -> Result<T> {
        let begin = self.env.now();
        let answer = call.await;
        self.write(verb, lock, begin, &answer.as_ref().map(show));
        answer
    }

    async fn renew_around(&self, claims: &[Claim]) -> Vec<Result<Renewal>> {
        let begin = self.env.now();
        let answers = self.inner.renew(claims).await;
        for (claim, answer) in claims.iter().zip(&answers) {
            self.write(Verb::Renew, &claim.name, begin, answer);
        }
        answers
    }

    fn write(&self, verb: Verb, lock: &dyn fmt::Display, begin: Moment, answer: &dyn fmt::Debug) {
        let micros = self.env.now().since(begin).as_micros() as u64;
        tracing::trace!(store = self.inner.url(), verb = verb.label(), %lock, micros, ?answer);
    }
}

store_around!(Trace);
