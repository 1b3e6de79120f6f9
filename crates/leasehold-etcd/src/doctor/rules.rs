//! The rules from facts to findings. No I/O: each rule reads facts about one member or the cluster, and has no finding
//! where they are missing.

#[cfg(test)]
mod tests;

use leasehold_core::{
    Finding,
    store_kit::{clear_text, silent_member, voting_members},
};

use super::probe::{Probe, Reading};
use crate::{
    protocol::{AlarmMember, StatusResponse},
    server_info::{OLDEST, numbers},
};

/// The node of findings about no member in particular.
const CLUSTER: &str = "etcd";
// The numbers of alarms.
const NOSPACE: i32 = 1;
const CORRUPT: i32 = 2;
/// The default quota of a database. Members before 3.6 do not report theirs.
const QUOTA_USUAL: i64 = 2 << 30;
/// The percentage of the quota from which the database is nearly full.
const SIZE_PERCENT: i64 = 80;
/// Cluster of these versions may end up with different data when one is killed (etcd#13766).
const INCONSISTENT: [&str; 3] = ["3.5.0", "3.5.1", "3.5.2"];

/// The findings for a cluster.
pub(super) fn findings(probe: &Probe) -> Vec<Finding> {
    let mut findings: Vec<Finding> = probe.readings.iter().flat_map(member).collect();
    findings.extend(alarms(probe));
    let rules: [fn(&Probe) -> Option<Finding>; 7] =
        [several_clusters, size_of_cluster, stalled_leader, unnamed, access, privacy, blind];
    findings.extend(rules.iter().filter_map(|rule| rule(probe)));
    findings
}

/// The findings for one member.
fn member(reading: &Reading) -> Vec<Finding> {
    let node = &reading.node;
    match &reading.status {
        Err(why) => vec![silent_member(node, why)],
        Ok(status) => {
            let rules: [fn(&str, &StatusResponse) -> Option<Finding>; 4] = [leader, version, learner, size];
            rules.iter().filter_map(|rule| rule(node, status)).collect()
        }
    }
}

fn leader(node: &str, status: &StatusResponse) -> Option<Finding> {
    (status.leader == 0).then(|| {
        Finding::critical(
            node,
            "it knows no leader",
            "it is cut off from a majority of the members: no lock can be acquired or renewed through it",
            "bring the others back, or find out why it cannot reach them; an election takes seconds",
        )
    })
}

fn version(node: &str, status: &StatusResponse) -> Option<Finding> {
    let version = &status.version;
    let what = format!("etcd {version}");
    let fix = "upgrade it, one member after the other";
    if numbers(version) < OLDEST {
        return Some(Finding::critical(
            node,
            what,
            "before 3.4 it cannot compare ranges of keys, and answers such a comparison wrongly: locks are refused",
            fix,
        ));
    }
    if INCONSISTENT.contains(&version.as_str()) {
        return Some(Finding::critical(
            node,
            what,
            "after it was killed, its data may differ from the others': a lock that is held may look free \
             (etcd#13766)",
            fix,
        ));
    }
    Some(Finding::ok(node, what, "it supports everything that locks need"))
}

fn learner(node: &str, status: &StatusResponse) -> Option<Finding> {
    status.is_learner.then(|| {
        Finding::warning(
            node,
            "it is a learner",
            "it has no vote, and refuses requests, which then go to another member",
            "promote it (etcdctl member promote), or leave it out of the URL until it is",
        )
    })
}

fn size(node: &str, status: &StatusResponse) -> Option<Finding> {
    let quota = if status.db_size_quota > 0 { status.db_size_quota } else { QUOTA_USUAL };
    let whose = if status.db_size_quota > 0 { "its" } else { "the usual" };
    let percent = status.db_size.max(0).saturating_mul(100) / quota;
    let what = format!("its database has {percent} % of {whose} quota of {} MB", quota >> 20);
    if percent >= SIZE_PERCENT {
        return Some(Finding::warning(
            node,
            what,
            "a cluster with a full database refuses new locks; existing ones are renewed and released",
            "compact and defragment it (etcdctl compact, defrag), have it compact itself \
             (--auto-compaction-retention), or raise --quota-backend-bytes",
        ));
    }
    Some(Finding::ok(node, what, "there is room for locks"))
}

