//! [`Watcher`]: reports notifications to this store, and the ends of other sessions, by inotify; the [`Thread`]s of a store.

use std::{collections::HashMap, mem::MaybeUninit, os::fd::OwnedFd, path::Path, thread::JoinHandle};

use leasehold_core::{Env, Error, ErrorKind, Moment, Result, store_kit::Locked};
use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, eventfd, poll},
    fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags},
    io::Errno,
};
use tokio::sync::oneshot;

#[derive(Debug)]
pub(crate) struct Watcher {
    inotify: OwnedFd,
    stop: OwnedFd,
    own: i32,
    /// The watched sessions, by the kernel's number of the watch.
    watched: Locked<HashMap<i32, u64>>,
}

/// The events read at once.
#[derive(Default)]
pub(crate) struct Events {
    /// Another process has touched our session file: rows of ours are marked as woken.
    pub(crate) notified: bool,
    /// The sessions whose file was closed.
    pub(crate) closed: Vec<u64>,
}

/// Room for some hundred events; more are read in the next round.
const BUFFER_BYTES: usize = 4096;

impl Watcher {
    /// Watches our own session file. Events are read by [`Watcher::run`].
    pub(crate) fn new(own_session: &Path) -> Result<Watcher> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).map_err(exhausted)?;
        let own = inotify::add_watch(&inotify, own_session, WatchFlags::ATTRIB).map_err(exhausted)?;
        let stop = eventfd(0, EventfdFlags::CLOEXEC).map_err(exhausted)?;
        Ok(Watcher { inotify, stop, own, watched: Locked::default() })
    }

    /// Ends [`Watcher::run`].
    pub(crate) fn stop(&self) {
        if let Err(errno) = rustix::io::write(&self.stop, &1u64.to_ne_bytes()) {
            tracing::error!(%errno, "the watching thread could not be stopped");
        }
    }

    /// Reports the end of a session from now on, until it has ended: sessions are few and come back again and again.
    pub(crate) fn watch(&self, session: u64, path: &Path) {
        let mut watched = self.watched.lock();
        if watched.values().any(|other| *other == session) {
            return;
        }
        match inotify::add_watch(&self.inotify, path, WatchFlags::CLOSE_WRITE | WatchFlags::DELETE_SELF) {
            Ok(watch) => drop(watched.insert(watch, session)),
            Err(Errno::NOENT) => {}
            Err(errno) => tracing::warn!(%errno, "the end of another process will be noticed late"),
        }
    }

    /// Hands events to `report` until [`Watcher::stop`].
    pub(crate) fn run(&self, report: impl Fn(Events)) {
        loop {
            let mut ready =
                [PollFd::new(&self.inotify, PollFlags::IN), PollFd::new(&self.stop, PollFlags::IN)];
            match poll(&mut ready, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => {
                    tracing::error!(%errno, "waiters are not woken any more; they ask again by themselves");
                    return;
                }
            }
            if !ready[1].revents().is_empty() {
                return;
            }
            report(self.read());
        }
    }

    fn read(&self) -> Events {
        let mut buffer = [MaybeUninit::uninit(); BUFFER_BYTES];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        let mut events = Events::default();
        let mut watched = self.watched.lock();
        while let Ok(event) = reader.next() {
            if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                // Events were lost: everything may have happened.
                events.notified = true;
                events.closed = watched.values().copied().collect();
            } else if event.wd() == self.own {
                events.notified = true;
            } else if let Some(&session) = watched.get(&event.wd()) {
                if event.events().contains(ReadFlags::IGNORED) {
                    watched.remove(&event.wd());
                } else if !events.closed.contains(&session) {
                    events.closed.push(session);
                }
            }
        }
        events
    }
}

fn exhausted(errno: Errno) -> Error {
    Error::new(ErrorKind::Exhausted, format!("inotify is not available: {errno}"))
        .hint("raise fs.inotify.max_user_instances and fs.inotify.max_user_watches with sysctl")
}

/// A running thread; the channel closes at its end.
#[derive(Debug)]
pub(crate) struct Thread(JoinHandle<()>, oneshot::Receiver<()>);

impl Thread {
    pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<Thread> {
        let (running, ended) = oneshot::channel::<()>();
        let spawned = std::thread::Builder::new().name(name.into()).spawn(move || {
            // Dropped at the end, also by a panic.
            let _running = running;
            body();
        });
        spawned.map(|handle| Thread(handle, ended)).map_err(|source| {
            Error::new(ErrorKind::Exhausted, format!("the thread {name} cannot be started: {source}"))
                .hint("raise the limit on threads (ulimit -u)")
        })
    }

    /// Waits for its end; `false` if it has not come by `deadline`.
    pub(crate) async fn join(self, env: &Env, deadline: Moment) -> bool {
        let Thread(handle, ended) = self;
        let is_ended = env.until(deadline, ended).await.is_some();
        // The channel closes before the thread is gone.
        if is_ended && handle.join().is_err() {
            tracing::error!("a thread of the store has panicked");
        }
        is_ended
    }
}
