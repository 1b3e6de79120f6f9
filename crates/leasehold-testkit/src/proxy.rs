//! A TCP proxy that loses, holds, delays and cuts traffic on demand.
//!
//! A TCP stream has no holes: once a byte was dropped, everything after it in that direction of the connection is dropped
//! too, until [`Proxy::pass`] resets the connection, as a healed network does with one that the other side has closed. Bytes
//! that were *held* are delivered by `pass`.

mod direction;
mod fault;
mod relay;
mod state;

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs},
    os::unix::net::UnixStream,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, poll};

use self::{
    relay::Relay,
    state::{Mode, Shared},
};
use crate::{Error, Result, error::Context, ports, wait::lock};

pub use fault::{FaultHandle, FaultRule};

/// A proxy on a free port of 127.0.0.1; connections and threads end with the value.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    port: u16,
    acceptor: Option<JoinHandle<()>>,
    /// Closing it wakes and ends the acceptor.
    stop: Option<UnixStream>,
}

impl Proxy {
    /// A proxy to `host:port`, which need not listen yet.
    pub fn to(target: &str) -> Result<Self> {
        let listener = ports::listener(Ipv4Addr::LOCALHOST.into())?;
        let failed = || "the proxy cannot be set up".into();
        listener.set_nonblocking(true).context(failed)?;
        let port = listener.local_addr().context(failed)?.port();
        let shared = Arc::new(Shared::new(resolve(target)?));
        let (stop, stopped) = UnixStream::pair().context(failed)?;
        let work = {
            let shared = shared.clone();
            move || accept(&listener, &stopped, &shared)
        };
        let acceptor = thread::Builder::new().name(format!("proxy-{port}")).spawn(work).context(failed)?;
        Ok(Self { shared, port, acceptor: Some(acceptor), stop: Some(stop) })
    }

    /// `127.0.0.1:port` of the proxy.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The port of the proxy.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Connects new connections to that address; open ones stay where they are.
    pub fn retarget(&self, target: &str) -> Result<()> {
        *lock(&self.shared.target) = resolve(target)?;
        Ok(())
    }

    /// Delivers everything, held bytes included; resets the connections that have lost something.
    pub fn pass(&self) {
        self.shared.change(|state| {
            state.mode = Mode::Pass;
            state.healed += 1;
        });
    }

    /// Delivers everything later by this much, in each direction.
    pub fn delay(&self, by: Duration) {
        self.set(Mode::Delay(by));
    }

    /// Holds the replies of servers.
    pub fn hold_replies(&self) {
        self.set(Mode::HoldReplies);
    }

    /// Holds the requests of clients.
    pub fn hold_requests(&self) {
        self.set(Mode::HoldRequests);
    }

    /// Drops the replies of servers: requests are carried out without an answer.
    pub fn drop_replies(&self) {
        self.set(Mode::DropReplies);
    }

    /// Drops everything, as a half-open network does: connections stay open, new ones are accepted, no byte arrives.
    pub fn blackhole(&self) {
        self.set(Mode::Blackhole);
    }

    /// Delivers pieces of at most this many bytes, each with a write of its own.
    pub fn split(&self, bytes: usize) {
        self.set(Mode::Split(bytes.max(1)));
    }

    /// Closes new connections at once. Open ones stay: see [`Self::reset_all`].
    pub fn refuse(&self) {
        self.set(Mode::Refuse);
    }

    /// Ends the open connections with RST, on both sides. The mode stays.
    pub fn reset_all(&self) {
        self.shared.change(|state| state.resets += 1);
    }

    /// Applies a fault once, to the first request that matches. The matcher gets the bytes of one read: usually one
    /// request, or several that were sent together. Of several faults, the oldest applies first.
    pub fn on_request(
        &self,
        matcher: impl Fn(&[u8]) -> bool + Send + 'static,
        action: FaultRule,
    ) -> FaultHandle {
        fault::set(&self.shared, Box::new(matcher), action)
    }

    /// The number of accepted connections, without refused ones.
    pub fn connections(&self) -> u64 {
        self.shared.read(|state| state.accepted)
    }

    /// The number of refused connections.
    pub fn refused(&self) -> u64 {
        self.shared.read(|state| state.refused)
    }

    /// The number of open connections.
    pub fn open_connections(&self) -> u64 {
        self.shared.read(|state| state.open())
    }

    /// The number of round trips over all connections. Requests that are sent together count as one, and so does an answer
    /// in pieces.
    pub fn round_trips(&self) -> u64 {
        self.shared.read(|state| state.round_trips)
    }

    /// The bytes from clients since the last call, one element a read; beyond 1 MiB the oldest are dropped.
    pub fn take_request_bytes(&self) -> Vec<Vec<u8>> {
        let mut taken = Vec::new();
        self.shared.change(|state| taken = state.take_log());
        taken
    }

    /// Sets the counters to zero and clears the log. Connections stay open.
    pub fn reset_counters(&self) {
        self.shared.change(|state| {
            (state.accepted, state.refused, state.round_trips) = (0, 0, 0);
            state.take_log();
        });
    }

    fn set(&self, mode: Mode) {
        self.shared.change(|state| state.mode = mode);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.take();
        self.shared.change(|state| state.stopped = true);
        if let Some(acceptor) = self.acceptor.take() {
            // A thread that panicked has reported it.
            let _ = acceptor.join();
        }
    }
}

fn resolve(target: &str) -> Result<SocketAddr> {
    let mut addresses = target.to_socket_addrs().context(|| format!("{target} is no address"))?;
    addresses.next().ok_or_else(|| Error(format!("{target} is no address")))
}

/// Accepts until `stopped` is closed, and then waits for the connections.
fn accept(listener: &TcpListener, stopped: &UnixStream, shared: &Arc<Shared>) {
    let mut relays: Vec<JoinHandle<()>> = Vec::new();
    loop {
        let mut watched = [PollFd::new(listener, PollFlags::IN), PollFd::new(stopped, PollFlags::IN)];
        // Interrupted: look again.
        let _ = poll(&mut watched, None);
        if !watched[1].revents().is_empty() {
            break;
        }
        // Else the client is gone already, or this process has too many open files: the test will notice.
        if let Ok((client, _)) = listener.accept() {
            relays.extend(Relay::start(client, shared));
        }
        relays.retain(|relay| !relay.is_finished());
    }
    for relay in relays {
        // A thread that panicked has reported it.
        let _ = relay.join();
    }
}
