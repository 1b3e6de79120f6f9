//! [`RuntimeConnections`]: one connection per tokio runtime.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    hash::BuildHasherDefault,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    runtime::{Handle, Id},
    sync::oneshot,
};

use super::{Connection, Locked, Reconnect};
use crate::{Env, Error, ErrorKind, Result, Revalidations, claim::ClaimIdHasher};

/// How many runtimes have a connection at the same time; the least recently used one loses its own to a further one.
const RUNTIMES_MAX: usize = 64;

/// The connections to one server: each tokio runtime that calls has one of its own, which it drives itself.
///
/// So a caller's requests take no detour over another thread, and the watchdog, which lives on the background thread,
/// renews while the caller's runtime is blocked. The end of a runtime removes its connection: the handle of a runtime
/// is not kept, for it keeps descriptors open.
pub struct RuntimeConnections<C>(Arc<Shared<C>>);

struct Shared<C> {
    env: Env,
    revalidations: Revalidations,
    state: Locked<State<C>>,
    uses: AtomicU64,
}

struct State<C> {
    by_runtime: HashMap<Id, Arc<Entry<C>>, BuildHasherDefault<ClaimIdHasher>>,
    closed: Option<Error>,
}

struct Entry<C> {
    reconnect: Reconnect<C>,
    /// A counter that grows with each use of any entry.
    used: AtomicU64,
    /// Ends the task that notices the end of the runtime.
    _sentinel: oneshot::Sender<()>,
}

impl<C: Connection> RuntimeConnections<C> {
    /// Without connections yet.
    pub fn new(env: Env, revalidations: Revalidations) -> Self {
        let state = Locked::new(State { by_runtime: HashMap::default(), closed: None });
        RuntimeConnections(Arc::new(Shared { env, revalidations, state, uses: AtomicU64::new(0) }))
    }

    /// The open connection of the calling runtime, if there is one.
    pub fn current(&self) -> Option<Arc<C>> {
        let id = Handle::try_current().ok()?.id();
        let entry = self.0.state.lock().by_runtime.get(&id).cloned()?;
        entry.reconnect.current()
    }

    /// The open connection of the calling runtime, or the one that `connect` makes, as a task of this runtime.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] outside of a runtime; [`ErrorKind::Unreachable`] when `connect` panics, as without I/O in
    /// this runtime; otherwise as [`Reconnect::get`].
    ///
    /// # Cancel safety
    /// As [`Reconnect::get`].
    pub async fn get<F>(&self, connect: impl FnOnce() -> F) -> Result<Arc<C>>
    where
        F: Future<Output = Result<C>> + Send + 'static,
    {
        let handle = Handle::try_current().map_err(|_| {
            Error::new(ErrorKind::Invalid, "the store is called outside of a tokio runtime")
                .hint("use the blocking methods, or call it from a task")
        })?;
        let entry = self.entry(&handle)?;
        let spawned = move || async move {
            handle.spawn(connect()).await.map_err(|source| {
                Error::new(ErrorKind::Unreachable, "the runtime cannot connect: is its I/O enabled?")
                    .source(source)
            })?
        };
        entry.reconnect.get(spawned).await
    }

    fn entry(&self, handle: &Handle) -> Result<Arc<Entry<C>>> {
        let known = self.0.state.lock().by_runtime.get(&handle.id()).cloned();
        let entry = match known {
            Some(entry) => entry,
            None => self.enter(handle)?,
        };
        entry.used.store(self.0.uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        Ok(entry)
    }

    fn enter(&self, handle: &Handle) -> Result<Arc<Entry<C>>> {
        // Not under the lock: a runtime that has ended drops the task of the new entry at once, which locks, too.
        let new = self.0.new_entry(handle);
        let mut evicted = None;
        let entry = {
            let mut state = self.0.state.lock();
            if let Some(error) = &state.closed {
                return Err(error.clone());
            }
            if state.by_runtime.len() >= RUNTIMES_MAX {
                evicted = state.remove_oldest();
            }
            state.by_runtime.entry(handle.id()).or_insert(new).clone()
        };
        evicted.iter().for_each(|entry| entry.end());
        Ok(entry)
    }

    /// Ends a connection that was found broken; its runtime makes another one when it calls next. Whether it was the
    /// current one of any runtime.
    pub fn forget(&self, connection: &Arc<C>) -> bool {
        let entries: Vec<_> = self.0.state.lock().by_runtime.values().cloned().collect();
        entries.iter().any(|entry| entry.reconnect.forget(connection))
    }

    /// Ends all connections and makes no other one: callers get `error`.
    pub fn close(&self, error: &Error) {
        let entries = {
            let mut state = self.0.state.lock();
            state.closed.get_or_insert_with(|| error.clone());
            std::mem::take(&mut state.by_runtime)
        };
        entries.values().for_each(|entry| entry.reconnect.close(error));
    }
}

impl<C: Connection> Entry<C> {
    /// Ends the connection.
    fn end(&self) {
        if let Some(connection) = self.reconnect.current() {
            self.reconnect.forget(&connection);
        }
    }
}

impl<C: Connection> State<C> {
    fn remove_oldest(&mut self) -> Option<Arc<Entry<C>>> {
        let used = |entry: &Arc<Entry<C>>| entry.used.load(Ordering::Relaxed);
        let oldest = self.by_runtime.iter().min_by_key(|(_, entry)| used(entry)).map(|(id, _)| *id)?;
        self.by_runtime.remove(&oldest)
    }
}

impl<C: Connection> Shared<C> {
    /// A new entry, and a task of the runtime that is dropped with the runtime and then removes the entry.
    fn new_entry(self: &Arc<Self>, handle: &Handle) -> Arc<Entry<C>> {
        let (sentinel, ended) = oneshot::channel::<()>();
        let guard = EndOfRuntime { shared: Arc::downgrade(self), id: handle.id() };
        handle.spawn(async move {
            // Completes when the entry is gone.
            let _ = ended.await;
            guard.disarm();
        });
        let reconnect = Reconnect::new(self.env.clone(), self.revalidations.clone());
        Arc::new(Entry { reconnect, used: AtomicU64::new(0), _sentinel: sentinel })
    }
}

/// Removes the entry of a runtime when the runtime drops its tasks.
struct EndOfRuntime<C: Connection> {
    shared: Weak<Shared<C>>,
    id: Id,
}

impl<C: Connection> EndOfRuntime<C> {
    fn disarm(mut self) {
        self.shared = Weak::new();
    }
}

impl<C: Connection> Drop for EndOfRuntime<C> {
    fn drop(&mut self) {
        let Some(shared) = self.shared.upgrade() else { return };
        let removed = shared.state.lock().by_runtime.remove(&self.id);
        removed.iter().for_each(|entry| entry.end());
    }
}

impl<C> fmt::Debug for RuntimeConnections<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuntimeConnections").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::{Builder, Runtime};

