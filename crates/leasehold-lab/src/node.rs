//! [`Node`]: a server of the world. It answers as the reference store does, by its own clock.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use leasehold_core::{
    Claim, Contender, Error, ErrorKind, Interest, LockName, Release, Renewal, Result, ServerInfo, Snapshot,
    Standing, Store, memory::Memory,
};
use tokio::sync::Notify;

use crate::{
    remote::Connection,
    world::{Process, Way, lock},
};

/// A server. It keeps its locks in memory, and may lose them when it is started again.
#[derive(Clone)]
pub struct Node(Arc<Server>);

struct Server {
    process: Process,
    memory: Memory,
    /// How often it was started.
    starts: AtomicU64,
    /// Whom it has to tell when it ends.
    connections: Mutex<Vec<Arc<Connection>>>,
}

/// What the reference store answers, it answers at once.
fn at_once<F: Future>(answer: F) -> F::Output {
    match pin!(answer).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("the reference store waits for nothing"),
    }
}

impl Node {
    /// A server in a process of its own.
    pub fn new(process: Process) -> Node {
        let memory = Memory::new(process.env());
        let server = Server { process, memory, starts: AtomicU64::new(1), connections: Mutex::default() };
        Node(Arc::new(server))
    }

    /// The process that it is.
    pub fn process(&self) -> &Process {
        &self.0.process
    }

    /// A client connects.
    pub(crate) fn connect(&self, connection: Arc<Connection>) {
        lock(&self.0.connections).push(connection);
    }

    /// It ends without a word, and connections break.
    pub fn crash(&self) {
        self.tell_all(Connection::break_off);
        self.0.process.kill();
    }

    /// It runs again, with what it had or with nothing.
    pub fn restart(&self, forgets: bool) {
        self.0.process.revive();
        self.0.starts.fetch_add(1, Ordering::AcqRel);
        if forgets {
            self.0.memory.forget();
        }
        self.tell_all(Connection::revalidation);
    }

    fn tell_all(&self, tell: fn(&Connection)) {
        let from = self.0.process.number();
        for connection in lock(&self.0.connections).iter() {
            let (way, told) = (Way { from, to: connection.client }, connection.clone());
            self.0.process.world().send(way, move |_| tell(&told));
        }
    }

    pub(crate) fn server_info(&self) -> Result<ServerInfo> {
        let starts = self.0.starts.load(Ordering::Acquire);
        let vitals = at_once(self.0.memory.server_info())?;
        Ok(ServerInfo { server: format!("{}-{starts}", vitals.server).into(), ..vitals })
    }

    pub(crate) fn claim(&self, claim: &Claim) -> Result<Standing> {
        at_once(self.0.memory.claim(claim))
    }

    pub(crate) fn renew(&self, claims: &[Claim]) -> Vec<Result<Renewal>> {
        at_once(self.0.memory.renew(claims))
    }

    pub(crate) fn release(&self, claim: &Claim) -> Result<Release> {
        at_once(self.0.memory.release(claim))
    }

    pub(crate) fn inspect(&self, name: &LockName) -> Result<Snapshot> {
        at_once(self.0.memory.inspect(name))
    }

    pub(crate) fn list(&self, prefix: &str, limit: usize) -> Result<Vec<Snapshot>> {
        at_once(self.0.memory.list(prefix, limit))
    }

    pub(crate) fn force_release(&self, name: &LockName) -> Result<Vec<Contender>> {
        at_once(self.0.memory.force_release(name))
    }

    /// Tells a client of news, until it ends the subscription.
    pub(crate) fn watch(
        &self,
        name: &LockName,
        interest: Interest,
        client: u32,
        bell: &Arc<Bell>,
    ) -> Result<()> {
        let mut wake = at_once(self.0.memory.watch(name, interest))?;
        let (process, bell) = (self.0.process.clone(), bell.clone());
        let way = Way { from: process.number(), to: client };
        process.env().spawn(async move {
            loop {
                tokio::select! {
                    biased;
                    () = bell.ended.notified() => return,
                    news = wake.wait() => if news.is_err() { return },
                }
                let rung = bell.clone();
                process.world().send(way, move |_| rung.news.notify_one());
            }
        });
        Ok(())
    }
}

/// A subscription: what the server rings, and what the client ends it with.
#[derive(Default)]
pub(crate) struct Bell {
    pub(crate) news: Notify,
    pub(crate) ended: Notify,
}

/// What is answered where nobody listens.
pub(crate) fn refused() -> Error {
    Error::new(ErrorKind::Unreachable, "connection refused")
}
