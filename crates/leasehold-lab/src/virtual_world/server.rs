//! [`Server`]: a lock server of the virtual world. It answers as the reference store does, by its own clock.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use leasehold_core::{Interest, LockName, Result, Revalidations, ServerInfo, Store, memory::Memory};
use tokio::sync::Notify;

use super::{network::Way, process::Process};
use crate::sync::lock;

/// A server that keeps its locks in memory and may lose them when it restarts.
#[derive(Clone)]
pub(crate) struct Server(Arc<Inner>);

struct Inner {
    process: Process,
    memory: Memory,
    starts: AtomicU64,
    connections: Mutex<Vec<Arc<Connection>>>,
}

/// A client's connection, with its subscriptions.
pub(super) struct Connection {
    pub(super) client: u32,
    pub(super) revalidations: Revalidations,
    breaks: AtomicU64,
    watches: Mutex<Vec<Weak<WatchChannel>>>,
}

impl Connection {
    pub(super) fn new(client: u32) -> Connection {
        Connection {
            client,
            revalidations: Revalidations::default(),
            breaks: AtomicU64::new(0),
            watches: Mutex::default(),
        }
    }

    pub(super) fn breaks(&self) -> u64 {
        self.breaks.load(Ordering::Acquire)
    }

    pub(super) fn watch(&self, channel: &Arc<WatchChannel>) {
        lock(&self.watches).push(Arc::downgrade(channel));
    }

    /// Ends all subscriptions, because the server has ended.
    pub(super) fn break_off(&self) {
        self.breaks.fetch_add(1, Ordering::AcqRel);
        let watches = std::mem::take(&mut *lock(&self.watches));
        watches.iter().filter_map(Weak::upgrade).for_each(|channel| channel.changed.notify_one());
    }
}

/// A subscription: the server notifies `changed`, the client `ended`.
#[derive(Default)]
pub(super) struct WatchChannel {
    pub(super) changed: Notify,
    pub(super) ended: Notify,
}

/// The result of a future of the reference store, which never waits.
pub(super) fn at_once<F: Future>(answer: F) -> F::Output {
    match pin!(answer).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("the reference store waits for nothing"),
    }
}

impl Server {
    pub(crate) fn new(process: Process) -> Server {
        let memory = Memory::new(process.env());
        let inner = Inner { process, memory, starts: AtomicU64::new(1), connections: Mutex::default() };
        Server(Arc::new(inner))
    }

    pub(crate) fn process(&self) -> &Process {
        &self.0.process
    }

    pub(super) fn memory(&self) -> &Memory {
        &self.0.memory
    }

    pub(super) fn connect(&self, connection: Arc<Connection>) {
        lock(&self.0.connections).push(connection);
    }

    /// Ends the process; connections break.
    pub(crate) fn crash(&self) {
        self.notify_all(Connection::break_off);
        self.0.process.kill();
    }

    /// Starts the process again, with its data or without.
    pub(crate) fn restart(&self, forgets: bool) {
        self.0.process.revive();
        self.0.starts.fetch_add(1, Ordering::AcqRel);
        if forgets {
            self.0.memory.forget();
        }
        // It may have lost its data.
        self.notify_all(|connection| connection.revalidations.raise());
    }

    fn notify_all(&self, notify: fn(&Connection)) {
        let from = self.0.process.number();
        for connection in lock(&self.0.connections).iter() {
            let (way, notified) = (Way { from, to: connection.client }, connection.clone());
            self.0.process.world().send(way, move |_| notify(&notified));
        }
    }

    pub(super) fn server_info(&self) -> Result<ServerInfo> {
        let starts = self.0.starts.load(Ordering::Acquire);
        let info = at_once(self.0.memory.server_info())?;
        Ok(ServerInfo { server: format!("{}-{starts}", info.server).into(), ..info })
    }

    /// Notifies a client of changes until it ends the subscription.
    pub(super) fn watch(
        &self,
        name: &LockName,
        interest: Interest,
        client: u32,
        channel: &Arc<WatchChannel>,
    ) -> Result<()> {
        let mut wake = at_once(self.0.memory.watch(name, interest))?;
        let (process, channel) = (self.0.process.clone(), channel.clone());
        let way = Way { from: process.number(), to: client };
        process.env().spawn(async move {
            loop {
                tokio::select! {
                    biased;
                    () = channel.ended.notified() => return,
                    changed = wake.wait() => if changed.is_err() { return },
                }
                let notified = channel.clone();
                process.world().send(way, move |_| notified.changed.notify_one());
            }
        });
        Ok(())
    }
}
