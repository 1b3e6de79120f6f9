//! Logins, and what belongs to whom.

use std::{fs, path::Path, sync::Arc};

use leasehold_core::{
    Engine, Error, ErrorKind, LockOptions, Mode, Outcome, Standing, Store, Wait, url::Address,
};
use leasehold_testkit::{
    proxy::{FaultRule, Proxy},
    zookeeper::Server,
};
use leasehold_zookeeper::{ZooKeeperOptions, ZooKeeperStore};
use zookeeper_client::{Acl, AuthId, Permission};

use crate::{
    common,
    fixture::{claim, eventually, name, run, store},
    naive::Naive,
    session::end_session_behind,
};

#[test]
fn the_locks_of_a_user_are_the_users_alone() {
    let server = Server::start().unwrap();
    run(async {
        let env = common::env();
        let at = format!("servers={} chroot=/private", server.address());
        let (ours, nobody) = (store(&format!("{at} login=app:s3cr3t")).await, store(&at).await);
        let wrong = store(&format!("{at} login=app:wrong")).await;
        let mine = claim(&env, "orders", 30_000);
        assert!(matches!(ours.claim(&mine).await.unwrap(), Standing::Granted(_)));
        for other in [&nobody, &wrong] {
            let error = other.claim(&claim(&env, "orders", 30_000)).await.unwrap_err();
            assert_eq!(
                (error.kind(), error.outcome()),
                (ErrorKind::Rejected, Outcome::NotApplied),
                "{error:?}"
            );
            assert!(
                other.release(&mine).await.is_err() && other.force_release(&name("orders")).await.is_err()
            );
            assert!(!format!("{error:?} {other:?}").contains("wrong"), "{error:?}");
        }
        let naive = Naive::at(&server.address()).await;
        assert!(naive.client.list_children("/private/orders").await.is_err());
        let same = store(&format!("{at} login=app:s3cr3t")).await;
        assert!(matches!(same.claim(&claim(&env, "orders", 30_000)).await.unwrap(), Standing::Held(_)));
        // What the naive client makes is open to anybody, who frees its lock.
        naive.make("/naive").await;
        let number = naive.enqueue("/naive").await.unwrap();
        assert!(naive.is_first("/naive", number).await);
        let other = Naive::at(&server.address()).await;
        let node = format!("/naive/{}", other.children("/naive").await[0]);
        other.client.delete(&node, None).await.unwrap();
        assert!(!naive.is_first("/naive", number).await, "the control: another has freed it");
    });
}

/// The password is read for each session: it is rotated when the nodes have been handed over to the new one.
#[test]
fn a_password_is_rotated_under_a_living_client() {
    let server = Server::start().unwrap();
    let proxy = Proxy::to(&server.address()).unwrap();
    let file = server.directory().join("password");
    run(async {
        let env = common::env();
        let at = |address: &str, password: &str| {
            format!("servers={address} chroot=/private login=app:{password} session=30000")
        };
        let mut options = common::options(&at(&proxy.address(), "")).unwrap();
        options.access.password_file = Some(file.clone());
        let missing = ZooKeeperStore::open(options.clone(), env.clone()).await.unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::Invalid, "{missing:?}");
        assert!(missing.to_string().contains("password of `password_file` cannot be read"), "{missing:?}");
        std::fs::write(&file, "old\n").unwrap();
        let ours = ZooKeeperStore::open(options, env.clone()).await.unwrap();
        // Held until its session ends: the server takes the node of a lock away that nobody holds.
        assert!(matches!(ours.claim(&claim(&env, "orders", 10_000)).await.unwrap(), Standing::Granted(_)));
        // The operator's session has both identities, gives the nodes to both, and then to the new one.
        for identities in [&["app:old", "app:new"][..], &["app:new"]] {
            let mut connector = zookeeper_client::Client::connector().with_server_version(3, 6, 0);
            for identity in identities {
                connector = connector.with_auth("digest", identity.as_bytes());
            }
            let operator = connector.connect(&server.address()).await.unwrap();
            let own = [Acl::new(Permission::ALL, AuthId::new("auth", ""))];
            for node in ["/private/orders", "/private"] {
                operator.set_acl(node, &own, None).await.unwrap();
            }
        }
        std::fs::write(&file, "new\n").unwrap();
        end_session_behind(&proxy, &server).await;
        eventually(&env, "a lock in the next session", || async {
            let granted = ours.claim(&claim(&env, "orders", 10_000)).await;
            matches!(granted, Ok(Standing::Granted(_) | Standing::Held(_)))
        })
        .await;
        // The control: the password of the start has no right any more.
        let naive = store(&at(&server.address(), "old")).await;
        let error = naive.claim(&claim(&env, "orders", 10_000)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected, "{error:?}");
    });
}

