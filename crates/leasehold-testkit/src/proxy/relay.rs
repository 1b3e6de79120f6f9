//! One connection: a thread that copies bytes both ways.

use std::{
    io::Read,
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::sockopt::set_socket_linger,
};

use super::{
    direction::{Direction, Item},
    fault::{self, FaultRule, Flags},
    state::{Mode, Shared},
};
use crate::wait::{self, lock};

const CONNECT_LIMIT: Duration = Duration::from_secs(1);
/// How long [`FaultRule::ForwardThenCut`] waits for the answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);

pub(super) struct Relay {
    shared: Arc<Shared>,
    id: u64,
    wake: UnixStream,
    client: TcpStream,
    server: Option<TcpStream>,
    /// From the client to the server.
    requests: Direction,
    /// From the server to the client.
    replies: Direction,
    /// The client has sent bytes that the server has not answered yet.
    asked: bool,
    /// The fault that cuts, and until when it waits for the server's answer.
    cut: Option<(Arc<Flags>, Instant)>,
    /// The number of resets when this connection began.
    resets: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// By itself.
    Done,
    /// RST to both sides.
    Reset,
    /// RST to the client; the server gets all bytes that were sent to it, and the end of the stream.
    ResetClient,
}

impl Relay {
    /// Starts the thread of a connection, unless the connection is to be refused.
    pub(super) fn start(client: TcpStream, shared: &Arc<Shared>) -> Option<JoinHandle<()>> {
        let (waker, wake) = UnixStream::pair().ok()?;
        waker.set_nonblocking(true).ok()?;
        wake.set_nonblocking(true).ok()?;
        client.set_nonblocking(true).ok()?;
        client.set_nodelay(true).ok()?;
        let (id, resets) = shared.read(|state| Some((state.enter(waker)?, state.resets)))?;
        let relay = Self {
            shared: shared.clone(),
            id,
            wake,
            client,
            server: None,
            requests: Direction::default(),
            replies: Direction::default(),
            asked: false,
            cut: None,
            resets,
        };
        // Without a thread, the closure and its connection are dropped: the client sees it end.
        let thread = thread::Builder::new().name(format!("relay-{id}")).spawn(move || relay.run());
        thread.inspect_err(|_| shared.read(|state| state.leave(id))).ok()
    }

    fn run(mut self) {
        let end = loop {
            if let Some(end) = self.step() {
                break end;
            }
        };
        if end != End::Done {
            reset(&self.client);
        }
        if let (End::Reset, Some(server)) = (end, &self.server) {
            reset(server);
        }
        let Self { shared, id, client, server, cut, .. } = self;
        drop((client, server));
        shared.change(|state| {
            state.leave(id);
            cut.inspect(|(flags, _)| flags.fire());
        });
    }

    /// Writes all that is due, waits for an event, and reads.
    fn step(&mut self) -> Option<End> {
        let Some(mode) = self.mode() else { return Some(End::Reset) };
        if self.server.is_none() && mode != Mode::Blackhole {
            let target = *lock(&self.shared.target);
            let Some(server) = connect(target) else { return Some(End::Reset) };
            self.server = Some(server);
        }
        self.write(mode);
        if self.requests.ended && self.replies.ended {
            return Some(End::Done);
        }
        let (client_ready, server_ready) = self.poll(mode);
        if client_ready {
            self.read_client();
        }
        if server_ready {
            self.read_server();
        }
        let answered = |(_, limit): &(Arc<Flags>, Instant)| {
            self.replies.read_ended || server_ready || *limit <= wait::now()
        };
        // The server gets no more bytes: DropThenCut, or the cut was reached.
        self.cut.as_ref().is_some_and(answered).then_some(End::ResetClient)
    }

    /// The current mode; `None` when the connection is to be reset.
    fn mode(&self) -> Option<Mode> {
        self.shared.read(|state| {
            let has_lost = [&self.requests, &self.replies]
                .iter()
                .any(|it| it.lost_at.is_some_and(|at| at < state.healed));
            let resets = state.stopped || has_lost || state.resets > self.resets;
            (!resets).then_some(state.mode)
        })
    }

    fn write(&mut self, mode: Mode) {
        while let Some(server) = &self.server {
            match self.requests.write(server, mode, mode.holds_requests()) {
                Some(Item::Delivered(flags)) => self.shared.change(|_| flags.fire()),
                Some(Item::Cut(flags)) => {
                    self.cut = Some((flags, wait::now() + ANSWER_LIMIT));
                    break;
                }
                _ => break,
            }
        }
        // Faults apply to the other direction only.
        self.replies.write(&self.client, mode, mode.holds_replies());
    }

