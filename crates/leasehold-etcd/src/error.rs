//! What etcd refuses, and what that leases: which kind of failure, whether it was applied, and what to do.

use std::error::Error as _;

use leasehold_core::{Error, ErrorKind};
use tonic::{Code, Status};

/// What a request came to when it was not answered as it should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Failure {
    /// This member cannot serve it, and has not: another one may.
    Elsewhere,
    /// Nobody knows whether it was carried out.
    Lost,
    /// The login is not valid any more; it was not carried out.
    Login,
    /// A lease that it names is not there; it was not carried out.
    NoLease,
    /// Refused.
    Refused,
}

/// Why a member could not be asked, or what it refused.
pub(crate) fn failure(status: &Status) -> Failure {
    let says = |words: &str| status.message().contains(words);
    match status.code() {
        Code::Unavailable if says("no leader") => Failure::Elsewhere,
        Code::Unavailable if says("not healthy") || says("not capable") => Failure::Elsewhere,
        Code::NotFound if says("lease not found") => Failure::NoLease,
        Code::Unauthenticated if says("invalid auth token") => Failure::Login,
        Code::InvalidArgument if says("old revision of the auth store") => Failure::Login,
        Code::Unavailable if status.source().is_some() && was_not_sent(status) => Failure::Elsewhere,
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown | Code::Internal => {
            // etcd's own answers come from etcd; what comes from the transport is lost on the way.
            if status.code() == Code::Unknown && status.source().is_none() && says("etcdserver") {
                Failure::Refused
            } else {
                Failure::Lost
            }
        }
        _ => Failure::Refused,
    }
}

/// Whether the connection could not even be made.
fn was_not_sent(status: &Status) -> bool {
    let mut cause = status.source();
    while let Some(error) = cause {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// As an error of ours.
pub(crate) fn explain(status: &Status) -> Error {
    let (kind, hint) = meaning(status);
    let message = match status.source() {
        // The text of the transport says little by itself.
        Some(source) => format!("{}: {}", status.message(), innermost(source)),
        None => status.message().to_string(),
    };
    let error = Error::new(kind, message).hint(hint);
    if failure(status) == Failure::Lost { error.unknown() } else { error }
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

fn meaning(status: &Status) -> (ErrorKind, &'static str) {
    use ErrorKind::{Exhausted, NoQuorum, Rejected, TimedOut, Unreachable};
    let says = |words: &str| status.message().contains(words);
    match status.code() {
        Code::Unavailable if says("no leader") => {
            (NoQuorum, "a majority of the members is needed: bring them back, or wait for the election")
        }
        Code::Unavailable if says("leader changed") => {
            (Unreachable, "a new leader was elected meanwhile: the claim is asked for again by its id")
        }
        Code::Unavailable if says("timed out") => {
            (TimedOut, "too few members answer each other in time: look at their logs, disks and network")
        }
        Code::ResourceExhausted if says("database space exceeded") => {
            (Exhausted, "the cluster takes no writes: compact, defragment, and disarm its alarm")
        }
        Code::ResourceExhausted => (Exhausted, "the cluster has more to do than it can: ask again later"),
        Code::PermissionDenied => (Rejected, "grant the user's role the ranges that WIRE.md lists"),
        Code::Unauthenticated => (Rejected, "log in again: etcd://user:password@host"),
        Code::InvalidArgument if says("authentication failed") => {
            (Rejected, "the user name or the password is wrong")
        }
        Code::InvalidArgument if says("user name is empty") => {
            (Rejected, "the cluster wants a login: etcd://user:password@host")
        }
        Code::FailedPrecondition if says("authentication is not enabled") => {
            (Rejected, "the cluster has no logins: leave user and password out")
        }
        Code::DeadlineExceeded | Code::Cancelled => {
            (TimedOut, "is the cluster overloaded, paused, or cut off?")
        }
        Code::Unavailable | Code::Unknown | Code::Internal if status.source().is_some() => {
            (Unreachable, "is the member running, and is the address right?")
        }
        _ => (Rejected, "see the member's log"),
    }
}

#[cfg(test)]
mod tests {
    use leasehold_core::Outcome;

    use super::*;

    /// What etcd 3.4 says, word for word.
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
            (Code::ResourceExhausted, "etcdserver: too many requests", Exhausted, Outcome::NotApplied),
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
        assert_eq!(failure(&status), Failure::NoLease);
    }
}
