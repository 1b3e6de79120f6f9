//! Claims by reserved tokens at the members of a quorum: they run no script, and promise the same.

use std::{sync::Arc, time::Duration};

use leasehold_core::{Claim, Engine, Env, FencingToken, Grant, Quorum, Standing, Store};
use leasehold_redis::{QuorumMembership, RedisStore};
use leasehold_testkit::{
    proxy::{FaultRule, Proxy},
    redis::Server,
};

use crate::{
    common,
    fixture::{SOON, claim, eventually, lock, options, run, try_lock, ttl},
    members::{VotingServers, without_script},
    textbook::Textbook,
};

/// How many locks a case is tried with at most: a reserved token is good for a moment only.
const TRIES: u32 = 200;

async fn granted(store: &impl Store, claim: &Claim) -> Grant {
    match store.claim(claim).await.unwrap() {
        Standing::Granted(grant) => grant,
        other => panic!("{other:?}"),
    }
}

async fn token_of(store: &impl Store, claim: &Claim) -> FencingToken {
    granted(store, claim).await.fence.unwrap()
}

fn counter(server: &Server, text: &str) -> u64 {
    let counter = server.command(&["GET", &format!("leasehold:{{{text}}}:fence")]).unwrap();
    counter.text().map_or(0, |counter| counter.parse().unwrap())
}

/// Claims and releases a lock until the last release has reserved a token at all these servers; that token.
async fn reserve(servers: &[Server], store: &impl Store, env: &Env, text: &str) -> FencingToken {
    let until = env.now() + SOON;
    loop {
        let mine = claim(env, text, 30_000);
        let token = token_of(store, &mine).await.get();
        store.release(&mine).await.unwrap();
        if servers.iter().all(|server| counter(server, text) == token + 1) {
            return FencingToken::new(token + 1).unwrap();
        }
        assert!(env.now() < until, "no release reserves a token");
    }
}

#[test]
fn a_hot_lock_costs_one_script_a_pair_at_each_member_and_its_tokens_grow() {
    const PAIRS: u64 = 300;
    run(async {
        let (env, voters) = (common::env(), VotingServers::start(3, common::LONGEST).await);
        let quorum = voters.quorum();
        let mut last = reserve(&voters.servers, &quorum, &env, "orders").await;
        voters.reset();
        for _ in 0..PAIRS {
            let mine = claim(&env, "orders", 30_000);
            let token = token_of(&quorum, &mine).await;
            assert!(token >= last, "{token} after {last}, which was reserved");
            let is_counter =
                || async { voters.servers.iter().all(|it| counter(it, "orders") == token.get()) };
            eventually(&env, "the last grant", is_counter).await;
            quorum.release(&mine).await.unwrap();
            eventually(&env, "the last release", || async { voters.keys("orders") == 0 }).await;
            last = FencingToken::new(token.get() + 1).unwrap();
        }
        for server in &voters.servers {
            let reserved = without_script(server);
            assert!(reserved > 0, "no claim was by a reserved token");
            assert_eq!(server.calls("evalsha") + reserved, 2 * PAIRS, "one to lock and one to unlock");
        }
    });
}

/// Another client was granted the lock in between, by a majority or by one member alone.
#[test]
fn reserved_tokens_that_others_overtook_are_not_granted() {
    run(async {
        let (env, voters) = (common::env(), VotingServers::start(3, common::LONGEST).await);
        let (mine, other) = (voters.quorum(), voters.quorum());
        let member = voters.member(0);
        token_of(&other, &claim(&env, "warm", 30_000)).await;
        let mut overtaken = 0;
        for at in 0..TRIES {
            let text = format!("orders {at}");
            let reserved = reserve(&voters.servers, &mine, &env, &text).await;
            let stray = claim(&env, &text, 30_000);
            let stray_token = token_of(&member, &stray).await;
            member.release(&stray).await.unwrap();
            assert!(stray_token > reserved, "the control: by the reserved one alone, it would come after it");
            let theirs = claim(&env, &text, 30_000);
            let token = token_of(&other, &theirs).await;
            other.release(&theirs).await.unwrap();
            eventually(&env, "the last release", || async { voters.keys(&text) == 0 }).await;
            let before: u64 = voters.servers.iter().map(without_script).sum();
            let next = claim(&env, &text, 30_000);
            let after = token_of(&mine, &next).await;
            assert!(after > token && after > stray_token, "{after} after {token} and {stray_token}");
            mine.release(&next).await.unwrap();
            // Otherwise the reserved tokens had become too old, and were not sent.
            overtaken += u32::from(voters.servers.iter().map(without_script).sum::<u64>() > before);
            if overtaken == 3 {
                return;
            }
        }
        panic!("no reserved token was overtaken");
    });
}

