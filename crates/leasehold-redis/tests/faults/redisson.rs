//! Redisson's dialect: lost and late messages, failover, and what its scripts keep apart.

use std::time::Duration;

use leasehold_core::{Claim, Intent, Mode, Queueing, Release, Renewal, Standing, Store};
use leasehold_redis::RedisStore;
use leasehold_testkit::{
    proxy::{FaultRule, Proxy},
    redis::Server,
};

use crate::{
    common,
    fixture::{Naive, SOON, claim, holders, run, store},
};

/// Each kind of hold of the dialect.
const MODES: [Mode; 3] = [Mode::Exclusive, Mode::Shared, Mode::Permits { take: 2, of: 3 }];

fn words(port: u16) -> String {
    format!("single={port} redisson")
}

fn about(text: &'static str) -> impl Fn(&[u8]) -> bool + Send + 'static {
    move |bytes| {
        [&b"EVALSHA"[..], text.as_bytes()].iter().all(|word| bytes.windows(word.len()).any(|it| it == *word))
    }
}

/// One that may wait: alone, it goes the short way.
fn of(mode: Mode, claim: Claim) -> Claim {
    Claim { mode, queueing: Queueing::Barging, ..claim }
}

async fn is_granted(store: &RedisStore, claim: &Claim) {
    let standing = store.claim(claim).await.unwrap();
    assert!(matches!(standing, Standing::Granted(_)), "{:?}: {standing:?}", claim.mode);
}

/// N1. Redisson counts a request that it repeats (its #7367): one release leaves the lock held.
#[test]
fn a_lost_reply_in_redissons_format_counts_once() {
    let server = Server::start().unwrap();
    let proxy = Proxy::to(&server.address()).unwrap();
    run(async {
        let (env, mine, other) = (common::env(), store(&words(proxy.port())), store(&words(server.port())));
        for mode in MODES {
            // The scripts are there.
            let warm = of(mode, claim(&env, "warm", 30_000));
            is_granted(&mine, &warm).await;
            mine.release(&warm).await.unwrap();
            let first = of(mode, claim(&env, "orders", 30_000));
            let rule = proxy.on_request(about("orders"), FaultRule::ForwardThenCut);
            mine.claim(&first).await.unwrap_err();
            assert!(rule.wait_fired(SOON));
            is_granted(&mine, &first).await;
            assert_eq!(holders(&other, "orders").await, 1, "{mode:?}");
            let rule = proxy.on_request(about("orders"), FaultRule::ForwardThenCut);
            mine.release(&first).await.unwrap_err();
            assert!(rule.wait_fired(SOON));
            assert_eq!(mine.release(&first).await.unwrap(), Release::NotHeld, "{mode:?}: it was released");
            assert_eq!(holders(&other, "orders").await, 0, "{mode:?}");
            let next = of(Mode::Exclusive, claim(&env, "orders", 30_000));
            is_granted(&other, &next).await;
            other.release(&next).await.unwrap();
        }
    });
    // Control: what Redisson's claims and its release do to the count of their owner.
    for step in ["1", "1", "-1"] {
        server.command(&["HINCRBY", "naive", "owner", step]).unwrap();
    }
    assert_eq!(
        server.command(&["EXISTS", "naive"]).unwrap().int(),
        Some(1),
        "the control: it is held for ever"
    );
}

/// N2. Delivered after the release: the id is spent.
#[test]
fn a_late_claim_in_redissons_format_makes_no_ghost() {
    let server = Server::start().unwrap();
    let proxy = Proxy::to(&server.address()).unwrap();
    run(async {
        let env = common::env();
        for mode in MODES {
            let mut options = crate::fixture::options(&words(proxy.port()));
            options.timeout = Duration::from_millis(300);
            let mine = RedisStore::new(options, env.clone()).unwrap();
            let warm = of(mode, claim(&env, "warm", 30_000));
            is_granted(&mine, &warm).await;
            mine.release(&warm).await.unwrap();
            let first = of(mode, claim(&env, "orders", 30_000));
            let rule = proxy.on_request(about("orders"), FaultRule::Hold);
            mine.claim(&first).await.unwrap_err();
            assert!(rule.wait_fired(SOON));
            // Twice, as a caller and a quorum that gives back may.
            mine.release(&first).await.unwrap();
            mine.release(&first).await.unwrap();
            let before = server.calls("evalsha");
            rule.release();
            let other = store(&words(server.port()));
            crate::fixture::eventually(&env, "the late claim", || async { server.calls("evalsha") > before })
                .await;
            assert_eq!(holders(&other, "orders").await, 0, "{mode:?}");
            is_granted(&other, &of(Mode::Exclusive, claim(&env, &format!("next {mode:?}"), 30_000))).await;
        }
    });
    let rule = proxy.on_request(|bytes| bytes.windows(3).any(|it| it == b"SET"), FaultRule::Hold);
    let mut naive = Naive::at(&proxy.address());
    naive.ask("naive", "me", 30_000);
    assert!(rule.wait_fired(SOON));
    assert!(!Naive::at(&server.address()).unlock("naive"));
    rule.release();
    assert!(naive.hears(SOON));
    assert!(!Naive::at(&server.address()).lock("naive", "other", 30_000), "the control: a ghost has it");
}

/// A renewal, a release, and an amendment of a hold that is over touch nobody else's, of any kind.
#[test]
fn late_verbs_in_redissons_format_touch_no_successor() {
    let server = Server::start().unwrap();
    run(async {
        let (env, mine, other) = (common::env(), store(&words(server.port())), store(&words(server.port())));
        for mode in MODES {
            let (first, second) =
                (of(mode, claim(&env, "orders", 30_000)), of(mode, claim(&env, "orders", 30_000)));
            is_granted(&mine, &first).await;
            assert_eq!(other.force_release(&first.name).await.unwrap().len(), 1);
            is_granted(&other, &second).await;
            let renewal = mine.renew(std::slice::from_ref(&first)).await.remove(0);
            assert!(matches!(renewal, Ok(Renewal::Gone(_))), "{mode:?}: {renewal:?}");
            assert_eq!(mine.release(&first).await.unwrap(), Release::NotHeld, "{mode:?}");
            let amended = Claim { intent: Intent::Amend, ..first };
            assert!(matches!(mine.claim(&amended).await.unwrap(), Standing::Gone(_)), "{mode:?}");
            assert_eq!(holders(&other, "orders").await, 1, "{mode:?}");
            let renewal = other.renew(std::slice::from_ref(&second)).await.remove(0);
            assert!(matches!(renewal, Ok(Renewal::Renewed { .. })), "{mode:?}: {renewal:?}");
            assert_eq!(other.release(&second).await.unwrap(), Release::Released, "{mode:?}");
        }
    });
    server.command(&["HSET", "naive", "other", "1"]).unwrap();
    assert!(Naive::at(&server.address()).unlock("naive"), "the control: DEL asks nobody");
}

/// Redisson's rule for a reader: a hash without `mode` is free. Ours is not.
const READ: &str = "local mode = redis.call('HGET', KEYS[1], 'mode') \
    if mode == false or mode == 'read' then return 1 end return 0";

/// A hold of ours is not free for an `RReadWriteLock`; a reader of ours is no obstacle for another. A hash of thousands of
/// fields that is no lock is left alone by force, wherever the field stands that tells.
#[test]
fn kinds_that_share_a_key_are_told_apart() {
    let server = Server::start().unwrap();
    let enters = |name: &str| server.command(&["EVAL", READ, "1", name]).unwrap().int();
    run(async {
        let (env, store) = (common::env(), store(&words(server.port())));
        for (mode, may_enter) in [(Mode::Exclusive, 0), (Mode::Shared, 1)] {
            let hold = of(mode, claim(&env, "orders", 30_000));
            is_granted(&store, &hold).await;
            assert_eq!(enters("orders"), Some(may_enter), "{mode:?}");
            store.release(&hold).await.unwrap();
        }
        server.command(&["HSET", "naive", "owner", "1"]).unwrap();
        assert_eq!(enters("naive"), Some(1), "the control: a lock without `mode` is taken");
        let fill = "for at = 1, 3000 do redis.call('HSET', KEYS[1], '123e4567-e89b-12d3-a456-426614174000:' .. at, '1') end \
            redis.call('HSET', KEYS[1], 'name', 'Smith')";
        server.command(&["EVAL", fill, "1", "customer"]).unwrap().accepted().unwrap();
        store.force_release(&crate::fixture::name("customer")).await.unwrap_err();
        assert_eq!(server.command(&["HLEN", "customer"]).unwrap().int(), Some(3001));
    });
}

/// Readers that die are not counted, also while others go on; permits that have ended are free again by the server's clock,
/// whatever a client's clock says.
#[test]
fn what_has_ended_counts_no_more() {
    let server = Server::start().unwrap();
    run(async {
        let (env, store) = (common::env(), store(&words(server.port())));
        let (dead, lives) = (claim(&env, "orders", 100), claim(&env, "orders", 30_000));
        for reader in [&dead, &lives] {
            is_granted(&store, &of(Mode::Shared, reader.clone())).await;
        }
        let permits = |ttl_ms| of(Mode::Permits { take: 3, of: 3 }, claim(&env, "permits", ttl_ms));
        is_granted(&store, &permits(100)).await;
        crate::fixture::eventually(&env, "the end of both", || async {
            holders(&store, "orders").await == 1 && holders(&store, "permits").await == 0
        })
        .await;
        // The server is waited for as long as a renewal of this time to live may take.
        let late = Claim { ttl: lives.ttl, ..dead.clone() };
        let renewal = store.renew(&[of(Mode::Shared, late)]).await.remove(0);
        assert!(matches!(renewal, Ok(Renewal::Gone(_))), "{renewal:?}");
        let upgrade = Claim { intent: Intent::Amend, ..lives.clone() };
        is_granted(&store, &upgrade).await;
        assert_eq!(store.release(&lives).await.unwrap(), Release::Released);
        is_granted(&store, &permits(30_000)).await;
        let refused = store.claim(&permits(30_000)).await.unwrap();
        assert!(matches!(refused, Standing::Held(_)), "{refused:?}");
        // The control: permits that are a number alone never come back.
        server.command(&["SET", "naive", "0", "NX"]).unwrap();
        assert!(server.command(&["SET", "naive", "3", "NX"]).unwrap().is_nil());
    });
}
