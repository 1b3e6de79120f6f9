//! [`Listener`]: hears when this process is called, and when a process that is waited for ends.

use std::{
    collections::HashMap,
    mem::MaybeUninit,
    os::fd::OwnedFd,
    path::Path,
    sync::{Arc, Mutex},
};

use leasehold_core::{ClaimId, Error, ErrorKind, LockName, Result};
use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, eventfd, poll},
    fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags},
    io::Errno,
};

use crate::{
    gate::doze,
    refusal::of_sqlite,
    session::{Pulse, pulse},
    shared::{Shared, lock},
};

/// Hears when this process is called, and when a process that is waited for ends.
#[derive(Debug)]
pub(crate) struct Listener {
    inotify: OwnedFd,
    stop: OwnedFd,
    own: i32,
    watched: Mutex<Watched>,
}

#[derive(Default, Debug)]
struct Watched {
    by_watch: HashMap<i32, u64>,
    by_session: HashMap<u64, i32>,
}

/// What was heard at once.
#[derive(Default)]
struct News {
    /// Somebody touched our session file.
    called: bool,
    /// Sessions whose file was closed.
    closed: Vec<u64>,
    /// Events were lost.
    overflow: bool,
}

/// Room for some hundred events; more are read in the next round.
const BUFFER_BYTES: usize = 4096;
/// How often an ending session is looked at again: the kernel tells of the close just before it drops the lock.
const LOOKS: usize = 50;

impl Listener {
    /// Starts to listen for calls to this session.
    pub(crate) fn start(shared: &Arc<Shared>, own_session: &Path) -> Result<Arc<Listener>> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).map_err(exhausted)?;
        let own = inotify::add_watch(&inotify, own_session, WatchFlags::ATTRIB).map_err(exhausted)?;
        let stop = eventfd(0, EventfdFlags::CLOEXEC).map_err(exhausted)?;
        let listener = Arc::new(Listener { inotify, stop, own, watched: Mutex::default() });
        let (mine, theirs) = (shared.clone(), listener.clone());
        // A thread of its own because it sleeps in poll(2), whatever runtime the callers have, or none.
        let spawned = std::thread::Builder::new().name("leasehold-inotify".into()).spawn(move || {
            theirs.run(&mine);
            drop(theirs);
            mine.ended[0].notify_one();
        });
        let thread = spawned.map_err(|source| {
            Error::new(ErrorKind::Exhausted, format!("the listening thread cannot be started: {source}"))
                .hint("raise the limit on threads (ulimit -u)")
        })?;
        *lock(&shared.listening) = Some(thread);
        Ok(listener)
    }

    /// Ends the thread.
    pub(crate) fn stop(&self) {
        if let Err(errno) = rustix::io::write(&self.stop, &1u64.to_ne_bytes()) {
            tracing::error!(%errno, "the listening thread could not be told to stop");
        }
    }

    /// Hears of the end of a session from now on, until it has ended: sessions are few, and come back again and again.
    pub(crate) fn watch(&self, session: u64, path: &Path) {
        let mut watched = lock(&self.watched);
        if watched.by_session.contains_key(&session) {
            return;
        }
        match inotify::add_watch(&self.inotify, path, WatchFlags::CLOSE_WRITE | WatchFlags::DELETE_SELF) {
            Ok(watch) => {
                watched.by_watch.insert(watch, session);
                watched.by_session.insert(session, watch);
            }
            Err(Errno::NOENT) => {}
            Err(errno) => tracing::warn!(%errno, "the end of another process will be noticed late"),
        }
    }

    fn run(&self, shared: &Arc<Shared>) {
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
            self.tell(shared, self.read());
        }
    }

    fn read(&self) -> News {
        let mut buffer = [MaybeUninit::uninit(); BUFFER_BYTES];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        let mut news = News::default();
        let mut watched = lock(&self.watched);
        while let Ok(event) = reader.next() {
            if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                news.overflow = true;
            } else if event.wd() == self.own {
                news.called = true;
            } else if let Some(&session) = watched.by_watch.get(&event.wd()) {
                if event.events().contains(ReadFlags::IGNORED) {
                    watched.by_watch.remove(&event.wd());
                    watched.by_session.remove(&session);
                } else if !news.closed.contains(&session) {
                    news.closed.push(session);
                }
            }
        }
        if news.overflow {
            news.closed = watched.by_session.keys().copied().collect();
        }
        news
    }

    fn tell(&self, shared: &Arc<Shared>, news: News) {
        if news.called || news.overflow {
            match woken(shared) {
                Ok(woken) => woken.into_iter().for_each(|one| one.ring(shared)),
                Err(error) => {
                    tracing::debug!(%error, "everybody is woken, because it cannot be read who was called");
                    shared.bells.ring_all();
                }
            }
        }
        for session in news.closed {
            if has_ended(shared, session) {
                shared.bury_later(session);
            }
        }
    }
}

fn exhausted(errno: Errno) -> Error {
    Error::new(ErrorKind::Exhausted, format!("inotify is not available: {errno}"))
        .hint("raise fs.inotify.max_user_instances and fs.inotify.max_user_watches with sysctl")
}

/// Whether a session whose file was closed has ended; waits a little for the kernel to finish.
fn has_ended(shared: &Shared, session: u64) -> bool {
    for _ in 0..LOOKS {
        match pulse(&shared.place, session) {
            Pulse::Dead { .. } => return true,
            // It ended cleanly and took its rows with it.
            Pulse::Missing | Pulse::Unknown => return false,
            Pulse::Alive => doze(),
        }
    }
    false
}

/// One row that was rung.
enum Woken {
    Turn(ClaimId),
    Changes(LockName, i64),
}

impl Woken {
    fn ring(self, shared: &Shared) {
        match self {
            Woken::Turn(id) => shared.bells.ring_turn(id),
            Woken::Changes(name, count) => shared.bells.ring_counted(&name, count),
        }
    }
}

/// Who of this store was called.
fn woken(shared: &Shared) -> Result<Vec<Woken>> {
    let Some(session) = shared.session() else { return Ok(Vec::new()) };
    shared.read(|connection| {
        let mut statement = connection.prepare_cached(include_str!("../sql/woken.sql")).map_err(of_sqlite)?;
        let mut rows = statement.query([session as i64]).map_err(of_sqlite)?;
        let mut woken = Vec::new();
        while let Some(row) = rows.next().map_err(of_sqlite)? {
            woken.push(if row.get::<_, i64>(1).map_err(of_sqlite)? < 0 {
                let name = LockName::new(row.get::<_, String>(0).map_err(of_sqlite)?)?;
                Woken::Changes(name, row.get(3).map_err(of_sqlite)?)
            } else {
                let id = u128::from_be_bytes(row.get(2).map_err(of_sqlite)?);
                Woken::Turn(ClaimId::from_bits(id))
            });
        }
        Ok(woken)
    })
}
