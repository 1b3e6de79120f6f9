//! The faults of a run: a list of [`PlannedFault`]s.
//!
//! As text: `pause:c1@120+800` pauses client 1 after 120 ms for 800 ms; `jump=-2000:n1@50+0` moves the clock of server 1
//! back by two seconds; `cut:c1>n2@10+500` cuts the line between them. Several are divided by commas.

mod shrink;

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use shrink::shrink;

/// A fault with its time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PlannedFault {
    /// The kind.
    pub kind: Kind,
    /// The target.
    pub target: Target,
    /// The age of the world at its beginning; a pause at a step waits for the step from then on.
    pub begin: Duration,
    /// The duration.
    pub length: Duration,
}

/// The kind of a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Stops a process. A server answers later the requests that arrive meanwhile.
    Pause,
    /// Stops a client after it has sent its claim: the answer waits for it.
    PauseAsking,
    /// Stops a client between its read and its write.
    PauseWriting,
    /// Suspends a client's machine.
    Suspend,
    /// Kills a process, and restarts it at the end; a server keeps its data.
    Crash,
    /// Kills a server, and restarts it without its data.
    Forget,
    /// Moves a clock by milliseconds.
    Jump(i64),
    /// Changes the rate of a clock, in thousandths.
    Rate(u64),
    /// Delays messages by up to so many milliseconds.
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
    /// Both.
    Cut,
}

/// The target of a fault. Clients and servers are numbered from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// A client; for the network, all its lines to servers.
    Client(u32),
    /// A server; for the network, all its lines.
    Node(u32),
    /// The lines between one client and one server.
    Line(u32, u32),
    /// All clients, servers and lines.
    All,
}

impl Target {
    /// Whether it is one of so many servers and clients.
    pub const fn exists(self, nodes: u32, clients: u32) -> bool {
        match self {
            Target::Client(client) => client >= 1 && client <= clients,
            Target::Node(node) => node >= 1 && node <= nodes,
            Target::Line(client, node) => client >= 1 && client <= clients && node >= 1 && node <= nodes,
            Target::All => true,
        }
    }
}

/// The longest delay of overtaken messages.
pub const HELD_BACK: Duration = Duration::from_millis(200);
/// The longest delay of late messages.
pub const LATE: Duration = Duration::from_millis(800);

impl PlannedFault {
    /// Its end, if it begins at its time.
    pub fn end(&self) -> Duration {
        self.begin + self.length
    }
}

/// `pause`, or `loss=30` for a fault with a number.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match serde_json::to_value(self) {
            Ok(Value::String(name)) => f.write_str(&name),
            Ok(Value::Object(numbers)) => {
                numbers.iter().try_for_each(|(name, number)| write!(f, "{name}={number}"))
            }
            _ => Err(fmt::Error),
        }
    }
}

impl FromStr for Kind {
    type Err = BadFault;

    fn from_str(text: &str) -> Result<Self, BadFault> {
        let bad = |error: &dyn fmt::Display| BadFault(format!("`{text}` is no fault: {error}"));
        let value = match text.split_once('=') {
            Some((name, number)) => json!({ name: number.parse::<i64>().map_err(|error| bad(&error))? }),
            None => text.into(),
        };
        serde_json::from_value(value).map_err(|error| bad(&error))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Client(client) => write!(f, "c{client}"),
            Target::Node(node) => write!(f, "n{node}"),
            Target::Line(client, node) => write!(f, "c{client}>n{node}"),
            Target::All => f.write_str("all"),
        }
    }
}

impl FromStr for Target {
    type Err = BadFault;

    fn from_str(text: &str) -> Result<Self, BadFault> {
        let bad = || BadFault(format!("`{text}` is no target: c1, n1, c1>n1 or all"));
        let number = |text: &str, letter: char| {
            text.strip_prefix(letter).and_then(|digits| digits.parse::<u32>().ok()).filter(|at| *at > 0)
        };
        if let Some((client, node)) = text.split_once('>') {
            return Ok(Target::Line(
                number(client, 'c').ok_or_else(bad)?,
                number(node, 'n').ok_or_else(bad)?,
            ));
        }
        match (text, number(text, 'c'), number(text, 'n')) {
            ("all", ..) => Ok(Target::All),
            (_, Some(client), _) => Ok(Target::Client(client)),
            (_, _, Some(node)) => Ok(Target::Node(node)),
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for PlannedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (begin_ms, length_ms) = (self.begin.as_millis(), self.length.as_millis());
        write!(f, "{}:{}@{begin_ms}+{length_ms}", self.kind, self.target)
    }
}

impl FromStr for PlannedFault {
    type Err = BadFault;

    fn from_str(text: &str) -> Result<Self, BadFault> {
        let bad = || BadFault(format!("`{text}` is no fault: KIND:TARGET@BEGIN+LENGTH, in milliseconds"));
        let (what, when) = text.split_once('@').ok_or_else(bad)?;
        let (kind, target) = what.split_once(':').ok_or_else(bad)?;
        let (begin, length) = when.split_once('+').ok_or_else(bad)?;
        let span = |text: &str| text.parse().map(Duration::from_millis).map_err(|_| bad());
        Ok(PlannedFault {
            kind: kind.parse()?,
            target: target.parse()?,
            begin: span(begin)?,
            length: span(length)?,
        })
    }
}

/// Text that is not a fault.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadFault(String);

/// Several faults as one text.
pub fn join(faults: &[PlannedFault]) -> String {
    faults.iter().map(PlannedFault::to_string).collect::<Vec<_>>().join(",")
}

/// Reads the output of [`join`].
///
/// # Errors
/// [`BadFault`] for the first part that is not a fault.
pub fn parse(text: &str) -> Result<Vec<PlannedFault>, BadFault> {
    text.split(',').filter(|part| !part.is_empty()).map(str::parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_as_they_were_written() {
        let text =
            "pause:c1@120+800,jump=-2000:n1@50+0,cut-back:c1>n2@10+500,loss=30:all@0+900,rate=1500:n3@0+1";
        assert_eq!(join(&parse(text).unwrap()), text);
        assert_eq!(parse("").unwrap(), []);
    }

    #[test]
    fn rubbish_is_named() {
        for bad in ["pause", "pause:c1", "pause:c0@1+1", "sleep:c1@1+1", "jump=x:n1@1+1", "cut:x1>n1@1+1"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
