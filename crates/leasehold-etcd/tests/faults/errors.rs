//! Errors contain the failure, whether the request may have been applied, and no secret.

use std::{process::Stdio, time::Duration};

use leasehold_core::{ErrorKind, Outcome, Store};
use leasehold_etcd::{EtcdOptions, EtcdStore};
use leasehold_testkit::{etcd::Member, process::Process, wait};

use crate::{
    common,
    fixture::{SOON, at, claim, eventually, keys, run, store, store_with, take},
    naive::{self, Login, etcdctl},
};

#[test]
fn a_wrong_password_is_refused_and_not_shown() {
    let member = Member::start().unwrap();
    common::enable_logins(&member).unwrap();
    run(async {
        let env = common::env();
        let wrong = store_with(&format!("{} login=locks", at(&member)), |options| {
            options.access.password = "c4nary".into();
        });
        let error = wrong.claim(&claim(&env, "x", 30)).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Rejected, Outcome::NotApplied), "{error:?}");
        assert!(!format!("{error:?} {wrong:?}").contains("c4nary"), "{error:?}");
        let anonymous = store(&at(&member));
        let error = anonymous.claim(&claim(&env, "x", 30)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected, "{error:?}");
        assert!(error.hint_text().unwrap().contains("etcd://user:password@host"), "{error:?}");
        take(&store(&format!("{} login=locks", at(&member))), &claim(&env, "x", 30)).await;
    });
    // The control: etcdctl has its password in its command line, which every process listing shows.
    let address = member.address();
    let naive = Process::start("etcdctl", |command| {
        command.env("ETCDCTL_API", "3").arg(format!("--endpoints={address}"));
        command.args(["--user=locks:pw", "lock", "naive", "sleep", "600"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    });
    let naive = naive.unwrap();
    let line = || std::fs::read_to_string(format!("/proc/{}/cmdline", naive.id())).unwrap_or_default();
    assert!(wait::until(SOON, || line().contains("locks:pw")), "the control: everybody reads it");
}

/// Of a role that may not write there, with the ranges to grant in the hint; a token that the cluster has forgotten is
/// fetched anew.
#[test]
fn rights_that_are_missing_and_logins_that_have_ended() {
    let member = Member::start().unwrap();
    for words in [
        &["user", "add", "root:pw"][..],
        &["user", "grant-role", "root", "root"],
        &["role", "add", "some"],
        &["role", "grant-permission", "some", "readwrite", "some", "somf"],
        &["role", "grant-permission", "some", "read", "%", "&"],
        &["user", "add", "locks:pw"],
        &["user", "grant-role", "locks", "some"],
        &["auth", "enable"],
    ] {
        member.ctl(words).unwrap();
    }
    run(async {
        let (env, store) = (common::env(), store(&format!("{} login=locks", at(&member))));
        let error = store.claim(&claim(&env, "other", 30)).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Rejected, Outcome::NotApplied), "{error:?}");
        take(&store, &claim(&env, "some lock", 30)).await;
        // Logins end when they are switched off, also when they are switched on again.
        let naive = Login::fetch(&member.address());
        assert!(naive.is_accepted());
        for word in ["disable", "enable"] {
            member.ctl(&["--user=root:pw", "auth", word]).unwrap();
        }
        assert!(!naive.is_accepted(), "the control: a login that was fetched once is refused from then on");
        take(&store, &claim(&env, "some other", 30)).await;
    });
}

#[test]
fn an_untrusted_certificate_is_refused() {
    let member = Member::builder().tls().start().unwrap();
    run(async {
        let words = format!("{} tls=/nowhere", at(&member));
        let missing = EtcdStore::new(common::options(&words).unwrap(), common::env()).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::Invalid);
        let mut system = common::options(&at(&member)).unwrap();
        system.access.tls = true;
        let error = EtcdStore::open(system, common::env()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected, "{error:?}");
        assert!(error.hint_text().unwrap().contains("ca=PATH"), "{error:?}");
        // Without TLS, towards a member that speaks nothing else.
        let plain = EtcdStore::open(common::options(&at(&member)).unwrap(), common::env()).await.unwrap_err();
        assert!(plain.is_transient(), "{plain:?}");
    });
    // The control: told not to look, etcdctl gives what it has to anybody.
    let address = format!("https://{}", member.address());
    let careless = ["--insecure-transport=false", "--insecure-skip-tls-verify", "put", "naive", "me"];
    let naive = etcdctl(&address, &careless).output().unwrap();
    assert!(naive.status.success(), "the control: {naive:?}");
}

#[test]
fn a_full_cluster_takes_no_claims_and_lets_go_of_holds() {
    let member = Member::builder().arg("--quota-backend-bytes=4194304").start().unwrap();
    run(async {
        let (env, store) = (common::env(), store(&at(&member)));
        let held = claim(&env, "held", 600);
        take(&store, &held).await;
        member.ctl(&["put", &format!("--lease={}", naive::lease(&member, 3)), "naive/1", ""]).unwrap();
        let lump = "x".repeat(1_000_000);
        while member.ctl(&["put", "lump", &lump[..100_000]]).is_ok() {}
        let error = store.claim(&claim(&env, "x", 600)).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Exhausted, Outcome::NotApplied), "{error:?}");
        assert!(store.renew(std::slice::from_ref(&held)).await[0].is_ok(), "a renewal writes nothing");
        // The naive one renews by writing its key anew, with another lease.
        assert!(member.ctl(&["put", "--lease=0", "naive/1", ""]).is_err());
        eventually(&env, "the naive one's end", || async { keys(&member, "naive").is_empty() }).await;
        assert_eq!(keys(&member, "held").len(), 1, "the control: its lock is lost, and ours is not");
        assert_eq!(store.release(&held).await.unwrap(), leasehold_core::Release::Released);
    });
}

#[test]
fn a_cluster_that_is_not_there_is_named_in_time() {
    run(async {
        let env = common::env();
        // Ports 1 and 2 have no listener.
        let store = store_with("ports=1,2", |options| options.timeout = Duration::from_secs(1));
        let error = store.claim(&claim(&env, "x", 30)).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::Unreachable, Outcome::NotApplied),
            "{error:?}"
        );
        assert!(error.to_string().contains("127.0.0.1:"), "{error}");
    });
    // The control: etcdctl says that time is over, and not what does not answer.
    let naive = etcdctl("127.0.0.1:1", &["--dial-timeout=1s", "put", "naive", "me"]).output().unwrap();
    let said = String::from_utf8_lossy(&naive.stderr);
    assert!(!naive.status.success() && said.contains("deadline exceeded"), "the control: {said}");
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let refused = |change: fn(&mut EtcdOptions)| {
        let mut options = common::options("ports=1").unwrap();
        change(&mut options);
        EtcdStore::new(options, common::env()).unwrap_err().kind()
    };
    assert_eq!(refused(|options| options.endpoints.clear()), ErrorKind::Invalid);
    assert_eq!(refused(|options| options.timeout = Duration::ZERO), ErrorKind::Invalid);
    assert_eq!(refused(|options| options.ttl_min = Duration::from_millis(500)), ErrorKind::Invalid);
    assert_eq!(refused(|options| options.access.ca = Some("x".into())), ErrorKind::Invalid);
}
