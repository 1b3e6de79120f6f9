//! [`Event`]: what happened in a lane, when and to whom. Workers write them to their stdout, a line of JSON each.

use leasehold::Env;
use serde::{Deserialize, Serialize};

/// What happened, when and to whom.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Event {
    /// Nanoseconds on the clock that all processes of the machine share.
    pub(crate) at_ns: u64,
    /// The worker, from 1.
    pub(crate) worker: u32,
    /// What.
    #[serde(flatten)]
    pub(crate) kind: Kind,
}

/// What can happen.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// The worker is set up and waits for the word to begin.
    Ready,
    /// It wants to sell and waits for its turn.
    Waiting,
    /// It believes that it is alone in the shop.
    Entered {
        /// The fencing token of the grant, where there is one.
        fence: Option<u64>,
    },
    /// It has read the stock, the payment is through, and it waits for the word to write.
    AboutToWrite {
        /// What it read.
        read: i64,
    },
    /// Its process was stopped.
    Paused,
    /// Its process goes on.
    Woken,
    /// Its own check says that the lease is lost.
    LeaseLost {
        /// Since when, in nanoseconds.
        deadline_ns: u64,
        /// Whether it goes on to write all the same, as a worker without a check would.
        writes_anyway: bool,
    },
    /// It has written stock and order.
    Sold {
        /// The stock that it had read.
        read: i64,
        /// The stock that it wrote over.
        found: i64,
    },
    /// The shop refused its write: somebody with a higher token has been there.
    Refused {
        /// The token presented.
        fence: u64,
        /// The highest that the shop has seen.
        mark: u64,
    },
    /// It no longer believes that it holds anything.
    Left,
    /// It found the shelf empty and goes home.
    SoldOut,
    /// It cannot go on.
    Failed {
        /// Why.
        message: String,
    },
}

impl Event {
    /// An event of now.
    pub(crate) fn now(env: &Env, worker: u32, kind: Kind) -> Self {
        Event { at_ns: env.now().nanos(), worker, kind }
    }

    /// Reads one line of a worker.
    pub(crate) fn read(line: &str) -> anyhow::Result<Self> {
        serde_json::from_str(line).map_err(|source| anyhow::anyhow!("a worker said `{line}`: {source}"))
    }

    /// The line to write.
    pub(crate) fn line(&self) -> serde_json::Result<String> {
        serde_json::to_string(self).map(|line| line + "\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_and_reads_back() {
        for kind in [
            Kind::Ready,
            Kind::Entered { fence: None },
            Kind::Entered { fence: Some(7) },
            Kind::Sold { read: 3, found: 2 },
            Kind::Failed { message: "a\nb".into() },
        ] {
            let event = Event { at_ns: 12, worker: 3, kind };
            let line = event.line().unwrap();
            assert_eq!(line.lines().count(), 1, "{line}");
            assert_eq!(Event::read(&line).unwrap(), event);
        }
    }

    #[test]
    fn rubbish_is_named() {
        assert!(Event::read("hello").unwrap_err().to_string().contains("`hello`"));
    }
}
