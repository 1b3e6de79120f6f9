use leasehold_core::Severity::{self, Critical, Warning};

use super::*;
use crate::protocol::{AlarmMember, Member, ResponseHeader};

fn status(member: u64) -> StatusResponse {
    StatusResponse {
        header: ResponseHeader { cluster_id: 7, member_id: member, ..ResponseHeader::default() },
        version: "3.5.13".into(),
        leader: 1,
        db_size: 1 << 20,
        ..StatusResponse::default()
    }
}

fn member(id: u64) -> Member {
    Member { id, name: format!("m{id}"), is_learner: false }
}

/// A cluster of `count` members, all of them named.
fn probe(count: u64) -> Probe {
    let reading = |id| Reading { node: format!("h{id}:2379"), is_remote: false, status: Ok(status(id)) };
    Probe {
        readings: (1..=count).map(reading).collect(),
        members: Ok((1..=count).map(member).collect()),
        alarms: Ok(Vec::new()),
        has_login: true,
        has_tls: false,
    }
}

fn one(change: impl FnOnce(&mut StatusResponse)) -> Probe {
    let mut probe = probe(3);
    change(probe.readings[0].status.as_mut().unwrap());
    probe
}

fn other(change: impl FnOnce(&mut Probe)) -> Probe {
    let mut probe = probe(3);
    change(&mut probe);
    probe
}

/// The findings that are not ok.
fn said(probe: &Probe) -> Vec<(Severity, String, String)> {
    let findings = findings(probe);
    for finding in &findings {
        let is_complete = !finding.what.is_empty() && !finding.why.is_empty() && !finding.node.is_empty();
        assert!(is_complete && finding.fix.is_empty() == (finding.severity == Severity::Ok), "{finding:?}");
    }
    let bad = findings.into_iter().filter(|finding| finding.severity != Severity::Ok);
    bad.map(|finding| (finding.severity, finding.node, finding.what)).collect()
}

#[test]
fn a_cluster_that_is_well_is_green() {
    let findings = findings(&probe(3));
    assert!(findings.iter().all(|finding| finding.severity == Severity::Ok), "{findings:#?}");
    assert_eq!(
        findings.len(),
        8,
        "two of each member, one of their number, one of who is let in: {findings:#?}"
    );
    assert!(findings.iter().any(|finding| finding.what == "of its 3 members 1 may fail"));
}

#[test]
fn each_fact_has_its_colour() {
    let alarm = |id, kind| AlarmMember { member_id: id, alarm: kind };
    let table: Vec<(Probe, Severity, &str, &str)> = vec![
        (one(|it| it.leader = 0), Critical, "h1:2379", "no leader"),
        (one(|it| it.version = "3.3.27".into()), Critical, "h1:2379", "3.3.27"),
        (one(|it| it.version = "3.5.2".into()), Critical, "h1:2379", "3.5.2"),
        (
            one(|it| it.version = "3.4.30".into()),
            Warning,
            "etcd",
            "3.4.30 on h1:2379: a leader that was stalled",
        ),
        (one(|it| it.version = "3.5.12".into()), Warning, "etcd", "revokes live leases (etcd#15247)"),
        (one(|it| it.is_learner = true), Warning, "h1:2379", "learner"),
        (one(|it| it.db_size = 1718 << 20), Warning, "h1:2379", "83 % of the usual quota of 2048 MB"),
        (
            one(|it| (it.db_size, it.db_size_quota) = (8 << 20, 10 << 20)),
            Warning,
            "h1:2379",
            "80 % of its quota",
        ),
        (one(|it| it.header.cluster_id = 8), Critical, "etcd", "2 clusters"),
        (
            other(|it| it.readings[1].status = Err("refused".into())),
            Critical,
            "h2:2379",
            "does not answer: refused",
        ),
        (other(|it| it.alarms = Ok(vec![alarm(2, NOSPACE)])), Critical, "h2:2379", "NOSPACE"),
        (other(|it| it.alarms = Ok(vec![alarm(9, CORRUPT)])), Critical, "member 9", "CORRUPT"),
        (other(|it| it.alarms = Err("not allowed".into())), Warning, "etcd", "the alarms (not allowed)"),
        (other(|it| it.members = Err("not allowed".into())), Warning, "etcd", "the members (not allowed)"),
        (other(|it| it.has_login = false), Warning, "etcd", "without a login"),
        (other(|it| it.readings[2].is_remote = true), Warning, "etcd", "the password and all requests"),
        (probe(1), Warning, "etcd", "one member"),
        (probe(4), Warning, "etcd", "even (4): 1 may fail"),
    ];
    for (probe, severity, node, what) in table {
        let found = said(&probe);
        let is_so = matches!(&found[..], [(colour, on, text)] if *colour == severity && on == node && text.contains(what));
        assert!(is_so, "{what}: {found:?}");
    }
}

/// Cluster that the URL leaves out are counted by those that answer: one that does not may be any of them.
#[test]
fn members_that_are_not_named_are_told_from_members_that_are_down() {
    let found = said(&other(|it| it.readings.truncate(1)));
    assert!(matches!(&found[..], [(Warning, _, text)] if text == "the URL leaves out m2, m3"), "{found:?}");
    let found = said(&other(|it| it.readings[1].status = Err("down".into())));
    assert_eq!(found.len(), 1, "{found:?}");
    // A learner is not missed.
    let found = said(&other(|it| {
        it.readings.truncate(2);
        it.members.as_mut().unwrap()[2].is_learner = true;
    }));
    assert!(matches!(&found[..], [(Warning, _, text)] if text.contains("even (2): 0 may fail")), "{found:?}");
}

#[test]
fn what_is_encrypted_or_stays_on_this_machine_is_private() {
    let remote = |tls| {
        other(|it| {
            it.readings[0].is_remote = true;
            it.has_tls = tls;
        })
    };
    assert!(said(&remote(true)).is_empty() && said(&probe(3)).is_empty());
    assert_eq!(said(&remote(false)).len(), 1);
}
