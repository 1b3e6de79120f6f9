//! What the client library or a server refuses, and what that means.

use leasehold_core::{Error, ErrorKind};
use zookeeper_client::Error as Foreign;

/// Why a request was not answered with what was asked for.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// There is no such node.
    NoNode,
    /// There is such a node already.
    NodeExists,
    /// The node was changed meanwhile.
    BadVersion,
    /// The node has children.
    NotEmpty,
    /// All else.
    Failed(Error),
}

/// Whether a request that is not answered may have changed something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Effect {
    Reads,
    Writes,
}

impl Effect {
    pub(crate) fn doubt(self, error: Error) -> Error {
        if self == Effect::Writes { error.unknown() } else { error }
    }
}

impl Refusal {
    pub(crate) fn of(foreign: Foreign, effect: Effect) -> Refusal {
        match foreign {
            Foreign::NoNode => Refusal::NoNode,
            Foreign::NodeExists => Refusal::NodeExists,
            Foreign::BadVersion => Refusal::BadVersion,
            Foreign::NotEmpty => Refusal::NotEmpty,
            other => Refusal::Failed(error(&other, effect)),
        }
    }

    /// As an error of ours, where the node itself should not have been a problem.
    pub(crate) fn into_error(self) -> Error {
        let odd = |message: &str| {
            Error::new(ErrorKind::Corrupt, message)
                .hint("another program changes the nodes of this lock: see WIRE.md")
        };
        match self {
            Refusal::NoNode => odd("a node went away that should be there"),
            Refusal::NodeExists => odd("a node is there that should not be"),
            Refusal::BadVersion => odd("a node keeps changing"),
            Refusal::NotEmpty => odd("a node has children that should have none"),
            Refusal::Failed(error) => error,
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Refusal::Failed(error)
    }
}

/// An error of the library as one of ours. None of its messages carries a password.
pub(crate) fn error(foreign: &Foreign, effect: Effect) -> Error {
    use ErrorKind::{Closed, Exhausted, Invalid, Rejected, TimedOut, Unreachable};
    let (kind, is_refused, hint) = match foreign {
        Foreign::NoAuth => (Rejected, true, "grant the user what WIRE.md lists under access control"),
        Foreign::AuthFailed => (Rejected, true, "the servers do not accept this login"),
        Foreign::InvalidAcl => {
            (Rejected, true, "an access list needs a login: zookeeper://user:password@host")
        }
        Foreign::QuotaExceeded => (Exhausted, true, "the quota of the path is used up"),
        Foreign::Throttled => {
            (Unreachable, true, "the server is overloaded: the same request will pass later")
        }
        Foreign::NotReadOnly => (Unreachable, true, "this member has lost the majority: wait for it"),
        Foreign::Unimplemented => (Rejected, true, "ZooKeeper 3.6 or later is needed"),
        Foreign::BadArguments(_) | Foreign::MarshallingError => (Invalid, true, "see the message"),
        Foreign::NoHosts => (Unreachable, true, "no member can be reached: are the addresses right?"),
        Foreign::ClientClosed => (Closed, false, "this client is closed"),
        Foreign::SessionExpired | Foreign::SessionMoved => {
            (Unreachable, false, "the session has ended and all holds of this client with it: ask again")
        }
        Foreign::Timeout => (TimedOut, false, "no member answers: is there a majority?"),
        _ => (Unreachable, false, "the connection was lost: ask again"),
    };
    let error = Error::new(kind, foreign.to_string()).hint(hint);
    if is_refused { error } else { effect.doubt(error) }
}

#[cfg(test)]
mod tests {
    use leasehold_core::Outcome;

    use super::*;

    #[test]
    fn what_was_refused_was_not_applied_and_what_was_lost_may_have_been() {
        let outcome = |foreign: Foreign, effect| match Refusal::of(foreign, effect) {
            Refusal::Failed(error) => Some((error.kind(), error.outcome())),
            _ => None,
        };
        use Effect::{Reads, Writes};
        assert_eq!(
            outcome(Foreign::ConnectionLoss, Writes),
            Some((ErrorKind::Unreachable, Outcome::Unknown))
        );
        assert_eq!(
            outcome(Foreign::ConnectionLoss, Reads),
            Some((ErrorKind::Unreachable, Outcome::NotApplied))
        );
        assert_eq!(
            outcome(Foreign::SessionExpired, Writes),
            Some((ErrorKind::Unreachable, Outcome::Unknown))
        );
        assert_eq!(outcome(Foreign::NoAuth, Writes), Some((ErrorKind::Rejected, Outcome::NotApplied)));
        assert_eq!(outcome(Foreign::NoNode, Writes), None);
    }
}
