//! A TCP proxy that loses, holds, delays and cuts what it is told to.
//!
//! A TCP stream has no holes, so bytes are never lost from the middle of one: once a byte was swallowed, everything after
//! it in that direction of that connection is swallowed too, until [`Proxy::pass`] resets the connection, as a healed
//! network does with one that the other side has forgotten. Bytes that were *held* are delivered by `pass`.

mod lane;
mod relay;
mod state;
mod trap;

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
use crate::{Error, Result, error::Context, ports};

pub use trap::{Trap, TrapHandle};

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
    ///
    /// # Errors
    /// The address is none, or there is no free port.
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

    /// Connects new connections to that address; those that are open stay where they are.
    ///
    /// # Errors
    /// The address is none.
    pub fn retarget(&self, target: &str) -> Result<()> {
        let target = resolve(target)?;
        self.shared.change(|state| state.target = target);
        Ok(())
    }

    /// Delivers everything, also what was held; resets the connections that have lost something.
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

    /// Keeps what servers say.
    pub fn hold_replies(&self) {
        self.set(Mode::HoldReplies);
    }

    /// Keeps what clients say.
    pub fn hold_requests(&self) {
        self.set(Mode::HoldRequests);
    }

    /// Swallows what servers say: requests are carried out and nobody is told.
    pub fn drop_replies(&self) {
        self.set(Mode::DropReplies);
    }

    /// Swallows everything, as a half-open network does: connections stay open, new ones are accepted, all is silent.
    pub fn blackhole(&self) {
        self.set(Mode::Blackhole);
    }

    /// Delivers pieces of at most so many bytes, each with a write of its own.
    pub fn split(&self, bytes: usize) {
        self.set(Mode::Split(bytes.max(1)));
    }

    /// Closes new connections at once. Open ones stay: see [`Self::reset_all`].
    pub fn refuse(&self) {
        self.set(Mode::Refuse);
    }

    /// Ends the connections of now with RST, on both sides. The mode stays.
    pub fn reset_all(&self) {
        self.shared.change(|state| state.resets += 1);
    }

    /// Waits for a request that matches, and does that to it, once. The matcher sees what came with one read: usually one
    /// request, or several that were sent together. Of several traps, the one that was set first goes first.
    pub fn on_request(&self, matcher: impl Fn(&[u8]) -> bool + Send + 'static, action: Trap) -> TrapHandle {
        trap::set(&self.shared, Box::new(matcher), action)
    }

    /// How many connections were accepted, without those that were refused.
    pub fn connections(&self) -> u64 {
        self.shared.look(|state| state.accepted)
    }

    /// How many connections were refused.
    pub fn refused(&self) -> u64 {
        self.shared.look(|state| state.refused)
    }

    /// How many connections are open now.
    pub fn open_connections(&self) -> u64 {
        self.shared.look(|state| state.open())
    }

    /// How often a client sent something and the server answered, over all connections. What is sent together counts as
    /// one, and so does what is answered in pieces.
    pub fn round_trips(&self) -> u64 {
        self.shared.look(|state| state.round_trips)
    }

    /// What clients sent since the last call, one element a read; of more than 1 MiB the oldest is forgotten.
    pub fn take_request_bytes(&self) -> Vec<Vec<u8>> {
        let mut taken = Vec::new();
        self.shared.change(|state| taken = state.take_log());
        taken
    }

    /// Sets the counters to zero and forgets what was logged. Open connections are still open.
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
            // A thread of ours that panicked has said so.
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
        // A thread of ours that panicked has said so.
        let _ = relay.join();
    }
}
