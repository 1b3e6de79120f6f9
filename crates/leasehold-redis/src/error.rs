//! [`ServerError`]: an error reply, with its kind, its outcome, and a hint.

use leasehold_core::{Error, ErrorKind};
use redis::RedisError;

/// An error reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ServerError {
    /// The first word.
    pub(crate) code: String,
    /// The rest.
    pub(crate) detail: String,
}

impl From<&redis::ServerError> for ServerError {
    fn from(error: &redis::ServerError) -> ServerError {
        ServerError {
            code: error.code().to_string(),
            detail: error.details().unwrap_or_default().to_string(),
        }
    }
}

impl ServerError {
    /// The error reply in a failure of the client library; `None` for a failure of another kind.
    pub(crate) fn of(error: &RedisError) -> Option<ServerError> {
        let code = error.code()?.to_string();
        Some(ServerError { code, detail: error.detail().unwrap_or_default().to_string() })
    }

    /// The address that `MOVED` and `ASK` name after the slot.
    pub(crate) fn redirect(&self) -> Option<&str> {
        let names_one = matches!(self.code.as_str(), "MOVED" | "ASK");
        self.detail.split_once(' ').filter(|_| names_one).map(|(_, address)| address)
    }

    /// Whether the server does not know RESP3, in reply to HELLO.
    pub(crate) fn lacks_resp3(&self) -> bool {
        self.code == "NOPROTO" || self.detail.to_ascii_lowercase().contains("unknown command")
    }

    /// Whether another node may be the master.
    pub(crate) fn means_not_master(&self) -> bool {
        self.ends_connection() || matches!(self.code.as_str(), "MOVED" | "UNBLOCKED")
    }

    /// Whether the connection is to be made anew, by the name of the server: another one may be behind it now, or this
    /// one has lost its data.
    pub(crate) fn ends_connection(&self) -> bool {
        ["READONLY", "MASTERDOWN", "CLUSTERDOWN", "LOADING"].contains(&self.code.as_str())
    }

    /// Whether the server withholds a command: by its rights, or by another name.
    pub(crate) fn withholds_command(&self) -> bool {
        let texts = ["unknown command", "can't run this command", "no permissions"];
        self.code == "NOPERM" || self.code == "ERR" && texts.iter().any(|text| self.detail.contains(text))
    }

    /// Whether a script may have written before it failed. A server that takes no writes refuses the first one, and
    /// goes on refusing while the script runs.
    fn may_be_applied(&self) -> bool {
        let takes_no_writes =
            matches!(self.code.as_str(), "READONLY" | "NOREPLICAS" | "MISCONF" | "OOM" | "MASTERDOWN");
        self.code == "UNKILLABLE" || (self.detail.contains("script: ") && !takes_no_writes)
    }

    fn meaning(&self) -> (ErrorKind, &'static str) {
        use ErrorKind::{Exhausted, Invalid, Mismatch, NoQuorum, Rejected, TimedOut, Unreachable};
        let mentions = |words: &str| self.detail.contains(words);
        match self.code.as_str() {
            "BUSY" => {
                (TimedOut, "another script blocks the server: SCRIPT KILL ends it if it has not written")
            }
            "LOADING" => (Unreachable, "the server is loading its data set: wait until it is done"),
            "READONLY" => {
                (Unreachable, "this server is a replica: name the master, or use redis+sentinel://")
            }
            "MASTERDOWN" => (Unreachable, "this replica has lost its master: wait for the failover"),
            "CLUSTERDOWN" => (Unreachable, "the Cluster has no owner for the slot: wait for the failover"),
            "TRYAGAIN" => (Unreachable, "the slot is migrating to another node: try again soon"),
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
            "NOSCRIPT" => (Unreachable, "the server lost its scripts twice in a row: try again"),
            "NOTBUSY" | "EXECABORT" => (Rejected, "try again"),
            "ERR" if mentions("max number of clients") => {
                (Unreachable, "the server has too many clients: raise maxclients")
            }
            "ERR" if mentions("can't run this command") || mentions("no permissions") => {
                (Rejected, "grant the user what WIRE.md lists under access control")
            }
            "ERR" if mentions("DB index is out of range") => (Invalid, "the server has fewer databases"),
            "ERR" if mentions("AUTH") => (Rejected, "the server has no password, or no such user"),
            "ERR" if mentions("unknown command") => (
                Rejected,
                "the server has renamed or disabled it (rename-command), or is older than Redis 6.2",
            ),
            _ => (Rejected, "see the server's log"),
        }
    }
}

impl From<ServerError> for Error {
    fn from(reply: ServerError) -> Error {
        let (kind, hint) = reply.meaning();
        let text = format!("{} {}", reply.code, reply.detail);
        let error = Error::new(kind, text.trim_end()).hint(hint);
        if reply.may_be_applied() { error.unknown() } else { error }
    }
}

#[cfg(test)]
mod tests {
    use leasehold_core::Outcome;

    use super::*;

    fn error(reply: &str) -> Error {
        let (code, detail) = reply.split_once(' ').unwrap_or((reply, ""));
        ServerError { code: code.into(), detail: detail.into() }.into()
    }

    /// The texts of Redis 7.0.
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
        let moved = ServerError { code: "MOVED".into(), detail: "3999 127.0.0.1:6381".into() };
        assert_eq!(moved.redirect(), Some("127.0.0.1:6381"));
        assert_eq!(ServerError { code: "MOVED".into(), detail: "x".into() }.redirect(), None);
    }
}