/// One member alone was granted to another claim: where that member's counter is, the next grant of all comes to be.
#[test]
fn members_that_differ_come_together() {
    run(async {
        let (env, voters) = (common::env(), VotingServers::start(3, common::LONGEST).await);
        let (quorum, member) = (voters.quorum(), voters.member(0));
        let mut last = reserve(&voters.servers, &quorum, &env, "orders").await;
        for _ in 0..20 {
            let stray = claim(&env, "orders", 30_000);
            let standing = member.claim(&stray).await.unwrap();
            assert!(matches!(standing, Standing::Granted(_)), "{standing:?}");
            member.release(&stray).await.unwrap();
            let mine = claim(&env, "orders", 30_000);
            let token = token_of(&quorum, &mine).await;
            assert!(token >= last, "{token} after {last}, which was reserved");
            let have = |token: u64| voters.servers.iter().filter(|it| counter(it, "orders") >= token).count();
            assert!(have(token.get()) >= 2, "a majority has it: the next majority has one of them");
            quorum.release(&mine).await.unwrap();
            last = reserve(&voters.servers, &quorum, &env, "orders").await;
        }
        // The control: numbers of one server alone go back when another one answers first.
        let control = [
            voters.servers[0].command(&["INCRBY", "control", "5"]),
            voters.servers[1].command(&["INCR", "control"]),
        ];
        let [first, second] = control.map(|counter| counter.unwrap().int());
        assert!(second < first, "the control");
    });
}

#[test]
fn members_that_were_emptied_have_no_vote() {
    run(async {
        let (env, voters) = (common::env(), VotingServers::start(3, common::LONGEST).await);
        let quorum = voters.quorum();
        reserve(&voters.servers, &quorum, &env, "orders").await;
        for server in &voters.servers[..2] {
            server.command(&["FLUSHALL"]).unwrap();
        }
        let error = quorum.claim(&claim(&env, "orders", 30_000)).await.unwrap_err();
        assert_eq!(error.kind(), leasehold_core::ErrorKind::NoQuorum, "{error:#}");
        // The control: a Redlock that asks for the keys alone is granted.
        let mut naive = Textbook::at(&voters.addresses(), &[0, 1]);
        assert!(naive.lock("control", "me", 30_000), "the control");
    });
}

/// The marker is read with each grant.
#[test]
fn a_member_says_for_how_long_it_has_forgotten_nothing() {
    run(async {
        let (env, voters) = (common::env(), VotingServers::start(3, common::LONGEST).await);
        let (store, server) = (voters.member(0), &voters.servers[0]);
        let marker = server.command(&["GET", "leasehold:member"]).unwrap();
        let marker = marker.text().unwrap().to_string();
        for (at, is_lost) in (0..TRIES).map(|at| (at, at % 2 == 1)) {
            let text = format!("orders {at}");
            reserve(&voters.servers[..1], &store, &env, &text).await;
            let time = server.command(&["EVAL", "return redis.call('TIME')[1]", "0"]).unwrap();
            let young = format!("{}000 {}", time.text().unwrap(), marker.split_once(' ').unwrap().1);
            let change = ["SET", "leasehold:member", &young];
            server.command(if is_lost { &["DEL", "leasehold:member"] } else { &change }).unwrap();
            let before = without_script(server);
            let mine = claim(&env, &text, 30_000);
            let grant = granted(&store, &mine).await;
            assert!(grant.remembers_for < SOON, "{:?}", grant.remembers_for);
            store.release(&mine).await.unwrap();
            server.command(&["SET", "leasehold:member", &marker]).unwrap();
            if is_lost && without_script(server) > before {
                // The control: a lock without a marker is granted as if nothing had been forgotten.
                let taken = server.command(&["SET", "control", "me", "NX"]).unwrap();
                assert_eq!(taken.text(), Some("OK"), "the control");
                return;
            }
        }
        panic!("no claim was by a reserved token");
    });
}