    /// Waits until one side can be read or written, a piece is due, or the mode has changed; whether the client and the
    /// server can be read.
    fn poll(&self, mode: Mode) -> (bool, bool) {
        let dues =
            [self.replies.due(mode, mode.holds_replies()), self.requests.due(mode, mode.holds_requests())];
        let now = wait::now();
        let flags = |wants_to_read: bool, due: Option<Instant>| {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, wants_to_read);
            flags.set(PollFlags::OUT, due.is_some_and(|due| due <= now));
            flags
        };
        let limit = self.cut.as_ref().map(|(_, limit)| *limit);
        let next = dues.into_iter().chain([limit]).flatten().filter(|due| *due > now).min();
        let timeout = next.and_then(|next| Timespec::try_from(next.duration_since(now)).ok());
        // A side without interest is left out: its hang-up would be reported again and again.
        let mut watched = vec![PollFd::new(&self.wake, PollFlags::IN)];
        let client = flags(self.requests.wants_to_read(), dues[0]);
        let client_at = watched.len();
        watched.extend((!client.is_empty()).then(|| PollFd::new(&self.client, client)));
        let server_at = watched.len();
        let server = flags(self.replies.wants_to_read(), dues[1]);
        let server = self.server.as_ref().filter(|_| !server.is_empty()).map(|it| PollFd::new(it, server));
        watched.extend(server);
        // Interrupted: nothing is ready, and it is polled again.
        let _ = poll(&mut watched, timeout.as_ref());
        if !watched[0].revents().is_empty() {
            let mut wakes = [0; 64];
            while (&self.wake).read(&mut wakes).is_ok_and(|length| length > 0) {}
        }
        let readable = |at: usize| {
            let happened = watched.get(at).map(PollFd::revents);
            happened.is_some_and(|flags| flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR))
        };
        let client = server_at > client_at && readable(client_at) && self.requests.wants_to_read();
        (client, readable(server_at) && self.replies.wants_to_read())
    }

    fn read_client(&mut self) {
        let Some(request) = self.requests.read(&self.client) else { return };
        // After the read: a mode that was set before the client sent applies.
        let (mode, healed) = self.shared.read(|state| {
            state.log(&request);
            (state.mode, state.healed)
        });
        if self.requests.lost_at.is_some() || self.cut.is_some() {
            return;
        }
        if mode == Mode::Blackhole {
            self.requests.lost_at = Some(healed);
            return;
        }
        let fault = fault::take_matching(&self.shared, &request);
        match fault {
            Some((FaultRule::DropThenCut, flags)) => {
                self.cut = Some((flags, wait::now()));
                return;
            }
            Some((FaultRule::Hold, ref flags)) => {
                self.requests.then(Item::Hold(flags.clone()));
                self.shared.change(|_| flags.fire());
            }
            _ => {}
        }
        self.asked = true;
        self.requests.push(request);
        match fault {
            Some((FaultRule::ForwardThenCut, flags)) => {
                self.replies.lost_at = Some(healed);
                self.requests.then(Item::Cut(flags));
            }
            Some((FaultRule::ForwardAndDropReply, flags)) => {
                self.replies.lost_at = Some(healed);
                self.requests.then(Item::Delivered(flags));
            }
            _ => {}
        }
    }

    fn read_server(&mut self) {
        let Some(server) = &self.server else { return };
        let Some(reply) = self.replies.read(server) else { return };
        let asked = std::mem::take(&mut self.asked);
        let (mode, healed) = self.shared.read(|state| {
            state.round_trips += u64::from(asked);
            (state.mode, state.healed)
        });
        if matches!(mode, Mode::Blackhole | Mode::DropReplies) && self.replies.lost_at.is_none() {
            self.replies.lost_at = Some(healed);
        }
        if self.replies.lost_at.is_none() {
            self.replies.push(reply);
        }
    }
}

fn connect(target: SocketAddr) -> Option<TcpStream> {
    let server = TcpStream::connect_timeout(&target, CONNECT_LIMIT).ok()?;
    server.set_nonblocking(true).ok()?;
    server.set_nodelay(true).ok()?;
    Some(server)
}

/// Makes the next close send RST.
fn reset(stream: &TcpStream) {
    // A connection that is broken already needs none.
    let _ = set_socket_linger(stream, Some(Duration::ZERO));
}