fn alarms(probe: &Probe) -> Vec<Finding> {
    let Ok(alarms) = &probe.alarms else { return Vec::new() };
    let finding = |alarm: &AlarmMember| {
        let node = probe.name_of(alarm.member_id);
        match alarm.alarm {
            NOSPACE => Some(Finding::critical(
                node,
                "its database is full (alarm NOSPACE)",
                "the cluster refuses new locks until there is room; existing ones are renewed and released",
                "compact and defragment it (etcdctl compact, defrag), then etcdctl alarm disarm",
            )),
            CORRUPT => Some(Finding::critical(
                node,
                "its data differ from the others' (alarm CORRUPT)",
                "the cluster refuses new locks, and its answers may be wrong",
                "remove the member that differs from the cluster, and add it again without its data",
            )),
            _ => None,
        }
    };
    alarms.iter().filter_map(finding).collect()
}

fn several_clusters(probe: &Probe) -> Option<Finding> {
    let count = probe.clusters().len();
    (count > 1).then(|| {
        Finding::critical(
            CLUSTER,
            format!("the addresses belong to {count} clusters"),
            "a client of one cluster enters while a client of another holds the lock",
            "name the members of one cluster only; use quorum: for several that vote",
        )
    })
}

fn size_of_cluster(probe: &Probe) -> Option<Finding> {
    match probe.voters()? {
        1 => Some(Finding::warning(
            CLUSTER,
            "it is one member",
            "while it is down no lock can be acquired or renewed, and with its disk all locks and tokens are lost",
            "add two members (etcdctl member add)",
        )),
        voters => voting_members(CLUSTER, voters),
    }
}

/// With one member there is no other that renews what it revokes.
fn stalled_leader(probe: &Probe) -> Option<Finding> {
    let revokes = |version: &str| {
        let numbers = numbers(version);
        // What is older is red anyway, and so are the first three of 3.5.
        (OLDEST..(3, 4, 31)).contains(&numbers) || ((3, 5, 3)..(3, 5, 13)).contains(&numbers)
    };
    let (node, status) = probe.statuses().find(|(_, status)| revokes(&status.version))?;
    (probe.voters() != Some(1)).then(|| {
        Finding::warning(
            CLUSTER,
            format!(
                "etcd {} on {node}: a leader that was stalled revokes live leases (etcd#15247)",
                status.version
            ),
            "for a moment two may hold: the first one learns of its loss at its next renewal",
            "upgrade to 3.4.31, 3.5.13 or later; let resources check fencing tokens",
        )
    })
}

fn unnamed(probe: &Probe) -> Option<Finding> {
    let others = probe.unnamed();
    if others.is_empty() {
        return None;
    }
    Some(Finding::warning(
        CLUSTER,
        format!("the URL leaves out {}", others.join(", ")),
        "when the named members are down, the cluster cannot be reached although it serves",
        "name all members: etcd://host1,host2,host3",
    ))
}

fn access(probe: &Probe) -> Option<Finding> {
    if probe.has_login {
        return Some(Finding::ok(CLUSTER, "it needs a login", "no anonymous client can end its locks"));
    }
    Some(Finding::warning(
        CLUSTER,
        "it accepts every client, without a login",
        "any client that reaches it can end every lock, and change all other data",
        "give locks a user of their own, with the ranges that WIRE.md lists, and etcdctl auth enable",
    ))
}

fn privacy(probe: &Probe) -> Option<Finding> {
    let is_seen = !probe.has_tls && probe.readings.iter().any(|reading| reading.is_remote);
    let fix = "start members with --cert-file and --key-file, and write etcds://";
    is_seen.then(|| clear_text(CLUSTER, probe.has_login, fix))
}

fn blind(probe: &Probe) -> Option<Finding> {
    let refused =
        [("the members", probe.members.as_ref().err()), ("the alarms", probe.alarms.as_ref().err())];
    let refused: Vec<String> =
        refused.iter().filter_map(|(what, why)| Some(format!("{what} ({})", (*why)?))).collect();
    if refused.is_empty() {
        return None;
    }
    Some(Finding::warning(
        CLUSTER,
        format!("incomplete: the cluster does not show {}", refused.join(", ")),
        "problems that they would show are not found",
        "use a user with the rights to read them, or ask the operator of the cluster",
    ))
}
