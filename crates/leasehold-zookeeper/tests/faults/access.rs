//! Logins, and what belongs to whom.

use leasehold_core::{ErrorKind, Outcome, Standing, Store};
use leasehold_testkit::zookeeper::Server;

use crate::{
    common,
    fixture::{claim, name, run, store},
    naive::Naive,
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
