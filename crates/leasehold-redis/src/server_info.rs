//! Identity and memory of a server. A member of a quorum keeps a marker of how long it has forgotten nothing.
//!
//! A member that was restarted without its data, emptied, or restarted with data that was not all on disk may have
//! forgotten who holds. Redlock's remedy is a delayed restart, which operators forget; here the member has no vote until
//! the longest lease has passed.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use leasehold_core::{Error, ErrorKind, Result, ServerInfo};
use redis::{Value, cmd};

use crate::{
    format::{Request, Script, clock_us, info, info_field, next, read, text, unexpected},
    options::QuorumMembership,
    transport::link::Link,
};

static REGISTER: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../scripts/member/register.lua")));
static PROMOTE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../scripts/member/promote.lua")));

/// The key of the marker.
pub(crate) const MARKER: &str = "leasehold:member";

/// A marker without its time, for a member that lost its own while it ran: its run is not known.
pub(crate) fn unknown_run(membership: QuorumMembership) -> String {
    format!("? {} {} 0", membership.members, membership.longest_lease.as_millis())
}

/// Asks for the identity of a server, and of a member how long it has forgotten nothing.
pub(crate) fn identify(is_member: bool) -> Request<'static, ServerInfo> {
    let mut commands = vec![info("server"), info("replication"), cmd("TIME")];
    if is_member {
        let mut marker = cmd("GET");
        marker.arg(MARKER);
        commands.push(marker);
    }
    Request::commands(commands, move |replies| {
        let replies = &mut replies.into_iter();
        let (server, replication) = (text(&next(replies)?)?, text(&next(replies)?)?);
        let wall_us = clock_us(&next(replies)?)?;
        let remembers_for = match is_member {
            true => remembered(read(&next(replies)?, "a marker")?, wall_us),
            false => Duration::MAX,
        };
        Ok(ServerInfo {
            server: info_field(&server, "run_id").unwrap_or_default().into(),
            lineage: info_field(&replication, "master_replid").map(Arc::from),
            remembers_for,
            wall_us,
        })
    })
}

/// The time for which nothing was forgotten, by the marker; none without a marker.
pub(crate) fn remembered(marker: Option<String>, wall_us: u64) -> Duration {
    let since_ms = marker.and_then(|marker| marker.split(' ').next()?.parse::<u64>().ok());
    since_ms.map_or(Duration::ZERO, |since| Duration::from_millis((wall_us / 1000).saturating_sub(since)))
}

/// Gives a member of a quorum its vote at once.
pub(crate) fn promote() -> Request<'static, ()> {
    Request::call(&PROMOTE, PROMOTE.call(&[MARKER]), |promoted| match promoted {
        Value::Int(1) => Ok(()),
        _ => Err(Error::new(ErrorKind::Unsupported, "it is not a member of a quorum")),
    })
}

/// Registers the server behind a new connection as a member of a quorum.
///
/// # Errors
/// [`ErrorKind::Unsafe`] for a replica, a node of a Cluster, and a server that is registered with another quorum;
/// [`ErrorKind::Rejected`] without the rights to ask.
pub(crate) async fn register(membership: QuorumMembership, link: &Link) -> Result<()> {
    let mut policy = cmd("CONFIG");
    policy.arg("GET").arg("appendfsync");
    let questions = [cmd("INFO"), info("commandstats"), policy, cmd("TIME"), REGISTER.load()];
    let replies = &mut link.exchange(&questions).await?.into_iter();
    let info = text(&next(replies)?)?;
    // Figures that the user may not see count as the worst ones.
    let stats = next(replies).and_then(|stats| text(&stats)).ok();
    let policy =
        next(replies).and_then(|pair| read::<(String, String)>(&pair, "a setting and its value")).ok();
    let now_us = clock_us(&next(replies)?)?;
    refuse_dependent(&info)?;
    let run = Run::of(&info, stats.as_deref(), policy.as_ref().map(|(_, fsync)| &**fsync), now_us / 1000);
    let longest_ms = membership.longest_lease.as_millis() as u64;
    if run.id == "?" {
        let message = "it does not tell its run (INFO has no run_id), so a restart from an older snapshot would go \
                       unnoticed";
        return Err(Error::new(ErrorKind::Unsafe, message)
            .hint("members of a quorum are Redis or Valkey servers, without a proxy in between"));
    }
    let mut call = REGISTER.call(&[MARKER]);
    call.arg(&run.id).arg(run.started_ms).arg(u8::from(run.is_untouched));
    call.arg(membership.members).arg(longest_ms).arg(u8::from(run.is_durable));
    let reply = next(&mut link.exchange(&[call]).await?.into_iter())?;
    let (members, longest) = match read::<Vec<i64>>(&reply, "a reply to a registration")?[..] {
        [0, ..] => return Ok(()),
        [_, members, longest] => (members, longest),
        _ => return Err(unexpected("a reply to a registration", &reply)),
    };
    let message = format!(
        "it is a member of a quorum of {members} with a longest lease of {longest} ms, and here it is one of {} with \
         {longest_ms} ms",
        membership.members
    );
    Err(Error::new(ErrorKind::Unsafe, message).hint(
        "let all clients name the same members and the same longest_lease; to change them, stop all clients, wait for \
         the longest lease, and delete the key leasehold:member on every member",
    ))
}

/// One run of a server, as its INFO shows it.
#[derive(PartialEq, Eq, Debug)]
struct Run {
    id: String,
    started_ms: u64,
    is_untouched: bool,
    is_durable: bool,
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
pub(crate) fn read_run(info: &str) {
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
