//! A minority that lost something, and stragglers.

use std::{sync::Arc, time::Duration};

use leasehold_core::{Engine, ErrorKind, Mode, Store, Wait};
use leasehold_testkit::proxy::Proxy;

use crate::{
    common,
    fixture::{SOON, eventually, holder, lock, loss, name, run, shown, try_lock, ttl},
    members::VotingServers,
};

const LONGEST: Duration = Duration::from_secs(60);

/// redsync PR#147: what one member lost is made again while the others keep it; what a majority lost is lost.
#[test]
fn a_minority_is_repaired_and_a_majority_is_lost() {
    run(async {
        let (env, voters) = (common::env(), VotingServers::start(3, LONGEST).await);
        let engine = voters.engine();
        let hold = lock(&engine, "x", &ttl(1_500)).await;
        for at in 0..3 {
            eventually(&env, "the member has it", || async { voters.keys("x") == 3 }).await;
            voters.servers[at].command(&["DEL", "x"]).unwrap();
        }
        eventually(&env, "all have it again", || async { voters.keys("x") == 3 }).await;
        hold.lease().check().unwrap();
        for server in &voters.servers[..2] {
            server.command(&["DEL", "x"]).unwrap();
        }
        loss(&env, &hold).await;
        // A lost hold is not made again on the rest.
        drop(hold);
        eventually(&env, "the last one is given back", || async { voters.keys("x") == 0 }).await;
    });
    // The control renews where the key is, and never repairs: two losses, one after the other, and it is gone.
    run(async {
        let voters = VotingServers::start(3, LONGEST).await;
        let mut control = crate::textbook::Textbook::at(&voters.addresses(), &[0, 1, 2]);
        assert!(control.lock("x", "one", 30_000));
        voters.servers[0].command(&["DEL", "x"]).unwrap();
        voters.servers[1].command(&["DEL", "x"]).unwrap();
        let mut other = crate::textbook::Textbook::at(&voters.addresses(), &[0, 1, 2]);
        assert!(
            other.lock("x", "two", 30_000),
            "the control: a second holder while the first believes that it holds"
        );
    });
}

/// Defect 11 of the field: a release overtakes a grant that is still on its way, and the key stays for its ttl. Here what
/// is asked of one claim reaches a member in its order.
#[test]
fn a_release_does_not_overtake_a_straggling_grant() {
    run(async {
        let (env, voters) = (common::env(), VotingServers::start(3, LONGEST).await);
        let proxy = Proxy::to(&voters.servers[2].address()).unwrap();
        let slow = common::member(&env, &proxy.port().to_string(), 3, LONGEST).unwrap();
        let members: Vec<Arc<dyn Store>> =
            vec![Arc::new(voters.member(0)), Arc::new(voters.member(1)), Arc::new(slow)];
        let engine = Engine::new(Arc::new(voters.quorum_of(members)), env.clone());
        lock(&engine, "warm", &ttl(30_000)).await.release().await.unwrap();
        eventually(&env, "the last release", || async { voters.keys("warm") == 0 }).await;
        proxy.hold_requests();
        let hold = lock(&engine, "x", &ttl(30_000)).await;
        hold.release().await.unwrap();
        assert_eq!(voters.keys("x"), 0, "the third member has not heard of it yet");
        proxy.pass();
        // The grant arrives, and behind it the release.
        let after = lock(&engine, "after", &ttl(30_000)).await;
        eventually(&env, "the straggler has heard of what came after", || async {
            voters.keys("after") == 3
        })
        .await;
        eventually(&env, "nothing is left over", || async { voters.keys("x") == 0 }).await;
        after.release().await.unwrap();
    });
    // The control sends the release on a connection of its own.
    run(async {
        let (env, voters) = (common::env(), VotingServers::start(3, LONGEST).await);
        let proxy = Proxy::to(&voters.servers[2].address()).unwrap();
        let mut slow = crate::fixture::Naive::at(&proxy.address());
        proxy.hold_requests();
        slow.ask("x", "one", 30_000);
        assert!(
            !crate::fixture::Naive::at(&voters.servers[2].address()).unlock("x"),
            "the release comes first"
        );
        proxy.pass();
        let orphan = || async { holder(&voters.servers[2], "x").is_some() };
        eventually(&env, "the control: a key of nobody", orphan).await;
    });
}

