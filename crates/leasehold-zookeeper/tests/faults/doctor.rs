//! What the doctor finds on real servers.

use leasehold_core::{Finding, Severity, Store};
use leasehold_testkit::zookeeper::{Ensemble, Server};

use crate::{
    common,
    fixture::{claim, eventually, run, store},
};

const OPEN: (Severity, &str) = (Severity::Warning, "what is made belongs to everybody (world:anyone)");

async fn found(words: &str) -> Vec<Finding> {
    let findings = store(words).await.diagnose().await.unwrap();
    assert!(findings.is_sorted_by_key(|finding| finding.severity), "the worst first: {findings:#?}");
    findings
}

fn bad(findings: &[Finding]) -> Vec<(Severity, &str)> {
    let bad = findings.iter().filter(|finding| finding.severity != Severity::Ok);
    bad.map(|finding| (finding.severity, finding.what.as_str())).collect()
}

#[test]
fn a_server_alone_is_looked_at_with_and_without_a_login() {
    let server = Server::start().unwrap();
    run(async {
        let at = format!("servers={}", server.address());
        let findings = found(&at).await;
        assert_eq!(bad(&findings), [(Severity::Warning, "it is a server alone"), OPEN], "{findings:#?}");
        assert!(findings.iter().any(|it| it.what.starts_with("ZooKeeper 3.") && it.node == server.address()));
        let greens = findings.iter().filter(|finding| finding.severity == Severity::Ok);
        assert!(
            greens.into_iter().any(|it| it.what == "a session lasts 1m, as it was asked to"),
            "{findings:#?}"
        );
        // The kit allows sessions of a second to two minutes.
        for (asked, lasts) in [("500", "1s"), ("300000", "2m")] {
            let findings = found(&format!("{at} session={asked}")).await;
            let what = findings.iter().find(|it| it.what.starts_with("it makes a session of")).unwrap();
            assert!(what.what.contains(&format!("session of {lasts} of")), "{what:?}");
            assert!(what.what.contains("allows 1000 to 120000 ms"), "{what:?}");
        }
        // The root is everybody's; what a user makes is its own.
        let login = format!("{at} login=app:s3cr3t");
        let findings = found(&login).await;
        assert!(bad(&findings)[1].1.contains("anybody may change what is under /"), "{findings:#?}");
        let private = format!("{login} chroot=/private");
        let ours = store(&private).await;
        ours.claim(&claim(&common::env(), "orders", 30_000)).await.unwrap();
        let findings = found(&private).await;
        assert_eq!(bad(&findings).len(), 1, "{findings:#?}");
        assert!(
            findings.iter().any(|it| it.what == "what is made belongs to its user alone"),
            "{findings:#?}"
        );
    });
}

/// Three: whole, seen by one of them alone, with one that is gone, and cut off from a majority.
#[test]
fn an_ensemble_is_looked_at_member_by_member() {
    let ensemble = Ensemble::start(3).unwrap();
    run(async {
        let whole = format!("servers={}", ensemble.addresses());
        let findings = found(&whole).await;
        assert_eq!(bad(&findings), [OPEN], "{findings:#?}");
        assert!(
            findings.iter().any(|finding| finding.what == "of its 3 members 1 may fail"),
            "{findings:#?}"
        );
        let leader = ensemble.leader().unwrap();
        let findings = found(&format!("servers={}", leader.address())).await;
        assert!(
            bad(&findings).contains(&(Severity::Warning, "the URL names 1 of 3 members")),
            "{findings:#?}"
        );
        let one = store(&whole).await;
        let followers = ensemble.followers();
        followers[0].kill();
        eventually(&common::env(), "one of three is gone", || async {
            let Ok(findings) = one.diagnose().await else { return false };
            let gone = &findings[0];
            let is_so = gone.severity == Severity::Critical && gone.what.contains("does not answer");
            is_so && gone.node == followers[0].address()
        })
        .await;
    });
}
