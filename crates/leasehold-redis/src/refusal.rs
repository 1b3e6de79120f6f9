//! What a server refuses, and what that means: which kind of failure, whether it was applied, and what to do.

use leasehold_core::{Error, ErrorKind};
use redis::{RedisError, ServerError};

/// An error reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Refusal {
    /// Its first word.
    pub(crate) code: String,
    /// The rest.
    pub(crate) detail: String,
}

impl Refusal {
    /// The error reply in a failure of the client library; `None` when it is no reply.
    pub(crate) fn of(error: &RedisError) -> Option<Refusal> {
        let code = error.code()?.to_string();
        Some(Refusal { code, detail: error.detail().unwrap_or_default().to_string() })
    }

    pub(crate) fn of_server(error: &ServerError) -> Refusal {
        Refusal { code: error.code().to_string(), detail: error.details().unwrap_or_default().to_string() }
    }

    /// Where `MOVED` and `ASK` point to: the slot and the address.
    pub(crate) fn redirect(&self) -> Option<(u16, &str)> {
        let (slot, address) = self.detail.split_once(' ')?;
        Some((slot.parse().ok()?, address))
    }

    /// Whether the node is not, or not any more, the one to ask: somebody else may be the master.
    pub(crate) fn means_not_master(&self) -> bool {
        matches!(self.code.as_str(), "READONLY" | "MASTERDOWN" | "CLUSTERDOWN" | "LOADING" | "MOVED")
            || (self.code == "UNBLOCKED")
    }

    /// As an error of ours.
    pub(crate) fn into_error(self) -> Error {
        let (kind, hint) = self.meaning();
        let text = format!("{} {}", self.code, self.detail);
        let error = Error::new(kind, text.trim_end()).hint(hint);
        // A script that failed in the middle has done what came before; what keeps a server from writing at all stops its
        // first write, and does not change while it runs.
        let stops_all =
            matches!(self.code.as_str(), "READONLY" | "NOREPLICAS" | "MISCONF" | "OOM" | "MASTERDOWN");
        let in_the_middle = self.detail.contains("script: ") && !stops_all;
        if in_the_middle || self.code == "UNKILLABLE" { error.unknown() } else { error }
    }

    fn meaning(&self) -> (ErrorKind, &'static str) {
        use ErrorKind::{Exhausted, Invalid, Mismatch, NoQuorum, Rejected, TimedOut, Unreachable};
        let says = |words: &str| self.detail.contains(words);
        match self.code.as_str() {
            "BUSY" => {
                (TimedOut, "another script blocks the server: SCRIPT KILL ends it if it has not written")
            }
            "LOADING" => (Unreachable, "the server reads its data set: it answers when it is done"),
            "READONLY" => {
                (Unreachable, "this server is a replica: name the master, or use redis+sentinel://")
            }
            "MASTERDOWN" => (Unreachable, "this replica has lost its master: wait for the failover"),
            "CLUSTERDOWN" => (Unreachable, "the Cluster has no owner for the slot: wait for the failover"),
            "TRYAGAIN" => {
                (Unreachable, "the slot is on its way to another node: the same call will pass soon")
            }
            "MOVED" | "ASK" => (Unreachable, "this is a node of a Cluster: use redis+cluster://"),
            "CROSSSLOT" => {
                (Rejected, "a proxy or a module split the keys of one lock: connect to the nodes themselves")
            }
            "OOM" => (Exhausted, "the server's maxmemory is reached: raise it, or free memory"),
            "MISCONF" => {
                (Rejected, "the server cannot save and takes no writes: look at its log and its disk")
            }
            "NOREPLICAS" => (NoQuorum, "min-replicas-to-write is not met: bring the replicas back"),
            "NOPERM" => (Rejected, "grant the user what WIRE.md lists under access control"),
            "NOAUTH" => (Rejected, "the server wants a password: redis://user:password@host"),
            "WRONGPASS" => (Rejected, "the user name or the password is wrong, or the user is disabled"),
            "WRONGTYPE" => (Mismatch, "the key belongs to something else: choose another name, or a prefix"),
            "NOSCRIPT" => (Unreachable, "the server forgot its scripts twice in a row: ask again"),
            "NOTBUSY" | "EXECABORT" => (Rejected, "ask again"),
            "ERR" if says("max number of clients") => {
                (Unreachable, "the server has too many clients: raise maxclients")
            }
            "ERR" if says("can't run this command") || says("no permissions") => {
                (Rejected, "grant the user what WIRE.md lists under access control")
            }
            "ERR" if says("DB index is out of range") => (Invalid, "the server has fewer databases"),
            "ERR" if says("AUTH") => (Rejected, "the server has no password, or no such user"),
            "ERR" if says("unknown command") => {
                (Rejected, "the server does not know the command: Redis 6.2 or later is needed")
            }
            _ => (Rejected, "see the server's log"),
        }
    }
}

