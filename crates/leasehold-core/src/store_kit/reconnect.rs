//! [`Reconnect`]: one connection, and the next one when it has ended.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::Mutex as AsyncMutex;

use super::Locked;
use crate::{Env, Error, Moment, Result, Revalidations, decide::backoff};

/// The first pause after a failed attempt; each further failure doubles it.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// The longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// A connection of a store.
pub trait Connection: Send + Sync + 'static {
    /// Whether it can carry another request, as far as is known.
    fn is_open(&self) -> bool;

    /// Ends it: it was found broken, or the client is closed. Requests under way may still be answered.
    fn end(&self);
}

/// One connection that is made when it is needed.
///
/// One caller connects, the others wait for it. After a failure no attempt is made for a while: callers get the last
/// error at once. Each connection but the first raises the client's [`Revalidations`], for the server may have
/// restarted without its data.
pub struct Reconnect<C> {
    env: Env,
    revalidations: Revalidations,
    live: Locked<Live<C>>,
    failures: AsyncMutex<Failures>,
    was_live: AtomicBool,
}

struct Live<C> {
    connection: Option<Arc<C>>,
    closed: Option<Error>,
}

#[derive(Default)]
struct Failures {
    count: u32,
    last: Option<(Moment, Error)>,
}

impl<C: Connection> Reconnect<C> {
    /// Without a connection yet.
    pub fn new(env: Env, revalidations: Revalidations) -> Self {
        let live = Locked::new(Live { connection: None, closed: None });
        Reconnect {
            env,
            revalidations,
            live,
            failures: AsyncMutex::default(),
            was_live: AtomicBool::new(false),
        }
    }

    /// The open connection, if there is one.
    pub fn current(&self) -> Option<Arc<C>> {
        self.live.lock().connection.clone().filter(|connection| connection.is_open())
    }

    /// The open connection, or the one that `connect` makes.
    ///
    /// # Errors
    /// Those of `connect`; its last one during the pause after it; the error of [`Reconnect::close`]. The caller has
    /// sent nothing then.
    ///
    /// # Cancel safety
    /// Dropping it gives up an attempt of its own, which counts as none.
    pub async fn get<F>(&self, connect: impl FnOnce() -> F) -> Result<Arc<C>>
    where
        F: Future<Output = Result<C>>,
    {
        if let Some(connection) = self.current() {
            return Ok(connection);
        }
        let mut failures = self.failures.lock().await;
        if let Some(connection) = self.current() {
            return Ok(connection);
        }
        self.check_open()?;
        if let Some((until, error)) = &failures.last
            && self.env.now() < *until
        {
            return Err(error.clone());
        }
        match connect().await {
            Ok(connection) => {
                *failures = Failures::default();
                self.connected(connection)
            }
            Err(error) => {
                failures.add(&self.env, &error);
                Err(error)
            }
        }
    }

    fn connected(&self, connection: C) -> Result<Arc<C>> {
        let connection = Arc::new(connection);
        let replaced = {
            let mut live = self.live.lock();
            if let Some(error) = live.closed.clone() {
                drop(live);
                connection.end();
                return Err(error);
            }
            live.connection.replace(connection.clone())
        };
        replaced.iter().for_each(|replaced| replaced.end());
        if self.was_live.swap(true, Ordering::Relaxed) {
            self.revalidations.raise_sparingly(&self.env);
        }
        Ok(connection)
    }

    /// Ends a connection that was found broken; the next caller makes another one. Whether it was the current one.
    pub fn forget(&self, connection: &Arc<C>) -> bool {
        connection.end();
        let mut live = self.live.lock();
        let is_current = live.connection.as_ref().is_some_and(|current| Arc::ptr_eq(current, connection));
        let ended = if is_current { live.connection.take() } else { None };
        drop(live);
        ended.is_some()
    }

    /// Ends the connection and makes no other one: callers get `error`.
    pub fn close(&self, error: &Error) {
        let ended = {
            let mut live = self.live.lock();
            live.closed.get_or_insert_with(|| error.clone());
            live.connection.take()
        };
        ended.iter().for_each(|connection| connection.end());
    }

    fn check_open(&self) -> Result<()> {
        self.live.lock().closed.clone().map_or(Ok(()), Err)
    }
}

