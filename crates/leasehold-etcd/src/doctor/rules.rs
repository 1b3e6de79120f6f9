//! From probe to findings. No I/O: each rule readings at what was seen of one member or of the cluster, and has nothing to say
//! about what was not.

#[cfg(test)]
mod tests;

use leasehold_core::Finding;

use super::probe::{Probe, Reading};
use crate::{
    proto::{AlarmType, StatusResponse},
    server_info::knows_ranges,
};

/// What is found of no member in particular is found on this.
const CLUSTER: &str = "etcd";
/// What a database may grow to unless it is configured otherwise. Cluster before 3.6 do not say.
const QUOTA_USUAL: i64 = 2 << 30;
/// The share of it in percent from which a limit is near.
const SIZE_PERCENT: i64 = 80;
/// Cluster of these versions may end up with different data when one is killed (etcd#13766).
const INCONSISTENT: [&str; 3] = ["3.5.0", "3.5.1", "3.5.2"];

/// What the probe mean for locks.
pub(super) fn findings(probe: &Probe) -> Vec<Finding> {
    let mut findings: Vec<Finding> = probe.readings.iter().flat_map(look).collect();
    findings.extend(alarms(probe));
    let rules: [fn(&Probe) -> Option<Finding>; 6] =
        [strangers, size_of_cluster, unnamed, access, privacy, blind];
    findings.extend(rules.iter().filter_map(|rule| rule(probe)));
    findings
}

/// What is to be said of one member.
fn look(look: &Reading) -> Vec<Finding> {
    let node = &look.node;
    match &look.seen {
        Err(why) => vec![Finding::critical(
            node,
            format!("it does not answer: {why}"),
            "while it is down, one less of the others may fail",
            "bring it back, or find out why it cannot be reached",
        )],
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
            "it is cut off from a majority of the members: no lock can be taken or renewed through it",
            "bring the others back, or find out why it cannot reach them; an election takes seconds",
        )
    })
}

fn version(node: &str, status: &StatusResponse) -> Option<Finding> {
    let version = &status.version;
    let what = format!("etcd {version}");
    let fix = "upgrade it, one member after the other";
    if !knows_ranges(version) {
        return Some(Finding::critical(
            node,
            what,
            "before 3.4 it cannot compare ranges of keys, and answers such a question wrongly: no lock is taken there",
            fix,
        ));
    }
    if INCONSISTENT.contains(&version.as_str()) {
        return Some(Finding::critical(
            node,
            what,
            "after it was killed, it may have other data than the others: a lock that is held may look free \
             (etcd#13766)",
            fix,
        ));
    }
    Some(Finding::ok(node, what, "it has everything that locks need"))
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
            "a cluster whose database is full takes no locks; those that are held are renewed and released",
            "compact and defragment it (etcdctl compact, defrag), have it compact itself \
             (--auto-compaction-retention), or raise --quota-backend-bytes",
        ));
    }
    Some(Finding::ok(node, what, "there is room for locks"))
}

fn alarms(probe: &Probe) -> Vec<Finding> {
    let Ok(alarms) = &probe.alarms else { return Vec::new() };
    let finding = |alarm: &crate::proto::AlarmMember| {
        let node = probe.name_of(alarm.member_id);
        match alarm.alarm() {
            AlarmType::Nospace => Some(Finding::critical(
                node,
                "its database is full (alarm NOSPACE)",
                "the cluster takes no locks until somebody makes room; those that are held are renewed and released",
                "compact and defragment it (etcdctl compact, defrag), then etcdctl alarm disarm",
            )),
            AlarmType::Corrupt => Some(Finding::critical(
                node,
                "its data differ from the others' (alarm CORRUPT)",
                "the cluster takes no locks, and what it shows may be wrong",
                "take the member that differs out of the cluster, and add it anew without its data",
            )),
            AlarmType::None => None,
        }
    };
    alarms.iter().filter_map(finding).collect()
}

fn strangers(probe: &Probe) -> Option<Finding> {
    let count = probe.clusters().len();
    (count > 1).then(|| {
        Finding::critical(
            CLUSTER,
            format!("the addresses belong to {count} clusters"),
            "whoever is answered by another one than the holder enters while it is at work",
            "name the members of one cluster alone; for several that vote there is quorum:",
        )
    })
}

fn size_of_cluster(probe: &Probe) -> Option<Finding> {
    let voters = probe.voters()?;
    let may_fail = voters.saturating_sub(1) / 2;
    match voters {
        0 => None,
        1 => Some(Finding::warning(
            CLUSTER,
            "it is one member",
            "while it is down no lock can be taken or renewed, and with its disk all locks and tokens are lost",
            "add two members (etcdctl member add)",
        )),
        _ if voters.is_multiple_of(2) => Some(Finding::warning(
            CLUSTER,
            format!("its members are even ({voters}): {may_fail} may fail"),
            "as many may fail as with one member less, and one more can",
            "add one member, or take one away",
        )),
        _ => Some(Finding::ok(
            CLUSTER,
            format!("of its {voters} members {may_fail} may fail"),
            "locks survive their loss",
        )),
    }
}

fn unnamed(probe: &Probe) -> Option<Finding> {
    let others = probe.unnamed();
    if others.is_empty() {
        return None;
    }
    Some(Finding::warning(
        CLUSTER,
        format!("the URL leaves out {}", others.join(", ")),
        "when those that it names are down, nobody can be asked, though the cluster serves",
        "name all members: etcd://host1,host2,host3",
    ))
}

fn access(probe: &Probe) -> Option<Finding> {
    if probe.has_login {
        return Some(Finding::ok(CLUSTER, "it wants a login", "no foreign ends its locks"));
    }
    Some(Finding::warning(
        CLUSTER,
        "it lets in everybody, without a login",
        "whoever reaches it can end every lock, and whatever else is in it",
        "give locks a user of their own, with the ranges that WIRE.md lists, and etcdctl auth enable",
    ))
}

fn privacy(probe: &Probe) -> Option<Finding> {
    if probe.has_tls || !probe.readings.iter().any(|look| look.is_remote) {
        return None;
    }
    let what = if probe.has_login { "the password and all requests" } else { "all requests" };
    Some(Finding::warning(
        CLUSTER,
        format!("{what} go over the network in the clear"),
        "whoever is on the way can read them, and change them",
        "start members with --cert-file and --key-file, and write etcds://",
    ))
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
        format!("could not look: the cluster does not show {}", refused.join(", ")),
        "what they would have shown is not judged here",
        "ask as a user who may, or ask who runs the cluster",
    ))
}
