//! The findings of the doctor on real members.

use leasehold_core::{ErrorKind, Finding, Severity};
use leasehold_testkit::etcd::{Cluster, Member};

use crate::{
    common,
    fixture::{at, run, store, store_with},
};

async fn found(words: &str) -> Vec<Finding> {
    let findings = store(words).diagnose().await.unwrap();
    assert!(findings.is_sorted_by_key(|finding| finding.severity), "the worst first: {findings:#?}");
    findings
}

fn bad(findings: &[Finding]) -> Vec<(Severity, &str)> {
    let bad = findings.iter().filter(|finding| finding.severity != Severity::Ok);
    bad.map(|finding| (finding.severity, finding.what.as_str())).collect()
}

#[test]
fn a_member_alone_that_lets_in_everybody_is_amber() {
    let member = Member::start().unwrap();
    run(async {
        let findings = found(&at(&member)).await;
        let alone = [
            (Severity::Warning, "it is one member"),
            (Severity::Warning, "it accepts every client, without a login"),
        ];
        assert_eq!(bad(&findings), alone, "{findings:#?}");
        assert!(findings.iter().any(|it| it.what.starts_with("etcd 3.") && it.node == member.address()));
        // With a login; and without one it is not looked at any more.
        common::enable_logins(&member).unwrap();
        let findings = found(&format!("{} login=locks", at(&member))).await;
        assert_eq!(bad(&findings)[..1], alone[..1], "{findings:#?}");
        assert!(findings.iter().any(|finding| finding.what == "it needs a login"), "{findings:#?}");
        let error = store(&at(&member)).diagnose().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected, "{error:?}");
    });
}

#[test]
fn a_database_that_is_full_is_red() {
    let member = Member::builder().arg("--quota-backend-bytes=4194304").start().unwrap();
    let lump = "x".repeat(100_000);
    while member.ctl(&["put", "lump", &lump]).is_ok() {}
    run(async {
        let findings = found(&at(&member)).await;
        let (severity, what) = bad(&findings)[0];
        assert!(severity == Severity::Critical && what.contains("NOSPACE"), "{findings:#?}");
        assert_eq!(findings[0].node, member.address());
    });
}

/// A cluster of three: whole, seen by one of its members alone, with a learner, with one that is gone, and mixed up with
/// another.
#[test]
fn a_cluster_is_looked_at_member_by_member() {
    let (cluster, other) = (Cluster::start().unwrap(), Member::start().unwrap());
    let open = (Severity::Warning, "it accepts every client, without a login");
    run(async {
        let whole = common::at(cluster.members());
        let findings = found(&whole).await;
        // That of this machine revokes live leases when its leader was stalled.
        let is_known = |what: &str| what.ends_with("revokes live leases (etcd#15247)");
        let bad = |findings: &'_ [Finding]| -> Vec<(Severity, String)> {
            let bad = findings.iter().filter(|it| it.severity != Severity::Ok && !is_known(&it.what));
            bad.map(|finding| (finding.severity, finding.what.clone())).collect()
        };
        assert!(findings.iter().any(|it| is_known(&it.what)) && !is_known(open.1), "{findings:#?}");
        let open = (open.0, open.1.to_string());
        assert_eq!(bad(&findings), std::slice::from_ref(&open), "{findings:#?}");
        assert!(findings.iter().any(|finding| finding.what == "of its 3 members 1 may fail"));
        let findings = found(&at(cluster.member(0))).await;
        assert!(
            bad(&findings).contains(&(Severity::Warning, "the URL leaves out m1, m2".into())),
            "{findings:#?}"
        );
        let findings = found(&common::at(cluster.members().chain([&other]))).await;
        assert_eq!(
            bad(&findings)[0],
            (Severity::Critical, "the addresses belong to 2 clusters".to_string()),
            "{findings:#?}"
        );
        // Never started; it is listed, and has no vote.
        let learner = ["member", "add", "m3", "--learner", "--peer-urls=http://127.0.0.1:1"];
        // A cluster takes one when its members have known each other for a while.
        crate::fixture::eventually(&common::env(), "a learner", || async {
            cluster.member(0).ctl(&learner).is_ok()
        })
        .await;
        let findings = found(&whole).await;
        assert_eq!(bad(&findings), [open], "{findings:#?}");
        cluster.member(2).kill();
        let findings = found(&whole).await;
        assert!(findings[0].severity == Severity::Critical && findings[0].what.contains("does not answer"));
        assert_eq!(findings[0].node, cluster.member(2).address());
        // Without a majority those that are left answer, and know no leader.
        cluster.member(1).kill();
        let last = store_with(&whole, |options| options.timeout = crate::fixture::SOON);
        crate::fixture::eventually(&common::env(), "no leader", || async {
            let findings = last.diagnose().await.unwrap();
            findings
                .iter()
                .any(|it| it.what == "it knows no leader" && it.node == cluster.member(0).address())
        })
        .await;
    });
}