async fn refused(options: &ZooKeeperOptions, says: &str, hint: &str) -> Error {
    let error = ZooKeeperStore::open(options.clone(), common::env()).await.expect_err(says);
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Rejected, Outcome::NotApplied), "{error:?}");
    assert!(error.to_string().contains(says), "{error:?}");
    assert!(error.hint_text().is_some_and(|text| text.contains(hint)), "{error:?}");
    error
}

/// The server reads its certificates when it starts: its clients go on with theirs of then, in the same session.
#[test]
fn a_certificate_is_demanded_and_rotated_under_a_living_client() {
    let server = Server::with_tls(true).unwrap();
    let (now, old) = (server.directory().to_path_buf(), server.directory().join("old"));
    fs::create_dir_all(&old).unwrap();
    for name in ["ca.pem", "client.pem", "client.key"] {
        fs::copy(now.join(name), old.join(name)).unwrap();
    }
    let none = common::options(&format!(
        "servers=localhost:{} ca={}",
        server.tls_port(),
        now.join("ca.pem").display()
    ));
    let none = none.unwrap();
    let with = |directory: &Path| {
        let mut options = none.clone();
        options.access.ca = Some(directory.join("ca.pem"));
        options.access.cert = Some(directory.join("client.pem"));
        options.access.key = Some(directory.join("client.key"));
        options
    };
    run(async {
        let env = common::env();
        // The control has no certificate.
        refused(&none, "the server demands a certificate of this client", "cert=PATH").await;
        let ours = ZooKeeperStore::open(with(&now), env.clone()).await.unwrap();
        let engine = Engine::new(Arc::new(ours), env.clone());
        let options = LockOptions { ttl: std::time::Duration::from_secs(60), ..LockOptions::default() };
        let orders = name("orders");
        let hold = engine.acquire(&orders, Mode::Exclusive, &options, Wait::No, None);
        let hold = hold.await.unwrap().expect("free");
        server.replace_certificates().unwrap();
        server.restart().unwrap();
        server.await_serving().unwrap();
        let before = hold.lease().deadline();
        hold.confirm().await.unwrap();
        assert!(hold.lease().deadline() > before, "the same session, and the same hold");
        // The control: the certificate of the start, and its authority.
        refused(&with(&old), "the server's certificate is not accepted", "ca=PATH").await;
        let mut stale = with(&old);
        stale.access.ca = Some(now.join("ca.pem"));
        refused(&stale, "does not accept the certificate of this client", "cert=PATH").await;
        hold.release().await.unwrap();
    });
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let server = Server::with_tls_for("locks.invalid").unwrap();
    let words =
        format!("servers=localhost:{} ca={}", server.tls_port(), server.directory().join("ca.pem").display());
    run(async {
        let mut options = common::options(&words).unwrap();
        let error = refused(&options, "the server's certificate is for another name", "in the URL").await;
        assert!(!format!("{error:?}").contains("server_name"), "there is none: {error:?}");
        options.access.server_name = Some("locks.invalid".into());
        let error = ZooKeeperStore::open(options.clone(), common::env()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error:?}");
        options.access.server_name = None;
        options.servers = vec![Address::new("no certificate", 1)];
        let error = ZooKeeperStore::open(options.clone(), common::env()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error:?}");
        // A server that starts closes the first connections.
        let proxy = Proxy::to(&format!("localhost:{}", server.tls_port())).unwrap();
        let closed = proxy.on_request(|_| true, FaultRule::DropThenCut);
        options.servers = vec![Address::new("localhost", proxy.port())];
        refused(&options, "the server's certificate is for another name", "in the URL").await;
        assert!(closed.fired());
        // The control: the client library gives no reason.
        let ca = fs::read_to_string(server.directory().join("ca.pem")).unwrap();
        let tls = zookeeper_client::TlsOptions::new().with_pem_ca(&ca).unwrap();
        let naive = zookeeper_client::Client::connector().with_fail_eagerly().with_tls(tls);
        let said = naive.secure_connect(&format!("localhost:{}", server.tls_port())).await.map(drop);
        assert!(!said.unwrap_err().to_string().contains("name"));
    });
}

/// A server that has as many connections from this address as it allows closes further ones at once. Other reasons look the
/// same, so the error names this one among them.
#[test]
fn a_limit_of_connections_is_named() {
    let server = Server::with("maxClientCnxns=1\n").unwrap();
    run(async {
        let at = format!("servers={} timeout=2000", server.address());
        let first = store(&at).await;
        let error = common::open(common::env(), at.clone()).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::Unreachable, Outcome::NotApplied),
            "{error:?}"
        );
        assert!(error.hint_text().unwrap().contains("maxClientCnxns"), "{error:?}");
        let naive =
            zookeeper_client::Client::connector().with_fail_eagerly().connect(&server.address()).await;
        let said = naive.map(drop).unwrap_err().to_string();
        assert!(!said.contains("maxClientCnxns"), "the control: {said}");
        first.close().await.unwrap();
        store(&at).await;
    });
}
