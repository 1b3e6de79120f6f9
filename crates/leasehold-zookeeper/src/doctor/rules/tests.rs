use std::time::Duration;

use leasehold_core::Severity::{self, Critical, Warning};

use super::*;

const SRVR: &str = "Zookeeper version: 3.8.0-5a02a05, built on 2022-02-25 08:49 UTC\nLatency min/avg/max: 0/0.0/0\n\
    Received: 2\nOutstanding: 0\nMode: follower\nNode count: 5\n";
const CONF: &str = "clientPort=2181\ntickTime=2000\nminSessionTimeout=4000\nmaxSessionTimeout=40000\n";
const CONFIG: &str = "server.1=10.0.0.1:2888:3888:participant;0.0.0.0:2181\nserver.2=10.0.0.2:2888:3888:participant\n\
    server.3=10.0.0.3:2888:3888:participant\nserver.4=10.0.0.4:2888:3888:observer\nversion=0";

/// An ensemble of three, all of them named, and an observer.
fn probe() -> Probe {
    let look = |at| Reading {
        node: format!("zk{at}:2181"),
        is_remote: false,
        srvr: Answer::of("srvr", SRVR),
        conf: Answer::of("conf", CONF),
    };
    Probe {
        readings: (1..=3).map(look).collect(),
        session_asked: Duration::from_secs(30),
        session_timeout: Duration::from_secs(30),
        config: Some(CONFIG.into()),
        is_open: Some(false),
        has_login: true,
        chroot: "/locks".into(),
    }
}

fn other(change: impl FnOnce(&mut Probe)) -> Probe {
    let mut probe = probe();
    change(&mut probe);
    probe
}

/// One whose first member says this.
fn says(from: &str, to: &str) -> Probe {
    assert!(SRVR.contains(from));
    other(|it| it.readings[0].srvr = Answer::of("srvr", &SRVR.replace(from, to)))
}

/// Everything that is said of these probe and is not well.
fn bad(probe: &Probe) -> Vec<(Severity, String, String)> {
    let findings = findings(probe);
    for finding in &findings {
        let is_complete = !finding.what.is_empty() && !finding.why.is_empty() && !finding.node.is_empty();
        assert!(is_complete && finding.fix.is_empty() == (finding.severity == Severity::Ok), "{finding:?}");
    }
    let others = findings.into_iter().filter(|finding| finding.severity != Severity::Ok);
    others.map(|finding| (finding.severity, finding.node, finding.what)).collect()
}

#[test]
fn an_ensemble_that_is_well_is_green() {
    let findings = findings(&probe());
    assert!(findings.iter().all(|finding| finding.severity == Severity::Ok), "{findings:#?}");
    let whats: Vec<&str> = findings.iter().map(|finding| finding.what.as_str()).collect();
    for what in [
        "it is a follower",
        "ZooKeeper 3.8.0",
        "of its 3 members 1 may fail",
        "a session lasts 30s, as it was asked to",
    ] {
        assert!(whats.contains(&what), "{what}: {whats:?}");
    }
}

#[test]
fn each_fact_has_its_colour() {
    let refused = "srvr is not executed because it is not in the whitelist.\n";
    let nobody = "This ZooKeeper instance is not currently serving requests\n";
    let table: Vec<(Probe, Severity, &str, &str)> = vec![
        (says("follower", "standalone"), Warning, "zk1:2181", "server alone"),
        (says("follower", "read-only"), Critical, "zk1:2181", "cut off from a majority"),
        (says("3.8.0-5a02a05", "3.5.9-83df9301"), Critical, "zk1:2181", "ZooKeeper 3.5.9"),
        (says("Outstanding: 0", "Outstanding: 100"), Warning, "zk1:2181", "100 requests"),
        (other(|it| it.readings[1].srvr = Answer::of("srvr", nobody)), Critical, "zk2:2181", "serves nobody"),
        (other(|it| it.readings[1].srvr = Answer::of("srvr", "")), Critical, "zk2:2181", "does not answer"),
        (
            other(|it| it.readings[2].srvr = Answer::of("srvr", refused)),
            Warning,
            "zookeeper",
            "conf is answered by zk3:2181",
        ),
        (
            other(|it| it.readings[2].conf = Answer::of("conf", refused)),
            Warning,
            "zookeeper",
            "conf is answered by zk3:2181",
        ),
        (
            other(|it| it.config = Some(CONFIG.replace("observer", "participant"))),
            Warning,
            "zookeeper",
            "even (4): 1 may fail",
        ),
        (
            other(|it| it.session_timeout = Duration::from_secs(20)),
            Warning,
            "zookeeper",
            "of 30s (it allows 4000 to 40000 ms)",
        ),
        (
            other(|it| it.session_timeout = Duration::from_secs(60)),
            Warning,
            "zookeeper",
            "a session of 1m of 30s",
        ),
        (other(|it| it.has_login = false), Warning, "zookeeper", "belongs to everybody"),
        (
            other(|it| it.is_open = Some(true)),
            Warning,
            "zookeeper",
            "anybody may change what is under /locks",
        ),
        (other(|it| it.readings[0].is_remote = true), Warning, "zookeeper", "the password and all requests"),
    ];
    for (mut probe, severity, node, what) in table {
        if what.contains("even") {
            probe.readings.push(probe.readings[0].clone());
        }
        let found = bad(&probe);
        let is_so = matches!(&found[..], [(colour, on, text)] if *colour == severity && on == node && text.contains(what));
        assert!(is_so, "{what}: {found:?}");
    }
}

#[test]
fn members_that_the_url_leaves_out_are_counted() {
    let found = bad(&other(|it| it.readings.truncate(2)));
    assert!(
        matches!(&found[..], [(Warning, _, text)] if text == "the URL names 2 of 3 members"),
        "{found:?}"
    );
}

#[test]
fn what_was_not_seen_is_not_judged() {
    let found = bad(&other(|it| {
        it.config = None;
        it.is_open = None;
        it.readings.iter_mut().for_each(|reading| reading.conf = Answer::None(String::new()));
    }));
    assert!(found.is_empty(), "{found:?}");
    let alone = other(|it| it.config = Some(String::new()));
    assert_eq!(alone.participants(), None, "a server alone writes down nobody");
}
