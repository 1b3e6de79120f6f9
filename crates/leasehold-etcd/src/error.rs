//! Failures of requests: their class, whether the request was applied, and what to do.

use std::{error::Error as StdError, io};

use leasehold_core::{Error, ErrorKind};
use tonic::{Code, Status};

const LOGIN: &str = "log in again: etcd://user:password@host";
const LOG: &str = "see the member's log";
const MEMBER: &str = "is the member running, and is the address right?";

/// The class of a failed request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Failure {
    /// This member cannot serve the request, and has not: another one may.
    Elsewhere,
    /// The outcome is unknown.
    Lost,
    /// The login is not valid any more; the request was not applied.
    Login,
    /// A lease that the request names does not exist; the request was not applied.
    LeaseNotFound,
    /// Refused.
    Refused,
}

/// The class of a failed request.
pub(crate) fn failure(status: &Status) -> Failure {
    classify(status).0
}

/// Whether the connection had ended before.
fn was_not_sent(status: &Status) -> bool {
    let is_not_sent = |error: &(dyn StdError + 'static)| {
        error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::NotConnected)
    };
    status.source().is_some_and(|source| causes(source).any(is_not_sent))
}

/// An error, its cause, and so on.
fn causes<'e>(error: &'e (dyn StdError + 'static)) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'e (dyn StdError + 'static)| (**error).source())
}

/// The error for a status, with a hint.
pub(crate) fn explain(status: &Status) -> Error {
    let (failure, kind, hint) = classify(status);
    let message = match status.source() {
        // The text of the transport alone says little.
        Some(source) => format!("{}: {}", status.message(), innermost(source)),
        None => status.message().to_string(),
    };
    let error = Error::new(kind, message).hint(hint);
    if failure == Failure::Lost { error.unknown() } else { error }
}

/// The text of the first cause of an error.
pub(crate) fn innermost(error: &(dyn StdError + 'static)) -> String {
    causes(error).last().unwrap_or(error).to_string()
}

fn classify(status: &Status) -> (Failure, ErrorKind, &'static str) {
    use ErrorKind::{Exhausted, NoQuorum, Rejected, TimedOut, Unreachable};
    use Failure::{Elsewhere, LeaseNotFound, Login, Lost, Refused};
    let contains = |words: &str| status.message().contains(words);
    let is_own_answer = status.source().is_none();
    match status.code() {
        _ if was_not_sent(status) => (Elsewhere, Unreachable, MEMBER),
        Code::Unavailable if contains("no leader") => (
            Elsewhere,
            NoQuorum,
            "a majority of the members is needed: bring them back, or wait for the election",
        ),
        Code::Unavailable if ["not healthy", "not capable", "for learner"].into_iter().any(contains) => {
            (Elsewhere, Unreachable, "this member cannot serve: name the others in the URL as well")
        }
        Code::FailedPrecondition if contains("not leader") => {
            (Elsewhere, Unreachable, "a new leader was elected meanwhile: ask again")
        }
        Code::Unavailable if contains("leader changed") => {
            (Lost, Unreachable, "a new leader was elected meanwhile: repeat the claim by its id")
        }
        Code::Unavailable if contains("timed out") => (
            Lost,
            TimedOut,
            "too few members answer each other in time: look at their logs, disks and network",
        ),
        Code::ResourceExhausted if contains("database space exceeded") => {
            (Refused, Exhausted, "the cluster takes no writes: compact, defragment, and disarm its alarm")
        }
        // etcd's members are behind with what was decided; nothing was proposed.
        Code::ResourceExhausted if contains("too many requests") => {
            (Refused, Unreachable, "the cluster is overloaded: the same request will pass later")
        }
        Code::ResourceExhausted => {
            (Refused, Exhausted, "a limit of the cluster or of this client is reached")
        }
        Code::NotFound if contains("lease not found") => (LeaseNotFound, Rejected, LOG),
        Code::PermissionDenied => (Refused, Rejected, "grant the user's role the ranges that WIRE.md lists"),
        Code::Unauthenticated if contains("invalid auth token") => (Login, Rejected, LOGIN),
        Code::Unauthenticated => (Refused, Rejected, LOGIN),
        Code::InvalidArgument if contains("old revision of the auth store") => (Login, Rejected, LOGIN),
        Code::InvalidArgument if contains("authentication failed") => {
            (Refused, Rejected, "the user name or the password is wrong")
        }
        Code::InvalidArgument if contains("user name is empty") => {
            (Refused, Rejected, "the cluster needs a login: etcd://user:password@host")
        }
        Code::FailedPrecondition if contains("authentication is not enabled") => {
            (Refused, Rejected, "authentication is disabled: leave user and password out")
        }
        Code::DeadlineExceeded | Code::Cancelled => {
            (Lost, TimedOut, "is the cluster overloaded, paused, or cut off?")
        }
        // With a source it is an error of the transport.
        Code::Unknown if is_own_answer && contains("etcdserver") => (Refused, Rejected, LOG),
        Code::Unavailable | Code::Unknown | Code::Internal => (Lost, Unreachable, MEMBER),
        _ => (Refused, Rejected, LOG),
    }
}

#[cfg(test)]
mod tests {
    use leasehold_core::Outcome;

    use super::*;

    /// The messages of etcd 3.4, word for word.
    #[test]
    fn every_class_has_a_kind_and_says_whether_it_may_have_been_applied() {
        use ErrorKind::{Exhausted, NoQuorum, Rejected, TimedOut, Unreachable};
        let table = [
            (Code::Unavailable, "etcdserver: no leader", NoQuorum, Outcome::NotApplied),
            (Code::Unavailable, "etcdserver: leader changed", Unreachable, Outcome::Unknown),
            (Code::Unavailable, "etcdserver: request timed out", TimedOut, Outcome::Unknown),
            (
                Code::Unavailable,
                "etcdserver: request timed out, possibly due to connection lost",
                TimedOut,
                Outcome::Unknown,
            ),
            (
                Code::ResourceExhausted,
                "etcdserver: mvcc: database space exceeded",
                Exhausted,
                Outcome::NotApplied,
            ),
            (Code::ResourceExhausted, "etcdserver: too many requests", Unreachable, Outcome::NotApplied),
            (Code::FailedPrecondition, "etcdserver: not leader", Unreachable, Outcome::NotApplied),
            (Code::Unavailable, "etcdserver: unhealthy cluster", Unreachable, Outcome::Unknown),
            (Code::Unavailable, "etcdserver: server stopped", Unreachable, Outcome::Unknown),
            (
                Code::Unavailable,
                "etcdserver: rpc not supported for learner",
                Unreachable,
                Outcome::NotApplied,
            ),
            (Code::PermissionDenied, "etcdserver: permission denied", Rejected, Outcome::NotApplied),
            (
                Code::InvalidArgument,
                "etcdserver: authentication failed, invalid user ID or password",
                Rejected,
                Outcome::NotApplied,
            ),
            (Code::InvalidArgument, "etcdserver: user name is empty", Rejected, Outcome::NotApplied),
            (Code::Unauthenticated, "etcdserver: invalid auth token", Rejected, Outcome::NotApplied),
            (Code::Cancelled, "Timeout expired", TimedOut, Outcome::Unknown),
        ];
        for (code, message, kind, outcome) in table {
            let error = explain(&Status::new(code, message));
            assert_eq!((error.kind(), error.outcome()), (kind, outcome), "{message}");
            assert!(error.hint_text().is_some() && error.to_string().contains(message), "{error:?}");
        }
    }

    #[test]
    fn a_lease_that_is_gone_is_known_as_that() {
        let status = Status::new(Code::NotFound, "etcdserver: requested lease not found");
        assert_eq!(failure(&status), Failure::LeaseNotFound);
    }
}