impl Failures {
    fn add(&mut self, env: &Env, error: &Error) {
        let fraction = env.jitter(Duration::from_secs(1)).as_secs_f64();
        let pause = backoff::delay(self.count, PAUSE_MIN, PAUSE_MAX, fraction);
        self.count = self.count.saturating_add(1);
        // During the pause nothing at all is sent.
        self.last = Some((env.now() + pause, error.clone().not_applied()));
    }
}

impl<C> fmt::Debug for Reconnect<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnect").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::{super::tests::Line, *};
    use crate::{ErrorKind, env::Virtual};

    fn closed() -> Error {
        Error::new(ErrorKind::Closed, "x")
    }

    async fn refuse(attempts: &AtomicU32) -> Result<Line> {
        attempts.fetch_add(1, Ordering::Relaxed);
        Err(Error::new(ErrorKind::Unreachable, "refused").hint("is it running?").unknown())
    }

    #[test]
    fn one_caller_connects_and_the_others_wait_for_it() {
        let world = Virtual::new(1);
        let (env, attempts) = (world.env(), AtomicU32::new(0));
        let reconnect = Reconnect::new(env.clone(), Revalidations::default());
        let slow = || async {
            attempts.fetch_add(1, Ordering::Relaxed);
            env.sleep(Duration::from_secs(1)).await;
            Ok(Line::default())
        };
        world.block_on(async {
            let (one, two) = tokio::join!(reconnect.get(slow), reconnect.get(slow));
            assert!(Arc::ptr_eq(&one.unwrap(), &two.unwrap()));
            assert_eq!(attempts.load(Ordering::Relaxed), 1);
        });
    }

    #[test]
    fn a_failure_is_answered_again_until_its_pause_is_over() {
        let world = Virtual::new(1);
        let (env, attempts) = (world.env(), AtomicU32::new(0));
        let reconnect = Reconnect::<Line>::new(env.clone(), Revalidations::default());
        world.block_on(async {
            assert_eq!(
                reconnect.get(|| refuse(&attempts)).await.unwrap_err().outcome(),
                crate::Outcome::Unknown
            );
            let again = reconnect.get(|| refuse(&attempts)).await.unwrap_err();
            assert_eq!(again.to_string(), "store unreachable: refused", "nothing was sent now");
            assert_eq!((again.hint_text(), attempts.load(Ordering::Relaxed)), (Some("is it running?"), 1));
            for expected in 2..20 {
                env.sleep(PAUSE_MAX).await;
                assert!(reconnect.get(|| refuse(&attempts)).await.is_err());
                assert_eq!(attempts.load(Ordering::Relaxed), expected);
            }
        });
    }

    #[test]
    fn a_broken_connection_is_replaced_and_holds_are_revalidated() {
        let world = Virtual::new(1);
        let revalidations = Revalidations::default();
        let reconnect = Reconnect::new(world.env(), revalidations.clone());
        let connect = || async { Ok(Line::default()) };
        world.block_on(async {
            let mut seen = 0;
            let first = reconnect.get(connect).await.unwrap();
            assert!(reconnect.forget(&first) && !reconnect.forget(&first) && !first.is_open());
            let second = reconnect.get(connect).await.unwrap();
            revalidations.after(&mut seen).await;
            assert_eq!(seen, 1);
            assert!(!reconnect.forget(&first), "another one is current");
            second.end();
            assert!(reconnect.current().is_none());
            assert!(!Arc::ptr_eq(&reconnect.get(connect).await.unwrap(), &second));
        });
    }

    #[test]
    fn a_closed_one_connects_no_more_even_during_an_attempt() {
        let world = Virtual::new(1);
        let env = world.env();
        let reconnect = Reconnect::new(env.clone(), Revalidations::default());
        world.block_on(async {
            let slow = || async {
                env.sleep(Duration::from_secs(1)).await;
                Ok(Line::default())
            };
            let (got, ()) = tokio::join!(reconnect.get(slow), async { reconnect.close(&closed()) });
            assert_eq!(got.map(drop).unwrap_err().kind(), ErrorKind::Closed);
            assert_eq!(reconnect.get(slow).await.map(drop).unwrap_err().kind(), ErrorKind::Closed);
        });
    }
}
