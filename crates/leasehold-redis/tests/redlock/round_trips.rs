//! The cost of each verb, counted by the servers.

use std::time::Duration;

use leasehold_core::{FencingToken, Store};
use leasehold_testkit::redis::Server;

use crate::common;
use crate::{
    fixture::{claim, eventually, lock, run, ttl},
    members::{VotingServers, without_script},
};

const LONGEST: Duration = Duration::from_secs(60);

/// All members are asked once to lock and once to unlock, and that is all; those that answer after the majority too.
#[test]
fn lock_and_unlock_are_one_call_to_each_member() {
    run(async {
        for count in [3, 5] {
            let (env, voters) = (common::env(), VotingServers::start(count, LONGEST).await);
            let engine = voters.engine();
            // The last member connects while the others have answered already; and so does the background, which carries
            // stragglers to their end and renews.
            let warm = lock(&engine, "warm", &ttl(3_000)).await;
            eventually(&env, "the last grant", || async { voters.keys("warm") == count }).await;
            let before = voters.calls();
            let renewed = || async { voters.calls().iter().zip(&before).all(|(now, before)| now > before) };
            eventually(&env, "the last renewal", renewed).await;
            let connected = || async { voters.servers.iter().all(|server| server.calls("hello") >= 3) };
            eventually(&env, "the last connection", connected).await;
            warm.release().await.unwrap();
            eventually(&env, "the last release", || async { voters.keys("warm") == 0 }).await;
            voters.record();
            let hold = lock(&engine, "x", &ttl(30_000)).await;
            eventually(&env, "the last grant", || async { voters.keys("x") == count }).await;
            // A renewal that was on its way when the other lock was released may come late.
            let scripts = voters.scripts_beside("warm");
            assert!(scripts.iter().all(|scripts| scripts.len() == 1), "to lock: {scripts:?}");
            hold.release().await.unwrap();
            eventually(&env, "the last release", || async { voters.keys("x") == 0 }).await;
            let scripts = voters.scripts_beside("warm");
            assert!(scripts.iter().all(|scripts| scripts.len() == 2), "and to unlock: {scripts:?}");
        }
    });
}

/// The counter of one member runs ahead, as after attempts that failed, and the third is down, so that the majority is
/// always the same: the other is raised in a second round, and from then on it is one round again.
#[test]
fn tokens_that_differ_cost_a_second_round_once() {
    run(async {
        let (env, voters) = (common::env(), VotingServers::start(3, LONGEST).await);
        let engine = voters.engine();
        let first = lock(&engine, "x", &ttl(30_000)).await;
        eventually(&env, "the last grant", || async { voters.keys("x") == 3 }).await;
        let mut last = first.lease().fencing_token().unwrap();
        first.release().await.unwrap();
        eventually(&env, "the last release", || async { voters.keys("x") == 0 }).await;
        // A day ahead: no proposal comes near it.
        let ahead = FencingToken::new(last.get() + 86_400_000_000).unwrap();
        let member = voters.member(0);
        let stray = leasehold_core::Claim { fence_floor: Some(ahead), ..claim(&env, "x", 30_000) };
        member.claim(&stray).await.unwrap();
        member.release(&stray).await.unwrap();
        voters.servers[2].kill();
        for expected in [[1, 2], [1, 1], [1, 1]] {
            for server in &voters.servers[..2] {
                server.reset_stats().unwrap();
            }
            let hold = lock(&engine, "x", &ttl(30_000)).await;
            let asked = |server: &Server| server.calls("evalsha") + without_script(server);
            let asked: Vec<u64> = voters.servers[..2].iter().map(asked).collect();
            assert_eq!(asked, expected, "to lock");
            let next = hold.lease().fencing_token().unwrap();
            assert!(next > last && next > ahead, "{next} after {last}, above {ahead}");
            last = next;
            hold.release().await.unwrap();
        }
    });
}

/// A renewal is one call to each member, however many locks there are.
#[test]
fn a_hundred_locks_are_renewed_in_one_call_to_each_member() {
    run(async {
        let (env, voters) = (common::env(), VotingServers::start(3, LONGEST).await);
        let (engine, terms) = (voters.engine(), ttl(6_000));
        let (mut holds, begin) = (Vec::new(), env.now());
        for at in 0..100 {
            holds.push(lock(&engine, &format!("lock {at}"), &terms).await);
        }
        let took = env.now().since(begin);
        eventually(&env, "the last grant", || async { voters.keys("lock 99") == 3 }).await;
        voters.reset();
        let first: Vec<_> = holds.iter().map(|hold| hold.lease().deadline()).collect();
        let renewed =
            || async { holds.iter().zip(&first).all(|(hold, first)| hold.lease().deadline() > *first) };
        eventually(&env, "all are renewed", renewed).await;
        // Renewals due within 50 ms of each other go together; it took a while to take a hundred locks, and the next round of
        // renewals may have begun.
        let most = 2 * (took.as_millis() / 50 + 2);
        let calls = voters.calls();
        assert!(calls.iter().all(|calls| (1..=most).contains(&u128::from(*calls))), "{calls:?} in {took:?}");
    });
}
