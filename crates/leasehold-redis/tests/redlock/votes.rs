//! The short way of a claim at a member of a quorum: it is taken, and it is left when it has to be.

use std::time::Duration;

use leasehold_core::{Claim, Env, FencingToken, Grant, Queueing, Standing, Store};
use leasehold_redis::RedisStore;
use leasehold_testkit::redis::{Builder, Server};

use crate::{
    common,
    fixture::{SOON, claim, run},
    members::VotingServers,
};

/// Only the short script says `MGET`, and only the way for all cases sets a marker or asks for the time.
fn asked_shortly(server: &Server) -> u64 {
    server.calls("mget")
}

async fn granted(store: &RedisStore, claim: &Claim) -> Grant {
    match store.claim(claim).await.unwrap() {
        Standing::Granted(grant) => grant,
        other => panic!("{other:?}"),
    }
}

/// A claim with a proposal of this many microseconds after the server's time.
fn proposing(server: &Server, env: &Env, text: &str, ahead_us: u64) -> Claim {
    let time = server.command(&["EVAL", "local t = redis.call('TIME') return t[1] * 1000000 + t[2]", "0"]);
    let proposal = u64::try_from(time.unwrap().int().unwrap()).unwrap() + ahead_us;
    Claim { fence_proposal: FencingToken::new(proposal).ok(), ..claim(env, text, 30_000) }
}

/// A member that goes the short way: it has the scripts, and its server has told the time. No release has reserved a token of any
/// lock but `orders`.
async fn warm(voters: &VotingServers, env: &Env) -> RedisStore {
    let (store, until) = (voters.member(0), env.now() + SOON);
    loop {
        let (mine, before) = (claim(env, "orders", 30_000), asked_shortly(&voters.servers[0]));
        granted(&store, &mine).await;
        store.release(&mine).await.unwrap();
        if asked_shortly(&voters.servers[0]) > before {
            return store;
        }
        assert!(env.now() < until, "no claim goes the short way");
    }
}

#[test]
fn the_token_is_the_proposal_and_grows_where_it_would_not() {
    run(async {
        let (env, voters) = (common::env(), VotingServers::start(3, common::LONGEST).await);
        let store = warm(&voters, &env).await;
        let first = proposing(&voters.servers[0], &env, "bills", 2_000_000);
        let before = voters.servers[0].calls("evalsha");
        let token = granted(&store, &first).await.fence;
        assert_eq!(token, first.fence_proposal);
        assert_eq!(voters.servers[0].calls("evalsha") - before, 1, "one call");
        store.release(&first).await.unwrap();
        let late = proposing(&voters.servers[0], &env, "bills", 0);
        assert!(late.fence_proposal < token, "it was on its way for two seconds");
        assert!(granted(&store, &late).await.fence > token);
        let counter = voters.servers[0].command(&["GET", "leasehold:{bills}:fence"]).unwrap();
        assert!(counter.text().map(str::to_owned) > token.map(|token| token.to_string()));
        // The control: who takes the proposal as it is gives a lower token.
        let lower = late.fence_proposal.unwrap().to_string();
        voters.servers[0].command(&["SET", "control", &lower]).unwrap();
        assert!(Some(lower) < token.map(|token| token.to_string()));
    });
}

#[test]
fn a_counter_that_was_lost_begins_at_the_clock() {
    run(async {
        let env = common::env();
        let voters = VotingServers::start_as(3, common::LONGEST, Builder::clock_shim).await;
        let (store, server) = (warm(&voters, &env).await, &voters.servers[0]);
        let first = proposing(server, &env, "bills", 0);
        let token = granted(&store, &first).await.fence.unwrap();
        store.release(&first).await.unwrap();
        server.command(&["DEL", "leasehold:{bills}:fence"]).unwrap();
        // The client knows the time of a moment ago, and no release has reserved a token.
        server.jump_clock(1800.0).unwrap();
        let clock = proposing(server, &env, "x", 0).fence_proposal.unwrap();
        let (next, before) = (claim(&env, "bills", 30_000), asked_shortly(server));
        let fence = granted(&store, &next).await.fence.unwrap();
        assert!(asked_shortly(server) > before, "by the short way");
        assert!(
            fence > token && fence.get() + FencingToken::SLACK_US >= clock.get(),
            "{fence} after {token}"
        );
        // The control: a counter by itself begins anew.
        assert_eq!(server.command(&["INCR", "control"]).unwrap().int(), Some(1));
    });
}

/// The marker is read with each grant: a member that was emptied under an open connection, and asked by others since, says so.
#[test]
fn a_member_says_for_how_long_it_has_forgotten_nothing() {
    run(async {
        let (env, voters) = (common::env(), VotingServers::start(3, common::LONGEST).await);
        let (store, other) = (warm(&voters, &env).await, warm(&voters, &env).await);
        let mine = proposing(&voters.servers[0], &env, "orders", 0);
        assert!(granted(&store, &mine).await.remembers_for >= common::LONGEST, "it was promoted");
        store.release(&mine).await.unwrap();
        voters.servers[0].command(&["FLUSHALL"]).unwrap();
        let theirs = claim(&env, "orders", 30_000);
        assert!(granted(&other, &theirs).await.remembers_for < SOON);
        other.release(&theirs).await.unwrap();
        let (next, before) =
            (proposing(&voters.servers[0], &env, "orders", 0), asked_shortly(&voters.servers[0]));
        let grant = granted(&store, &next).await;
        assert!(asked_shortly(&voters.servers[0]) > before, "by the short way");
        assert!(grant.remembers_for < SOON, "{:?}", grant.remembers_for);
        // The control: a lock without a marker is granted as if nothing had been forgotten.
        let taken = voters.servers[0].command(&["SET", "control", "me", "NX"]).unwrap();
        assert_eq!(taken.text(), Some("OK"));
    });
}

#[test]
fn nobody_passes_who_waits_at_a_member() {
    run(async {
        let (env, voters) = (common::env(), VotingServers::start(3, common::LONGEST).await);
        let (holder, waiter, other) =
            (warm(&voters, &env).await, warm(&voters, &env).await, warm(&voters, &env).await);
        let mine = claim(&env, "bills", 30_000);
        granted(&holder, &mine).await;
        let theirs = Claim { queueing: Queueing::Fifo, ..claim(&env, "bills", 30_000) };
        assert!(matches!(waiter.claim(&theirs).await.unwrap(), Standing::Waiting(_)));
        holder.release(&mine).await.unwrap();
        // It has met nobody, so it asks the short way.
        let passing = proposing(&voters.servers[0], &env, "bills", 0);
        assert!(matches!(other.claim(&passing).await.unwrap(), Standing::Held(_)), "nobody passes it");
        assert!(granted(&waiter, &theirs).await.valid_for > Duration::from_secs(20));
        // The control: by `SET NX` alone anybody passes.
        waiter.release(&theirs).await.unwrap();
        let passed = voters.servers[0].command(&["SET", "bills", "me", "NX", "PX", "30000"]).unwrap();
        assert_eq!(passed.text(), Some("OK"), "the control");
    });
}
