//! [`QuorumMarker`]: the marker that a member of a quorum keeps, and how long it has forgotten nothing.
//!
//! A member that was restarted without its data, emptied, or restarted with data that was not all on disk may have
//! forgotten who holds. Redlock's remedy is a delayed restart, which operators forget; here the member has no vote until
//! the longest lease has passed.

use leasehold_core::{Error, ErrorKind, Result};
use redis::{Cmd, aio::MultiplexedConnection, cmd};

use crate::{
    format::{Script, clock_us, exchange, first, info_field, list, number, text},
    options::QuorumMembership,
};

/// The key of the marker.
pub(crate) const MARKER: &str = "leasehold:member";

/// A marker without its time, for a member that lost its own while it ran: its run is not known.
pub(crate) fn unknown_run(membership: QuorumMembership) -> String {
    format!("? {} {} 0", membership.members, membership.longest_lease.as_millis())
}

/// Registers a server as a member of a quorum, on every new connection.
#[derive(Debug)]
pub(crate) struct QuorumMarker {
    membership: QuorumMembership,
    script: Script,
}

/// One run of a server, as its INFO shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Run {
    id: String,
    started_ms: u64,
    is_untouched: bool,
    is_durable: bool,
}

impl QuorumMarker {
    pub(crate) fn new(membership: QuorumMembership) -> QuorumMarker {
        QuorumMarker { membership, script: Script::new(include_str!("../scripts/member/register.lua")) }
    }

    /// Registers the server behind a new connection.
    ///
    /// # Errors
    /// [`ErrorKind::Unsafe`] for a replica, a node of a Cluster, and a server that is registered with another quorum;
    /// [`ErrorKind::Rejected`] without the rights to ask.
    pub(crate) async fn register(&self, connection: &mut MultiplexedConnection) -> Result<()> {
        let (mut stats, mut policy) = (cmd("INFO"), cmd("CONFIG"));
        stats.arg("commandstats");
        policy.arg("GET").arg("appendfsync");
        let questions = [cmd("INFO"), stats, policy, cmd("TIME"), self.script.load()];
        let mut replies = exchange(connection, &questions).await?;
        let info = text(Some(&first(&mut replies)?))?.unwrap_or_default();
        // Figures that the user may not see count as the worst ones.
        let stats = first(&mut replies).ok().and_then(|value| text(Some(&value)).ok().flatten());
        let policy = first(&mut replies).ok().and_then(|value| list(value, "a setting and its value").ok());
        let now_us = clock_us(first(&mut replies)?)?;
        refuse_dependent(&info)?;
        let fsync = policy.and_then(|pair| text(pair.get(1)).ok().flatten());
        let run = Run::of(&info, stats.as_deref(), fsync.as_deref(), now_us / 1000);
        let mut replies = exchange(connection, &[self.call(&run)]).await?;
        let answer = list(first(&mut replies)?, "a reply to a registration")?;
        match number(answer.first())? {
            0 => Ok(()),
            _ => Err(self.another_quorum(number(answer.get(1))?, number(answer.get(2))?)),
        }
    }

    fn call(&self, run: &Run) -> Cmd {
        let mut call = self.script.call([MARKER]);
        call.arg(&run.id).arg(run.started_ms).arg(u8::from(run.is_untouched));
        call.arg(self.membership.members).arg(self.membership.longest_lease.as_millis() as u64);
        call.arg(u8::from(run.is_durable));
        call
    }

    fn another_quorum(&self, members: i64, longest_ms: i64) -> Error {
        let QuorumMembership { members: ours, longest_lease } = self.membership;
        let message = format!(
            "it is a member of a quorum of {members} with a longest lease of {longest_ms} ms, and here it is one of {ours} \
             with {} ms",
            longest_lease.as_millis()
        );
        Error::new(ErrorKind::Unsafe, message).hint(
            "let all clients name the same members and the same longest_lease; to change them, stop all clients, wait for \
             the longest lease, and delete the key leasehold:member on every member",
        )
    }
}

impl Run {
    fn of(info: &str, stats: Option<&str>, fsync: Option<&str>, now_ms: u64) -> Run {
        let number = |name: &str| info_field(info, name).and_then(|value| value.parse::<u64>().ok());
        let up_ms = number("uptime_in_seconds").unwrap_or(0).saturating_mul(1000);
        let emptied = |stats: &str| {
            ["cmdstat_flushall:", "cmdstat_flushdb:", "cmdstat_swapdb:"]
                .iter()
                .any(|command| stats.lines().any(|line| line.starts_with(command)))
        };
        Run {
            id: info_field(info, "run_id").filter(|id| !id.is_empty()).unwrap_or("?").to_string(),
            // Uptime is in whole seconds.
            started_ms: now_ms.saturating_sub(up_ms) + if up_ms > 0 { 1000 } else { 0 },
            is_untouched: number("evicted_keys") == Some(0) && stats.is_some_and(|stats| !emptied(stats)),
            is_durable: info_field(info, "aof_enabled") == Some("1") && fsync == Some("always"),
        }
    }
}

/// Reads any INFO, for fuzz targets.
#[cfg(any(test, fuzzing))]
pub(crate) fn read(info: &str) {
    let run = Run::of(info, Some(info), info_field(info, "appendfsync"), 1_700_000_000_000);
    assert!(!run.id.is_empty());
    let _ = refuse_dependent(info);
}

/// Servers that share their data cannot vote separately.
fn refuse_dependent(info: &str) -> Result<()> {
    let refuse = |message: String| {
        Err(Error::new(ErrorKind::Unsafe, message).hint("members of a quorum are independent masters"))
    };
    if info_field(info, "cluster_enabled") == Some("1") {
        return refuse("it is a node of a Cluster, whose nodes share its data".to_string());
    }
    if info_field(info, "role") == Some("slave") {
        let master = info_field(info, "master_host").unwrap_or("another server");
        return refuse(format!("it is a replica of {master}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str =
        "run_id:abc\r\nuptime_in_seconds:7\r\nevicted_keys:0\r\naof_enabled:1\r\nrole:master\r\n";

    #[test]
    fn a_run_is_what_info_says() {
        let run = Run::of(INFO, Some("cmdstat_get:calls=1\r\n"), Some("always"), 100_000);
        let expected = Run { id: "abc".into(), started_ms: 94_000, is_untouched: true, is_durable: true };
        assert_eq!(run, expected);
    }

    #[test]
    fn what_is_not_known_counts_as_forgotten() {
        assert!(!Run::of(INFO, None, None, 100_000).is_untouched);
        assert!(!Run::of(INFO, Some("cmdstat_flushdb:calls=1"), None, 100_000).is_untouched);
        assert!(!Run::of("evicted_keys:3\r\n", Some(""), None, 100_000).is_untouched);
        assert!(!Run::of(INFO, Some(""), Some("everysec"), 100_000).is_durable);
        assert_eq!(Run::of("", None, None, 5).id, "?");
    }

    #[test]
    fn replicas_and_nodes_of_a_cluster_are_refused() {
        assert!(refuse_dependent(INFO).is_ok());
        for info in ["role:slave\r\nmaster_host:db1\r\n", "role:master\r\ncluster_enabled:1\r\n"] {
            assert_eq!(refuse_dependent(info).unwrap_err().kind(), ErrorKind::Unsafe);
        }
    }
}