#[cfg(test)]
mod tests {
    use leasehold_core::Outcome;

    use super::*;

    fn error(reply: &str) -> Error {
        let (code, detail) = reply.split_once(' ').unwrap_or((reply, ""));
        Refusal { code: code.into(), detail: detail.into() }.into_error()
    }

    /// What Redis 7.0 says, word for word.
    #[test]
    fn every_class_has_a_kind_and_says_whether_it_passes() {
        let table = [
            (
                "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
                ErrorKind::TimedOut,
                true,
            ),
            ("LOADING Redis is loading the dataset in memory", ErrorKind::Unreachable, true),
            ("READONLY You can't write against a read only replica.", ErrorKind::Unreachable, true),
            (
                "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
                ErrorKind::Unreachable,
                true,
            ),
            ("CLUSTERDOWN Hash slot not served", ErrorKind::Unreachable, true),
            ("TRYAGAIN Multiple keys request during rehashing of slot", ErrorKind::Unreachable, true),
            ("OOM command not allowed when used memory > 'maxmemory'.", ErrorKind::Exhausted, false),
            (
                "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
                ErrorKind::Rejected,
                false,
            ),
            ("NOREPLICAS Not enough good replicas to write.", ErrorKind::NoQuorum, true),
            ("NOPERM this user has no permissions to run the 'evalsha' command", ErrorKind::Rejected, false),
            ("NOAUTH Authentication required.", ErrorKind::Rejected, false),
            ("WRONGPASS invalid username-password pair or user is disabled.", ErrorKind::Rejected, false),
            ("WRONGTYPE Operation against a key holding the wrong kind of value", ErrorKind::Mismatch, false),
            ("ERR max number of clients reached", ErrorKind::Unreachable, true),
            ("ERR DB index is out of range", ErrorKind::Invalid, false),
            ("ERR unknown command 'WAIT'", ErrorKind::Rejected, false),
        ];
        for (reply, kind, transient) in table {
            let error = error(reply);
            assert_eq!((error.kind(), error.is_transient()), (kind, transient), "{reply}");
            assert_eq!(error.outcome(), Outcome::NotApplied, "{reply}");
            assert!(error.hint_text().is_some() && error.to_string().contains(reply), "{error:?}");
        }
    }

    #[test]
    fn a_script_that_failed_in_the_middle_may_have_been_applied() {
        let reply = "NOPERM this user has no permissions to run the 'publish' command script: 1a2b, on @user_script:9.";
        assert_eq!(error(reply).outcome(), Outcome::Unknown);
        let reply = "READONLY You can't write against a read only replica. script: 1a2b, on @user_script:9.";
        assert_eq!(error(reply).outcome(), Outcome::NotApplied);
    }

    #[test]
    fn redirections_are_read() {
        let moved = Refusal { code: "MOVED".into(), detail: "3999 127.0.0.1:6381".into() };
        assert_eq!(moved.redirect(), Some((3999, "127.0.0.1:6381")));
        assert_eq!(Refusal { code: "MOVED".into(), detail: "x".into() }.redirect(), None);
    }
}
