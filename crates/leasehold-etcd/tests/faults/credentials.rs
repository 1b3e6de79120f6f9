//! Logins and certificates in files, which change while a client lives.

use std::fs;

use leasehold_core::{Engine, Error, ErrorKind, Hold, Store};
use leasehold_etcd::{EtcdOptions, EtcdStore};
use leasehold_testkit::etcd::Member;

use crate::{
    common,
    fixture::{at, claim, eventually, lock, run, store, ttl},
    naive::etcdctl,
};

async fn engine(options: EtcdOptions) -> Engine {
    Engine::new(std::sync::Arc::new(EtcdStore::open(options, common::env()).await.unwrap()), common::env())
}

async fn refused(options: &EtcdOptions) -> Error {
    EtcdStore::open(options.clone(), common::env()).await.expect_err("refused")
}

#[track_caller]
fn is(error: &Error, says: &str, hint: &str) {
    assert_eq!(error.kind(), ErrorKind::Rejected, "{error:?}");
    assert!(error.to_string().contains(says), "{error:?}");
    assert!(error.hint_text().is_some_and(|text| text.contains(hint)), "{error:?}");
}

async fn renewed(hold: &Hold) {
    let before = hold.lease().deadline();
    eventually(&common::env(), "a renewal", || async { hold.lease().deadline() > before }).await;
    assert!(hold.lease().check().is_ok());
}

#[test]
fn a_password_is_rotated_under_a_living_client() {
    let member = Member::start().unwrap();
    common::enable_logins(&member).unwrap();
    let file = member.directory().join("password");
    fs::write(&file, "pw\n").unwrap();
    run(async {
        let mut options = common::options(&at(&member)).unwrap();
        options.access.user = "locks".into();
        options.access.password_file = Some(file.clone());
        let engine = engine(options).await;
        let hold = lock(&engine, "orders", &ttl(10)).await;
        // The new password is in the file before the old one ends, and with it every login.
        fs::write(&file, "new").unwrap();
        for words in [
            &["user", "delete", "locks"][..],
            &["user", "add", "locks:new"],
            &["user", "grant-role", "locks", "locks"],
        ] {
            member.ctl(&[&["--user=root:pw"], words].concat()).unwrap();
        }
        renewed(&hold).await;
        lock(&engine, "invoices", &ttl(10)).await.release().await.unwrap();
        // The control: the password of the start is refused.
        let old = store(&format!("{} login=locks", at(&member)));
        let error = old.claim(&claim(&common::env(), "x", 10)).await.unwrap_err();
        is(&error, "authentication failed", "password");
        let naive = etcdctl(&member.address(), &["--user=locks:pw", "get", "x"]).output().unwrap();
        assert!(!naive.status.success(), "{naive:?}");
    });
}

#[test]
fn a_certificate_is_demanded_and_rotated_under_a_living_client() {
    let member = Member::builder().mutual_tls().start().unwrap();
    let (now, old) = (member.directory().to_path_buf(), member.directory().join("old"));
    fs::create_dir_all(&old).unwrap();
    for name in ["ca.pem", "client.pem", "client.key"] {
        fs::copy(now.join(name), old.join(name)).unwrap();
    }
    run(async {
        let mut none =
            common::options(&format!("{} tls={}", at(&member), now.join("ca.pem").display())).unwrap();
        none.access.server_name = Some("localhost".into());
        // The control has none.
        let error = refused(&none).await;
        assert!(error.hint_text().is_some_and(|text| text.contains("cert=PATH")), "{error:?}");
        let with = |directory: &std::path::Path| {
            let mut options = none.clone();
            options.access.cert = Some(directory.join("client.pem"));
            options.access.key = Some(directory.join("client.key"));
            options
        };
        let engine = engine(with(&now)).await;
        let hold = lock(&engine, "orders", &ttl(30)).await;
        member.rotate_certificates().unwrap();
        renewed(&hold).await;
        lock(&engine, "invoices", &ttl(30)).await.release().await.unwrap();
        // The control: the certificate of the start is refused.
        let error = refused(&with(&old)).await;
        assert!(error.hint_text().is_some_and(|text| text.contains("cert=PATH")), "{error:?}");
        let mut elsewhere = with(&now);
        elsewhere.access.server_name = Some("locks.invalid".into());
        is(&refused(&elsewhere).await, "for another name", "server_name=NAME");
    });
}
