//! Claims by reserved tokens at the members of a quorum: they run no script, and promise the same.

use std::{sync::Arc, time::Duration};

use leasehold_core::{Claim, Engine, Env, FencingToken, Grant, Quorum, Renewal, Standing, Store};
use leasehold_redis::{QuorumMembership, RedisStore};
use leasehold_testkit::{
    proxy::{FaultRule, Proxy},
    redis::{Builder, Server},
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
        // A member that is a pair behind would find each claim before the last release.
        let is_free = |server: &Server| server.command(&["EXISTS", text]).unwrap().int() == Some(0);
        eventually(env, "the last release", || async { servers.iter().all(is_free) }).await;
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

/// A hold that was set by a reserved token and never granted, at one member, is no vote for a renewal: with it, a claim that another
/// member has lost would go on without a majority.
#[test]
fn a_hold_that_was_never_granted_is_no_vote_for_a_renewal() {
    run(async {
        let (env, voters) = (common::env(), VotingServers::start(3, common::LONGEST).await);
        let (one, two) = (voters.quorum(), voters.quorum());
        let mine = claim(&env, "orders", 30_000);
        let token = token_of(&one, &mine).await.get();
        eventually(&env, "the last grant", || async { voters.keys("orders") == 3 }).await;
        let renewed = one.renew(std::slice::from_ref(&mine)).await.remove(0);
        assert!(matches!(renewed, Ok(Renewal::Renewed { .. })), "{renewed:?}");
        // The first member loses it; at the third, somebody else was granted in between, and the request of this claim came late.
        voters.servers[0].command(&["DEL", "orders"]).unwrap();
        let value = format!("{} 1764500000000#{token}", mine.id);
        voters.servers[2].command(&["SET", "leasehold:{orders}:fence", &(token + 1).to_string()]).unwrap();
        voters.servers[2].command(&["SET", "orders", &value, "PX", "30000"]).unwrap();
        let renewed = one.renew(std::slice::from_ref(&mine)).await.remove(0);
        assert!(matches!(renewed, Ok(Renewal::Gone(_))), "{renewed:?}");
        // The control: to a library that compares the value, the claim has a majority, and another client has one, too.
        let has = |at: usize, id: &str| {
            let value = voters.servers[at].command(&["GET", "orders"]).unwrap();
            value.text().is_some_and(|value| value.starts_with(id))
        };
        voters.servers[2].command(&["SET", "control", &value]).unwrap();
        let control = voters.servers[2].command(&["GET", "control"]).unwrap();
        let id = mine.id.to_string();
        assert!(has(1, &id) && control.text().is_some_and(|value| value.starts_with(&id)), "the control");
        let theirs = claim(&env, "orders", 30_000);
        assert!(token_of(&two, &theirs).await.get() > token);
        assert!(has(0, &theirs.id.to_string()) && has(2, &theirs.id.to_string()));
    });
}

/// Proposals follow the last grant, so tokens grow where counters are lost in the moment after it.
#[test]
fn tokens_grow_when_all_counters_are_lost_between_two_claims() {
    run(async {
        let (env, voters) = (common::env(), VotingServers::start(3, common::LONGEST).await);
        let quorum = voters.quorum();
        for is_emptied in [false, true] {
            let mut last = None;
            for at in 0..4 {
                if at == 3 {
                    for (at, server) in voters.servers.iter().enumerate() {
                        match is_emptied {
                            true => drop(server.command(&["FLUSHALL"]).unwrap()),
                            false => drop(server.command(&["DEL", "leasehold:{orders}:fence"]).unwrap()),
                        }
                        voters.member(at).promote().await.unwrap();
                    }
                }
                let mine = claim(&env, "orders", 30_000);
                let token = token_of(&quorum, &mine).await;
                assert!(Some(token) > last, "{token} after {last:?}, emptied: {is_emptied}");
                last = Some(token);
                quorum.release(&mine).await.unwrap();
                eventually(&env, "the last release", || async { voters.keys("orders") == 0 }).await;
            }
            // The control: a counter by itself begins anew.
            assert_eq!(voters.servers[0].command(&["INCR", "control"]).unwrap().int(), Some(1));
            voters.servers[0].command(&["DEL", "control"]).unwrap();
        }
    });
}

/// A member whose clock is ahead grants no token that is more than 5 s behind it. What is proposed is no less, so the others
/// are not raised to it again and again.
#[test]
fn a_member_whose_clock_is_ahead_costs_no_further_round() {
    const PAIRS: u64 = 60;
    run(async {
        let env = common::env();
        for ahead in [4.9, 60.0] {
            let voters = VotingServers::start_as(3, common::LONGEST, Builder::clock_shim).await;
            voters.servers[0].jump_clock(ahead).unwrap();
            for at in 0..3 {
                voters.member(at).promote().await.unwrap();
            }
            let quorum = voters.quorum();
            let pair = async || {
                let mine = claim(&env, "orders", 30_000);
                token_of(&quorum, &mine).await;
                eventually(&env, "the last grant", || async { voters.keys("orders") == 3 }).await;
                quorum.release(&mine).await.unwrap();
                eventually(&env, "the last release", || async { voters.keys("orders") == 0 }).await;
                env.sleep(Duration::from_millis(20)).await;
            };
            for _ in 0..20 {
                pair().await;
            }
            voters.reset();
            for _ in 0..PAIRS {
                pair().await;
            }
            let asked = |server: &Server| server.calls("evalsha") + without_script(server);
            let asked: Vec<u64> = voters.servers.iter().map(asked).collect();
            assert_eq!(asked, [2 * PAIRS; 3], "ahead by {ahead} s");
        }
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
        // Only then has the client given up what is held back.
        let is_refused = |server: &Server| {
            server.command(&["EXISTS", "leasehold:{orders}:entries"]).unwrap().int() == Some(1)
        };
        eventually(&env, "the refusals", || async { voters.servers[1..].iter().all(is_refused) }).await;
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
