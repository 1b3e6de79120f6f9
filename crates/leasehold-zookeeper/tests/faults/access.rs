//! Logins, and what belongs to whom.

use leasehold_core::{ErrorKind, Outcome, Standing, Store};
use leasehold_testkit::zookeeper::Server;

use crate::{
    common,
    rig::{Naive, claim, name, run, store},
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
        assert!(Naive::at(&server.address()).await.client.list_children("/private/orders").await.is_err());
        let same = store(&format!("{at} login=app:s3cr3t")).await;
        assert!(matches!(same.claim(&claim(&env, "orders", 30_000)).await.unwrap(), Standing::Held(_)));
    });
}