/// node-redlock#369: who tries again is not kept out by what the last try left. One for and one against, and the third is
/// down: it ends, and the one who is there gets it when the other goes.
#[test]
fn split_votes_end_and_the_rest_is_won_when_the_rival_goes() {
    run(async {
        let (env, voters) = (common::env(), VotingServers::start(3, LONGEST).await);
        let engine = voters.engine();
        lock(&engine, "warm", &ttl(30_000)).await.release().await.unwrap();
        voters.servers[2].kill();
        // A rival that died with a minority.
        voters.servers[1].command(&["SET", "x", "0123456789abcdef0123456789abcdef", "PX", "60000"]).unwrap();
        let refused = try_lock(&engine, "x", &ttl(30_000)).await.unwrap();
        assert!(refused.is_none(), "contention is no error");
        eventually(&env, "nothing is left of the try", || async {
            holder(&voters.servers[0], "x").is_none()
        })
        .await;
        let (terms, name) = (ttl(30_000), name("x"));
        let waiting = engine.acquire(&name, Mode::Exclusive, &terms, Wait::For(SOON), None);
        let freed = async {
            eventually(&env, "it waits at the rival's member", || voters.waits(1, "x")).await;
            voters.servers[1].command(&["DEL", "x"]).unwrap();
        };
        let (won, ()) = tokio::join!(waiting, freed);
        assert!(won.unwrap().is_some());
    });
    // The control does not give back what it got, and is kept out by it when it tries again.
    run(async {
        let voters = VotingServers::start(3, LONGEST).await;
        voters.servers[1].command(&["SET", "x", "rival", "PX", "60000"]).unwrap();
        let mut control = crate::textbook::Textbook::at(&voters.addresses(), &[0, 1]);
        assert!(!control.lock("x", "one", 30_000), "one for and one against");
        voters.servers[1].command(&["DEL", "x"]).unwrap();
        assert!(!control.lock("x", "one", 30_000), "the control: kept out by its own key");
    });
}

/// A wake-up comes from the members: nobody polls for a release.
#[test]
fn a_waiter_is_woken_by_the_members() {
    run(async {
        let (env, voters) = (common::env(), VotingServers::start(3, LONGEST).await);
        let (one, two) = (voters.engine(), voters.engine());
        let hold = lock(&one, "x", &ttl(60_000)).await;
        let (terms, name) = (ttl(60_000), name("x"));
        let waiting = two.acquire(&name, Mode::Exclusive, &terms, Wait::Forever, None);
        let released = async {
            eventually(&env, "it waits at a member", || voters.waits(0, "x")).await;
            hold.release().await.unwrap();
        };
        // Without a wake-up it would ask again after twenty seconds.
        let both = env.until(env.now() + SOON, async { tokio::join!(waiting, released) }).await;
        assert!(both.expect("woken").0.unwrap().is_some());
    });
}

/// All are down, and a name that does not resolve: a typed error, in time, that names each.
#[test]
fn nobody_there_is_a_typed_error() {
    run(async {
        let (env, voters) = (common::env(), VotingServers::start(3, LONGEST).await);
        let mut lost = leasehold_redis::RedisOptions::new(leasehold_redis::Servers::Single(
            leasehold_redis::Endpoint::tcp("no-such-host.invalid", 6379),
        ));
        lost.membership = Some(leasehold_redis::QuorumMembership { members: 3, longest_lease: LONGEST });
        let lost = Arc::new(leasehold_redis::RedisStore::new(lost, env.clone()).unwrap());
        let members: Vec<Arc<dyn Store>> = vec![Arc::new(voters.member(0)), Arc::new(voters.member(1)), lost];
        let engine = Engine::new(Arc::new(voters.quorum_of(members)), env.clone());
        // One name that does not resolve is one member that is down.
        lock(&engine, "x", &ttl(30_000)).await.release().await.unwrap();
        // The members that decide it are named, also while another one answers, or has not answered yet.
        let (first, second) = (voters.servers[0].address(), voters.servers[1].address());
        for (killed, named) in [(0, vec![&first, "no-such-host.invalid"]), (1, vec![])] {
            voters.servers[killed].kill();
            let begin = env.now();
            let error = try_lock(&engine, "x", &ttl(30_000)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NoQuorum, "{}", shown(&error));
            assert!(env.now().since(begin) < SOON);
            let text = shown(&error);
            let failed = [&first, &second, "no-such-host.invalid"]
                .iter()
                .filter(|member| text.contains(**member))
                .count();
            assert!(failed >= 2 && text.contains("2 of 3 members"), "{text}");
            assert!(named.iter().all(|member| text.contains(member)), "{named:?}: {text}");
        }
    });
}
