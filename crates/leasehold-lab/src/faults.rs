//! The faults of a run: a list of [`PlannedFault`]s.

mod parse;
mod shrink;

use std::time::Duration;

pub use parse::{BadFault, join, parse};
pub use shrink::shrink;

/// One thing that goes wrong, from when on and for how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PlannedFault {
    /// Its kind.
    pub kind: Kind,
    /// To whom.
    pub target: Target,
    /// At which age of the world; a pause at a step waits for the step from then on.
    pub begin: Duration,
    /// For how long.
    pub length: Duration,
}

/// The kind of a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A process stands still. A server answers later what arrives meanwhile.
    Pause,
    /// A client stands still when it has sent its claim: the answer waits for it.
    PauseAsking,
    /// A client stands still after it has read, before it writes.
    PauseWriting,
    /// A client's machine sleeps.
    Suspend,
    /// A process ends; at the end another is started in its place. A server has then what it had.
    Crash,
    /// A server ends, and when it is started again it has forgotten everything.
    Forget,
    /// A clock is moved by so many milliseconds.
    Jump(i64),
    /// A clock runs so fast, in thousandths.
    Rate(u64),
    /// Messages take up to so many milliseconds more.
    Delay(u64),
    /// That percentage of messages is lost.
    Loss(u8),
    /// That percentage of messages arrives twice.
    Duplicates(u8),
    /// That percentage of messages is held back for up to 200 ms, and overtaken.
    Overtaken(u8),
    /// That percentage of messages is held back for up to 800 ms, longer than a client waits for an answer, and overtaken.
    Late(u8),
    /// Requests of the client are lost.
    CutThere,
    /// Messages to the client are lost.
    CutBack,
    /// Neither.
    Cut,
}

/// To whom. Clients and servers are numbered from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// A client; for the network, all its lines to servers.
    Client(u32),
    /// A server; for the network, all its lines.
    Node(u32),
    /// The lines between one client and one server.
    Line(u32, u32),
    /// Everybody.
    All,
}

impl Target {
    /// Whether there is such a one among so many servers and clients.
    pub const fn exists(self, nodes: u32, clients: u32) -> bool {
        match self {
            Target::Client(client) => client >= 1 && client <= clients,
            Target::Node(node) => node >= 1 && node <= nodes,
            Target::Line(client, node) => client >= 1 && client <= clients && node >= 1 && node <= nodes,
            Target::All => true,
        }
    }
}

/// How long messages are held back at most that are overtaken.
pub const HELD_BACK: Duration = Duration::from_millis(200);
/// The same, for those that are late.
pub const LATE: Duration = Duration::from_millis(800);

impl PlannedFault {
    /// When it is over for certain, if it begins at its time.
    pub fn end(&self) -> Duration {
        self.begin + self.length
    }
}
