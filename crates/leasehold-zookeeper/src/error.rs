//! [`ServerError`]: the errors of the client library and the servers.

use leasehold_core::{Error, ErrorKind, Result};
use zookeeper_client::Error as ClientError;

/// The error of a request.
#[derive(Debug)]
pub(crate) enum ServerError {
    NoNode,
    NodeExists,
    /// The node was changed meanwhile.
    BadVersion,
    Failed(Error),
}

impl ServerError {
    /// The error of a request that changes nothing.
    pub(crate) fn reading(foreign: ClientError) -> ServerError {
        match ServerError::writing(foreign) {
            ServerError::Failed(error) => ServerError::Failed(error.not_applied()),
            other => other,
        }
    }

    /// The error of a request that may have changed something.
    pub(crate) fn writing(foreign: ClientError) -> ServerError {
        match foreign {
            ClientError::NoNode => ServerError::NoNode,
            ClientError::NodeExists => ServerError::NodeExists,
            ClientError::BadVersion => ServerError::BadVersion,
            other => ServerError::Failed(error(&other)),
        }
    }
}

impl From<Error> for ServerError {
    fn from(error: Error) -> Self {
        ServerError::Failed(error)
    }
}

/// The public error, where the node itself should not have been a problem.
impl From<ServerError> for Error {
    fn from(error: ServerError) -> Self {
        match error {
            ServerError::NoNode => odd("a node went away that should be there"),
            ServerError::NodeExists => odd("a node is there that should not be"),
            ServerError::BadVersion => odd("a node keeps changing"),
            ServerError::Failed(error) => error,
        }
    }
}

fn odd(message: &str) -> Error {
    Error::new(ErrorKind::Corrupt, message)
        .hint("another program changes the nodes of this lock: see WIRE.md")
}

/// The answer to a request; `None` when its node does not exist.
pub(crate) fn unless_gone<T>(answer: Result<T, ServerError>) -> Result<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(ServerError::NoNode) => Ok(None),
        Err(other) => Err(other.into()),
    }
}

/// The public error for one of the library. None of its messages contains a password.
fn error(foreign: &ClientError) -> Error {
    use ErrorKind::{Closed, Exhausted, Invalid, Rejected, TimedOut, Unreachable};
    let (kind, is_refused, hint) = match foreign {
        ClientError::NotEmpty => return odd("a node has children that should have none"),
        ClientError::NoAuth => (Rejected, true, "grant the user what WIRE.md lists under access control"),
        ClientError::AuthFailed => (Rejected, true, "the servers do not accept this login"),
        ClientError::InvalidAcl => {
            (Rejected, true, "an access list needs a login: zookeeper://user:password@host")
        }
        ClientError::QuotaExceeded => (Exhausted, true, "the quota of the path is used up"),
        ClientError::Throttled => {
            (Unreachable, true, "the server is overloaded: the same request will pass later")
        }
        ClientError::NotReadOnly => (Unreachable, true, "this member has lost the majority: wait for it"),
        ClientError::Unimplemented => (Rejected, true, "ZooKeeper 3.6 or later is needed"),
        ClientError::BadArguments(_) | ClientError::MarshallingError => (Invalid, true, "see the message"),
        ClientError::NoHosts => (Unreachable, true, "no member can be reached: are the addresses right?"),
        ClientError::ClientClosed => (Closed, false, "`close` was called before"),
        ClientError::SessionExpired | ClientError::SessionMoved => {
            (Unreachable, false, "the session has ended and all holds of this client with it: ask again")
        }
        ClientError::Timeout => (TimedOut, false, "no member answers: is there a majority?"),
        _ => (Unreachable, false, "the connection was lost: ask again"),
    };
    let error = Error::new(kind, foreign.to_string()).hint(hint);
    if is_refused { error } else { error.unknown() }
}

#[cfg(test)]
mod tests {
    use leasehold_core::Outcome;

    use super::*;

    #[test]
    fn what_was_refused_was_not_applied_and_what_was_lost_may_have_been() {
        let outcome = |error| match error {
            ServerError::Failed(error) => Some((error.kind(), error.outcome())),
            _ => None,
        };
        let (reading, writing) = (ServerError::reading, ServerError::writing);
        let unreachable = |outcome| Some((ErrorKind::Unreachable, outcome));
        assert_eq!(outcome(writing(ClientError::ConnectionLoss)), unreachable(Outcome::Unknown));
        assert_eq!(outcome(reading(ClientError::ConnectionLoss)), unreachable(Outcome::NotApplied));
        assert_eq!(outcome(writing(ClientError::SessionExpired)), unreachable(Outcome::Unknown));
        assert_eq!(outcome(writing(ClientError::NoAuth)), Some((ErrorKind::Rejected, Outcome::NotApplied)));
        assert_eq!(outcome(writing(ClientError::NoNode)), None);
    }
}
