//! Verb, lock and store named in an error; the error of a request without an answer.

use std::{future::Future, time::Duration};

use crate::{Env, Error, ErrorKind, LockName, Result, env::show};

/// Names the verb, the lock and the store in an error, unless a layer below has named them.
pub trait Explain {
    /// Names all three.
    #[must_use]
    fn explain(self, verb: &'static str, name: &LockName, url: &str) -> Self;

    /// Names verb and store, for a verb that is not about one lock.
    #[must_use]
    fn explain_store(self, verb: &'static str, url: &str) -> Self;
}

impl Explain for Error {
    fn explain(self, verb: &'static str, name: &LockName, url: &str) -> Self {
        self.explain_store(verb, url).lock(name)
    }

    fn explain_store(self, verb: &'static str, url: &str) -> Self {
        self.verb(verb).store(url)
    }
}

impl<T> Explain for Result<T> {
    fn explain(self, verb: &'static str, name: &LockName, url: &str) -> Self {
        self.map_err(|error| error.explain(verb, name, url))
    }

    fn explain_store(self, verb: &'static str, url: &str) -> Self {
        self.map_err(|error| error.explain_store(verb, url))
    }
}

/// The error of a request that got no `answer` within `limit`. The outcome is that of its caller.
pub fn timed_out(answer: &str, limit: Duration) -> Error {
    // The rest of a wait is its limit, but for the time that the request has taken to leave.
    let limit = show(Duration::from_millis((limit.as_secs_f64() * 1000.0).round() as u64));
    Error::new(ErrorKind::TimedOut, format!("no {answer} within {limit}"))
        .hint("is the server overloaded, paused, or cut off?")
}

/// The output of a future that completes within `limit`.
///
/// # Errors
/// [`timed_out`]. The future is dropped then.
pub async fn in_time<F: Future>(env: &Env, limit: Duration, answer: &str, future: F) -> Result<F::Output> {
    env.within(limit, future).await.ok_or_else(|| timed_out(answer, limit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Virtual;

    #[test]
    fn the_layer_nearest_to_the_failure_names_the_node() {
        let name = LockName::new("a").unwrap();
        let named = Error::new(ErrorKind::Unreachable, "x").store("node 1").explain("claim", &name, "all");
        assert_eq!(named.to_string(), "claim `a` on node 1: store unreachable: x");
        let result: Result<()> = Err(Error::new(ErrorKind::Unreachable, "x"));
        assert_eq!(
            result.explain_store("list", "all").unwrap_err().to_string(),
            "list on all: store unreachable: x"
        );
    }

    #[test]
    fn a_future_that_never_completes_is_timed_out() {
        let world = Virtual::new(1);
        let (env, limit) = (world.env(), Duration::from_secs(1));
        world.block_on(async {
            let error = in_time(&env, limit, "answer", std::future::pending::<()>()).await.unwrap_err();
            assert_eq!(error.to_string(), "no answer in time: no answer within 1s");
            for (nanos, text) in
                [(1_999_999_594, "2s"), (999_600_000, "1s"), (49_999_400, "50ms"), (49_400_000, "49ms")]
            {
                let error = timed_out("answer", Duration::from_nanos(nanos)).to_string();
                assert!(error.ends_with(&format!(" within {text}")), "{error}");
            }
            assert_eq!(in_time(&env, limit, "answer", async { 1 }).await.unwrap(), 1);
        });
    }
}
