//! A member that hangs, a right that is taken away, and a path without room: what is held stays, and a wait goes on.

use leasehold_core::{Claim, ErrorKind, LockOptions, Mode, Outcome, Release, Renewal, Store, Wait};
use leasehold_testkit::{
    proxy::Proxy,
    zookeeper::{Ensemble, Server},
};
use zookeeper_client::{Acl, Acls, AuthId, CreateMode, Permission};

use crate::{
    common,
    fixture::{SOON, claim, engine, eventually, lock, name, run, store, ttl},
    naive::{Naive, Pending},
};

/// The member of a waiter is stopped, and the release happens elsewhere. The waiter would ask again after 40 seconds: its
/// session moves to another member before that, and takes its watch along.
#[test]
fn a_watch_whose_member_hangs_moves_to_another() {
    let ensemble = Ensemble::start(3).unwrap();
    let proxies: Vec<Proxy> =
        ensemble.members().iter().map(|member| Proxy::to(&member.address()).unwrap()).collect();
    run(async {
        let env = common::env();
        let addresses: Vec<String> = proxies.iter().map(Proxy::address).collect();
        let waiter = engine(&format!("servers={} session=120000", addresses.join(","))).await;
        let at = proxies.iter().position(|proxy| proxy.open_connections() > 0).unwrap();
        let hung = &ensemble.members()[at];
        let others: Vec<String> =
            ensemble.members().iter().map(Server::address).filter(|it| *it != hung.address()).collect();
        let holder = engine(&format!("servers={} session=120000", others.join(","))).await;
        let hold = lock(&holder, "orders", &ttl(120_000)).await;
        let waiting = tokio::spawn(async move {
            let terms = LockOptions { fair: true, ..ttl(120_000) };
            lock(&waiter, "orders", &terms).await
        });
        eventually(&env, "a waiter", || async {
            holder.store().inspect(&name("orders")).await.unwrap().waiters.len() == 1
        })
        .await;
        let naive = Naive::with(&hung.address(), SOON * 3).await;
        naive.make("/naive").await;
        let (_, watcher) = naive.client.check_and_watch_stat("/naive").await.unwrap();
        let naive = Pending::on(async move { drop(watcher.changed().await) });
        // It may have led the others.
        hung.pause().unwrap();
        eventually(&env, "a release", || async { hold.confirm().await.is_ok() }).await;
        hold.release().await.unwrap();
        let next = env.until(env.now() + SOON, waiting).await.expect("long before it asks again").unwrap();
        next.release().await.unwrap();
        let other = Naive::at(&others.join(",")).await;
        other.client.delete("/naive", None).await.unwrap();
        assert!(naive.hangs(), "the control: it knows of one member, and is not told");
        hung.resume().unwrap();
    });
}

/// An access list that was changed for one lock ends the renewal of that one, and of no other in the same batch.
#[test]
fn a_forbidden_node_fails_alone_in_its_batch() {
    let server = Server::start().unwrap();
    run(async {
        let (env, store) =
            (common::env(), store(&format!("servers={} login=app:pw", server.address())).await);
        // Shorter than the session: a renewal writes.
        let (allowed, forbidden) = (claim(&env, "allowed", 30_000), claim(&env, "forbidden", 30_000));
        for claim in [&allowed, &forbidden] {
            assert!(matches!(store.claim(claim).await.unwrap(), leasehold_core::Standing::Granted(_)));
        }
        let owner = Naive::at(&server.address()).await;
        owner.client.auth("digest", b"app:pw").await.unwrap();
        let nobody = Acl::new(Permission::READ, AuthId::anyone());
        let child = owner.children("/forbidden").await.remove(0);
        owner.client.set_acl(&format!("/forbidden/{child}"), &[nobody], None).await.unwrap();
        for batch in [[&allowed, &forbidden], [&forbidden, &allowed]] {
            let answers = store.renew(&batch.map(Claim::clone)).await;
            for (claim, answer) in batch.into_iter().zip(answers) {
                match answer {
                    Ok(renewal) => {
                        assert!(claim.id == allowed.id && matches!(renewal, Renewal::Renewed { .. }));
                    }
                    Err(error) => assert_eq!((claim.id, error.kind()), (forbidden.id, ErrorKind::Rejected)),
                }
            }
        }
        // The naive one renews all of its nodes in one transaction.
        let mut writer = owner.client.new_multi_writer();
        let mine = owner.children("/allowed").await.remove(0);
        writer.add_set_data(&format!("/allowed/{mine}"), b"again", None).unwrap();
        writer.add_set_data(&format!("/forbidden/{child}"), b"again", None).unwrap();
        assert!(writer.commit().await.is_err(), "the control: it may write one of two, and renews neither");
    });
}

/// A path with a quota that is used up takes no new nodes: what is held is renewed, checked and released, whatever its mode,
/// and a waiter waits until there is room.
#[test]
fn a_path_without_room_keeps_what_it_has_and_waiters_wait() {
    let server = Server::start().unwrap();
    run(async {
        let env = common::env();
        let words = format!("servers={} chroot=/locks", server.address());
        let (store, engine) = (store(&words).await, engine(&words).await);
        let held: Vec<Claim> = [Mode::Exclusive, Mode::Shared, Mode::Permits { take: 2, of: 5 }]
            .into_iter()
            .zip(["plain", "shared", "permits"])
            .map(|(mode, text)| Claim { mode, ..claim(&env, text, 30_000) })
            .collect();
        for claim in &held {
            assert!(matches!(store.claim(claim).await.unwrap(), leasehold_core::Standing::Granted(_)));
        }
        let hold = lock(&engine, "orders", &ttl(60_000)).await;
        let naive = Naive::at(&server.address()).await;
        let open = CreateMode::Persistent.with_acls(Acls::anyone_all());
        naive.client.mkdir("/zookeeper/quota/locks", &open).await.unwrap();
        let limit = "count=-1,bytes=-1=;byteHardLimit=1;countHardLimit=1";
        for (node, text) in [("limits", limit), ("stats", "count=0,bytes=0")] {
            let path = format!("/zookeeper/quota/locks/zookeeper_{node}");
            naive.client.create(&path, text.as_bytes(), &open).await.unwrap();
        }
        let refused = || async { store.claim(&claim(&env, "new", 30_000)).await };
        eventually(&env, "no room", || async { refused().await.is_err() }).await;
        let error = refused().await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Exhausted, Outcome::NotApplied), "{error:?}");
        let waiting = tokio::spawn({
            let engine = engine.clone();
            async move { engine.acquire(&name("new"), Mode::Exclusive, &ttl(30_000), Wait::For(SOON), None).await }
        });
        for _ in 0..3 {
            assert!(store.renew(&held).await.iter().all(|it| matches!(it, Ok(Renewal::Renewed { .. }))));
            hold.confirm().await.unwrap();
        }
        assert!(naive.enqueue("/locks/plain").await.is_err(), "the control gives up");
        for claim in &held {
            assert_eq!(store.release(claim).await.unwrap(), Release::Released, "{}", claim.name);
        }
        hold.release().await.unwrap();
        assert!(!waiting.is_finished(), "it waits for room");
        naive.client.delete("/zookeeper/quota/locks/zookeeper_limits", None).await.unwrap();
        let hold = env.until(env.now() + SOON, waiting).await.expect("there is room").unwrap().unwrap();
        hold.expect("it waited").release().await.unwrap();
    });
}