    use super::{super::tests::Line, *};
    use crate::env::Virtual;

    fn connections() -> RuntimeConnections<Line> {
        RuntimeConnections::new(Virtual::new(1).env(), Revalidations::default())
    }

    fn runtime() -> Runtime {
        Builder::new_current_thread().build().unwrap()
    }

    fn get(connections: &RuntimeConnections<Line>, runtime: &Runtime) -> Result<Arc<Line>> {
        runtime.block_on(connections.get(|| async { Ok(Line::default()) }))
    }

    fn count(connections: &RuntimeConnections<Line>) -> usize {
        connections.0.state.lock().by_runtime.len()
    }

    #[test]
    fn a_runtime_has_one_connection_and_takes_it_along_when_it_ends() {
        let connections = connections();
        let kept = runtime();
        let first = get(&connections, &kept).unwrap();
        for _ in 0..3 * RUNTIMES_MAX {
            let runtime = runtime();
            let (one, two) = (get(&connections, &runtime).unwrap(), get(&connections, &runtime).unwrap());
            assert!(Arc::ptr_eq(&one, &two) && !Arc::ptr_eq(&one, &first));
            assert_eq!(count(&connections), 2);
            drop(runtime);
            assert_eq!(count(&connections), 1);
        }
        assert!(Arc::ptr_eq(&first, &get(&connections, &kept).unwrap()));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_runtime_that_has_ended_leaves_no_descriptor() {
        let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let connections = connections();
        let before = open();
        for _ in 0..100 {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            get(&connections, &runtime).unwrap();
        }
        assert!(open() < before + 50, "other tests open some, a leak would be 200");
    }

    #[test]
    fn the_least_recently_used_of_too_many_runtimes_loses_its_connection() {
        let connections = connections();
        let runtimes: Vec<_> = (0..=RUNTIMES_MAX).map(|_| runtime()).collect();
        let held: Vec<_> = runtimes[..RUNTIMES_MAX].iter().map(|it| get(&connections, it).unwrap()).collect();
        get(&connections, &runtimes[0]).unwrap();
        get(&connections, &runtimes[RUNTIMES_MAX]).unwrap();
        assert_eq!(count(&connections), RUNTIMES_MAX);
        assert!(held[0].is_open() && !held[1].is_open() && held[2].is_open());
        assert!(!Arc::ptr_eq(&held[1], &get(&connections, &runtimes[1]).unwrap()), "it connects again");
    }

    #[test]
    fn a_broken_one_is_replaced_and_a_closed_one_is_not() {
        let (connections, runtime) = (connections(), runtime());
        let first = get(&connections, &runtime).unwrap();
        assert!(connections.forget(&first) && !first.is_open());
        let second = get(&connections, &runtime).unwrap();
        connections.close(&Error::new(ErrorKind::Closed, "x"));
        assert!(!second.is_open());
        assert_eq!(get(&connections, &runtime).map(drop).unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(count(&connections), 0);
    }

    #[test]
    fn a_call_outside_of_a_runtime_and_a_runtime_that_cannot_connect_are_errors() {
        let (connections, world) = (connections(), Virtual::new(1));
        let outside = world.block_on(connections.get(|| async { Ok(Line::default()) }));
        assert_eq!(outside.map(drop).unwrap_err().kind(), ErrorKind::Invalid);
        let panics = async { if true { panic!("no I/O") } else { Ok(Line::default()) } };
        let failed = runtime().block_on(connections.get(|| panics));
        assert_eq!(failed.map(drop).unwrap_err().kind(), ErrorKind::Unreachable);
    }
}