/// A reserved token is above all before it, and may be below what the claim asks for: of a repaired hold, for example.
#[test]
fn a_reserved_token_below_the_least_one_of_its_claim_is_not_used() {
    run(async {
        let (env, voters) = (common::env(), VotingServers::start(3, common::LONGEST).await);
        let store = voters.member(0);
        for is_floor in [false, true] {
            let reserved = reserve(&voters.servers[..1], &store, &env, "orders").await;
            let least = FencingToken::new(reserved.get() + 1_000).ok();
            let mut mine = claim(&env, "orders", 30_000);
            *if is_floor { &mut mine.fence_floor } else { &mut mine.fence_proposal } = least;
            let token = granted(&store, &mine).await.fence;
            assert!(token >= least, "{token:?}, and at least {least:?} was asked for");
            store.release(&mine).await.unwrap();
        }
        // The control: the next number of the counter alone is below it.
        let next = voters.servers[0].command(&["INCR", "leasehold:{orders}:fence"]).unwrap().int().unwrap();
        assert!((next as u64) < counter(&voters.servers[0], "orders") + 1_000, "the control");
    });
}

/// A client of the servers behind proxies, which gives up a request soon.
fn impatient(voters: &VotingServers, proxies: &[Proxy]) -> Quorum {
    let member = |proxy: &Proxy| {
        let mut options = options(&format!("single={}", proxy.port()));
        options.membership =
            Some(QuorumMembership { members: proxies.len() as u32, longest_lease: voters.longest_lease });
        options.timeout = Duration::from_millis(200);
        Arc::new(RedisStore::new(options, common::env()).unwrap()) as Arc<dyn Store>
    };
    voters.quorum_of(proxies.iter().map(member).collect())
}

/// Requests that set a hold by a reserved token are held back at a majority, given up, and delivered when the lock was granted
/// and released once more.
#[test]
fn claims_by_reserved_tokens_that_are_delivered_late_make_no_ghost() {
    run(async {
        let (env, voters) = (common::env(), VotingServers::start(3, common::LONGEST).await);
        let proxies: Vec<Proxy> =
            voters.servers.iter().map(|server| Proxy::to(&server.address()).unwrap()).collect();
        let engine = Engine::new(Arc::new(impatient(&voters, &proxies)), env.clone());
        let sets = |bytes: &[u8]| {
            let has = |word: &[u8]| bytes.windows(word.len()).any(|it| it == word);
            has(b"\r\nSET\r\n") && has(b"#")
        };
        let rules: Vec<_> =
            proxies[1..].iter().map(|proxy| proxy.on_request(sets, FaultRule::Hold)).collect();
        let until = env.now() + SOON;
        while !rules.iter().all(|rule| rule.wait_fired(Duration::ZERO)) {
            assert!(env.now() < until, "no claim is by a reserved token");
            lock(&engine, "orders", &ttl(30_000)).await.release().await.unwrap();
        }
        eventually(&env, "the last release", || async { voters.keys("orders") == 0 }).await;
        rules.iter().for_each(|rule| rule.release());
        eventually(&env, "the late claims", || async { voters.keys("orders") == 2 }).await;
        let other = voters.engine();
        let hold = try_lock(&other, "orders", &ttl(30_000)).await.unwrap();
        assert!(hold.is_some(), "they keep nobody out");
        hold.unwrap().release().await.unwrap();
        // The control: the same requests of a library that knows no tokens make a ghost.
        let mut naive = Textbook::at(&voters.addresses(), &[1, 2]);
        assert!(naive.lock("ghost", "late", 30_000));
        assert!(!naive.lock("ghost", "another", 30_000), "the control: a ghost");
    });
}
