//! Level T: the lock is checked in the transaction that writes.

use leasehold_core::{ErrorKind, Standing, Store};
use leasehold_testkit::zookeeper::Server;
use leasehold_zookeeper::NodeWrite;

use crate::{
    common,
    fixture::{claim, name, run, store},
    naive::Naive,
};

#[test]
fn a_late_write_is_refused_by_the_servers() {
    let server = Server::start().unwrap();
    run(async {
        let (env, naive) = (common::env(), Naive::at(&server.address()).await);
        let words = format!("servers={} chroot=/locks", server.address());
        let (one, two) = (store(&words).await, store(&words).await);
        let (old, new) = (claim(&env, "orders", 30_000), claim(&env, "orders", 30_000));
        let set =
            |text: &str| vec![NodeWrite::Set { path: "/balance".into(), data: text.into(), version: None }];
        assert!(matches!(one.claim(&old).await.unwrap(), Standing::Granted(_)));
        let create = [NodeWrite::Create { path: "/balance".into(), data: b"0".to_vec() }];
        one.write_if_held(&name("orders"), old.id, &create).await.unwrap();
        one.write_if_held(&name("orders"), old.id, &set("1")).await.unwrap();
        // Whoever knows the id may write, by whichever client.
        two.write_if_held(&name("orders"), old.id, &set("2")).await.unwrap();
        let error = one.write_if_held(&name("orders"), old.id, &create).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected, "the node is there already: {error:?}");

        two.force_release(&name("orders")).await.unwrap();
        assert!(matches!(two.claim(&new).await.unwrap(), Standing::Granted(_)));
        two.write_if_held(&name("orders"), new.id, &set("of the next")).await.unwrap();
        // The old holder still believes: its client was not told.
        let error = one.write_if_held(&name("orders"), old.id, &set("late")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Lost, "{error:?}");
        assert_eq!(naive.client.get_data("/balance").await.unwrap().0, b"of the next");
        // The control: without the check the late write is done.
        naive.client.set_data("/balance", b"late", None).await.unwrap();
        assert_eq!(naive.client.get_data("/balance").await.unwrap().0, b"late");
    });
}
