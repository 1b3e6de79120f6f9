//! A claim by a reserved token, which runs no script: it is granted once, in its turn, and heard of, or not at all.

use std::time::Duration;

use leasehold_core::{Claim, Env, FencingToken, Interest, LostReason, Queueing, Renewal, Standing, Store};
use leasehold_redis::RedisStore;
use leasehold_testkit::{
    proxy::{FaultHandle, FaultRule, Proxy},
    redis::Server,
};

use crate::{
    common,
    fixture::{
        SOON, at, claim, engine_with, eventually, holder, lock, name, options, run, store, try_lock, ttl,
    },
};

/// How many locks a case is tried with at most: a reserved token falls behind the server's clock within 100 ms.
const TRIES: u32 = 200;

async fn granted(store: &RedisStore, claim: &Claim) -> FencingToken {
    match store.claim(claim).await.unwrap() {
        Standing::Granted(grant) => grant.fence.unwrap(),
        other => panic!("{other:?}"),
    }
}

fn counter(server: &Server, text: &str) -> u64 {
    let counter = server.command(&["GET", &format!("leasehold:{{{text}}}:fence")]).unwrap();
    counter.text().map_or(0, |counter| counter.parse().unwrap())
}

/// Claims and releases a lock until the last release has reserved a token: the counter is above the token then.
async fn reserve(server: &Server, store: &RedisStore, env: &Env, text: &str) -> FencingToken {
    let until = env.now() + SOON;
    loop {
        let mine = claim(env, text, 30_000);
        let token = granted(store, &mine).await;
        store.release(&mine).await.unwrap();
        let reserved = counter(server, text);
        if reserved > token.get() {
            return FencingToken::new(reserved).unwrap();
        }
        assert!(env.now() < until, "no release reserves a token");
    }
}

/// A store behind a proxy, which counts its round trips.
fn counted(server: &Server) -> (RedisStore, Proxy) {
    let proxy = Proxy::to(&server.address()).unwrap();
    (store(&format!("single={}", proxy.port())), proxy)
}

#[test]
fn a_hot_lock_costs_one_script_a_pair_and_its_tokens_grow() {
    let server = Server::start().unwrap();
    let (store, proxy) = counted(&server);
    run(async {
        let env = common::env();
        // The first inspection brings its script.
        store.inspect(&name("orders")).await.unwrap();
        reserve(&server, &store, &env, "orders").await;
        server.reset_stats().unwrap();
        proxy.reset_counters();
        let (mut last, mut without_script) = (None, 0);
        for _ in 0..500 {
            let (mine, scripts) = (claim(&env, "orders", 30_000), server.calls("evalsha"));
            let token = granted(&store, &mine).await;
            let is_reserved = server.calls("evalsha") == scripts;
            without_script += u64::from(is_reserved);
            assert_eq!(counter(&server, "orders"), token.get(), "the counter is the token of who holds");
            assert!(Some(token) > last, "{token} after {last:?}");
            let shown = store.inspect(&mine.name).await.unwrap();
            assert_eq!(shown.holders[0].fence, Some(token), "{shown:?}");
            store.release(&mine).await.unwrap();
            last = Some(token);
        }
        let inspections = 500;
        assert_eq!(proxy.round_trips(), 1000 + inspections, "one to lock and one to unlock");
        assert_eq!(server.calls("evalsha"), 1000 + inspections - without_script);
        assert!(without_script > 0, "no claim was by a reserved token");
        // As a write: a proxy that reads from replicas would show a counter of a moment ago.
        assert_eq!(server.calls("getex"), without_script);
    });
}

/// A user that may not read the counter by `GETEX` pays a round trip and loses nothing.
#[test]
fn a_user_without_the_right_to_read_the_counter_is_granted_all_the_same() {
    let rights = common::LEAST_RIGHTS.replace("+getex ", "");
    let server = Server::builder().user(&rights).start().unwrap();
    run(async {
        let (env, store) = (common::env(), store(&format!("{} acl", at(&server))));
        let (mut last, until) = (None, env.now() + SOON);
        while !has_refused(&server) {
            let mine = claim(&env, "orders", 30_000);
            let token = granted(&store, &mine).await;
            assert!(Some(token) > last, "{token} after {last:?}");
            assert_eq!(holder(&server, "orders"), Some(mine.id.to_string()));
            store.release(&mine).await.unwrap();
            last = Some(token);
            assert!(env.now() < until, "no claim is by a reserved token");
        }
    });
    // The control: the command alone is refused.
    let mut naive = server.connect().unwrap();
    naive.call(&["AUTH", "locks", "pw"]).unwrap().accepted().unwrap();
    let answer = naive.call(&["GETEX", "leasehold:{orders}:fence"]).unwrap();
    assert!(answer.error().is_some_and(|error| error.starts_with("NOPERM")), "{answer:?}");
}

/// Whether the server has refused `GETEX`.
fn has_refused(server: &Server) -> bool {
    let commands = server.info("commandstats");
    commands.get("cmdstat_getex").is_some_and(|counts| !counts.contains("rejected_calls=0"))
}

/// Another client was granted the lock in between.
#[test]
fn a_reserved_token_that_others_overtook_is_not_granted() {
    let server = Server::start().unwrap();
    let (mine, proxy) = counted(&server);
    run(async {
        let (env, other) = (common::env(), store(&at(&server)));
        granted(&other, &claim(&env, "warm", 30_000)).await;
        for at in 0..TRIES {
            let text = format!("orders {at}");
            let reserved = reserve(&server, &mine, &env, &text).await;
            let theirs = claim(&env, &text, 30_000);
            let token = granted(&other, &theirs).await;
            other.release(&theirs).await.unwrap();
            assert!(reserved <= token, "the control: the reserved token alone would have come after {token}");
            proxy.reset_counters();
            let next = claim(&env, &text, 30_000);
            let after = granted(&mine, &next).await;
            assert!(after > token, "{after} after {token}");
            assert_eq!(holder(&server, &text), Some(next.id.to_string()));
            // Otherwise the token had fallen behind the clock, and was not sent.
            if proxy.round_trips() == 2 {
                return;
            }
        }
        panic!("no reserved token was overtaken");
    });
}

#[test]
fn a_claim_by_a_reserved_token_passes_nobody_who_waits() {
    let server = Server::start().unwrap();
    let (mine, proxy) = counted(&server);
    run(async {
        let (env, other, waiter) = (common::env(), store(&at(&server)), store(&at(&server)));
        for at in 0..TRIES {
            let text = format!("orders {at}");
            reserve(&server, &mine, &env, &text).await;
            let theirs = claim(&env, &text, 30_000);
            let first = granted(&other, &theirs).await;
            let waiting = Claim { queueing: Queueing::Fifo, ..claim(&env, &text, 30_000) };
            assert!(matches!(waiter.claim(&waiting).await.unwrap(), Standing::Waiting(_)));
            other.release(&theirs).await.unwrap();
            proxy.reset_counters();
            let passing = claim(&env, &text, 30_000);
            assert!(matches!(mine.claim(&passing).await.unwrap(), Standing::Held(_)), "nobody passes it");
            assert!(granted(&waiter, &waiting).await > first);
            waiter.release(&waiting).await.unwrap();
            if proxy.round_trips() == 2 {
                // The control: by `SET NX` alone anybody passes.
                let set = server.command(&["SET", &text, "me", "NX", "PX", "30000"]).unwrap();
                assert_eq!(set.text(), Some("OK"), "the control");
                return;
            }
        }
        panic!("no claim was by a reserved token");
    });
}

/// An observer of a free lock hears of the next grant.
#[test]
fn a_claim_by_a_reserved_token_is_announced_to_a_new_observer() {
    let server = Server::start().unwrap();
    let (mine, proxy) = counted(&server);
    run(async {
        let (env, observer) = (common::env(), store(&at(&server)));
        for at in 0..TRIES {
            let text = format!("orders {at}");
            reserve(&server, &mine, &env, &text).await;
            let mut wake = observer.watch(&name(&text), Interest::Changes).await.unwrap();
            proxy.reset_counters();
            granted(&mine, &claim(&env, &text, 30_000)).await;
            let heard = env.until(env.now() + SOON, wake.wait()).await;
            assert!(heard.is_some(), "the observer hears of the grant");
            if proxy.round_trips() == 2 {
                return;
            }
        }
        panic!("no claim was by a reserved token");
    });
}

/// The value that a claim by a reserved token sets, as WIRE.md has it.
fn set_by_hand(server: &Server, claim: &Claim, token: u64) {
    let value = format!("{} 1764500000000#{token} =a note", claim.id);
    let set = server.command(&["SET", claim.name.as_str(), &value, "NX", "PX", "30000"]).unwrap();
    assert_eq!(set.text(), Some("OK"));
}

#[test]
fn a_hold_whose_token_was_overtaken_keeps_nobody_out() {
    let server = Server::start().unwrap();
    run(async {
        let (env, store) = (common::env(), store(&at(&server)));
        for queueing in [Queueing::No, Queueing::Barging, Queueing::Fifo] {
            let (first, late) = (claim(&env, "orders", 30_000), claim(&env, "orders", 30_000));
            let token = granted(&store, &first).await;
            store.release(&first).await.unwrap();
            set_by_hand(&server, &late, token.get() - 1);
            let shown = store.inspect(&late.name).await.unwrap();
            assert!(shown.holders.is_empty(), "{shown:?}");
            let next = Claim { queueing, ..claim(&env, "orders", 30_000) };
            assert!(granted(&store, &next).await > token);
            assert_eq!(holder(&server, "orders"), Some(next.id.to_string()));
            store.release(&next).await.unwrap();
            // Its own claim, which asks again, is granted anew.
            set_by_hand(&server, &late, token.get() - 1);
            assert!(granted(&store, &late).await > token);
            store.release(&late).await.unwrap();
        }
    });
    // The control: to a library that asks for the key alone it is a holder.
    let naive = ["SET", "orders", "me", "NX"];
    assert_eq!(server.command(&naive).unwrap().text(), Some("OK"));
    assert!(server.command(&naive).unwrap().is_nil(), "the control");
}

#[test]
fn a_hold_by_a_reserved_token_keeps_others_out_also_when_the_counter_is_lost() {
    let server = Server::start().unwrap();
    run(async {
        let (env, store) = (common::env(), store(&at(&server)));
        for lost in [false, true] {
            let (first, mine) = (claim(&env, "orders", 30_000), claim(&env, "orders", 30_000));
            let token = granted(&store, &first).await;
            store.release(&first).await.unwrap();
            set_by_hand(&server, &mine, token.get());
            if lost {
                server.command(&["DEL", "leasehold:{orders}:fence"]).unwrap();
            }
            for queueing in [Queueing::No, Queueing::Barging] {
                let other = Claim { queueing, ..claim(&env, "orders", 30_000) };
                let standing = store.claim(&other).await.unwrap();
                let (Standing::Held(busy) | Standing::Waiting(busy)) = standing else {
                    panic!("{standing:?}")
                };
                let shown = busy.holder.unwrap();
                assert_eq!(shown.note.as_deref(), Some("a note"));
                assert_eq!(shown.fence, (!lost).then_some(token));
                store.release(&other).await.unwrap();
            }
            let again = granted(&store, &mine).await;
            assert!(if lost { again > token } else { again == token }, "{again}, and {token} before");
            store.release(&mine).await.unwrap();
        }
        // The control: a client that numbers its grants by the counter alone gives tokens twice after that.
        server.command(&["DEL", "leasehold:{orders}:fence"]).unwrap();
        assert_eq!(
            server.command(&["INCR", "leasehold:{orders}:fence"]).unwrap().int(),
            Some(1),
            "the control"
        );
    });
}

/// The first renewal of a hold by a reserved token compares that with the counter; the next ones are those of any hold.
#[test]
fn a_hold_by_a_reserved_token_is_renewed_by_the_counter_once() {
    let server = Server::start().unwrap();
    run(async {
        let (env, store) = (common::env(), store(&at(&server)));
        let first = claim(&env, "orders", 30_000);
        let token = granted(&store, &first).await;
        store.release(&first).await.unwrap();
        let mine = Claim { ttl: Duration::from_secs(60), ..claim(&env, "orders", 30_000) };
        set_by_hand(&server, &mine, token.get());
        // Brings the scripts.
        store.renew(&[claim(&env, "warm", 30_000)]).await;
        store.inspect(&mine.name).await.unwrap();
        for expected in [2, 1, 1] {
            server.reset_stats().unwrap();
            let renewed = store.renew(std::slice::from_ref(&mine)).await.remove(0).unwrap();
            let Renewal::Renewed { valid_for } = renewed else { panic!("{renewed:?}") };
            assert!(valid_for > Duration::from_secs(30), "{valid_for:?}");
            assert_eq!(server.calls("evalsha"), expected);
            let shown = store.inspect(&mine.name).await.unwrap().holders.remove(0);
            assert_eq!((shown.fence, shown.note.as_deref()), (Some(token), Some("a note")));
        }
        store.release(&mine).await.unwrap();
    });
}

/// The request of a claim that was forced out comes late. To its next renewal that is no hold, as it is none to others.
#[test]
fn a_hold_whose_token_was_overtaken_is_not_renewed() {
    let server = Server::start().unwrap();
    run(async {
        let (env, store) = (common::env(), store(&at(&server)));
        let mine = claim(&env, "orders", 30_000);
        let token = granted(&store, &mine).await;
        store.force_release(&mine.name).await.unwrap();
        set_by_hand(&server, &mine, token.get());
        // The control: a client that compares the value takes it for its own.
        assert_eq!(holder(&server, "orders"), Some(mine.id.to_string()), "the control");
        let renewed = store.renew(std::slice::from_ref(&mine)).await.remove(0).unwrap();
        assert_eq!(renewed, Renewal::Gone(LostReason::ForceReleased));
        assert!(granted(&store, &claim(&env, "orders", 30_000)).await > token);
    });
}

/// A request that sets a hold by a reserved token.
fn sets(text: String) -> impl Fn(&[u8]) -> bool + Send + 'static {
    move |bytes| {
        let has = |word: &[u8]| bytes.windows(word.len()).any(|it| it == word);
        has(b"\r\nSET\r\n") && has(b"#") && has(text.as_bytes())
    }
}

/// N2, for a claim without a script: its caller gave it up, and it is delivered after that.
#[test]
fn a_claim_by_a_reserved_token_that_is_delivered_late_makes_no_ghost() {
    let server = Server::start().unwrap();
    let proxy = Proxy::to(&server.address()).unwrap();
    run(async {
        let env = common::env();
        let words = format!("single={}", proxy.port());
        let engine = engine_with(&words, |options| options.timeout = Duration::from_millis(200));
        let hot = async |text: &str, rule: &FaultHandle| {
            let until = env.now() + SOON;
            while !rule.wait_fired(Duration::ZERO) {
                assert!(env.now() < until, "no claim is by a reserved token");
                lock(&engine, text, &ttl(30_000)).await.release().await.unwrap();
            }
        };
        // Held back: it is asked again on another connection, granted, and given back.
        let rule = proxy.on_request(sets("orders".into()), FaultRule::Hold);
        hot("orders", &rule).await;
        assert_eq!(holder(&server, "orders"), None);
        rule.release();
        // What was held back counts for nothing.
        eventually(&env, "the late claim", || async { holder(&server, "orders").is_some() }).await;
        assert!(try_lock(&engine, "orders", &ttl(30_000)).await.unwrap().is_some(), "it makes no ghost");
        // Applied, and not answered: it is asked again, and is answered the same hold.
        let rule = proxy.on_request(sets("bills".into()), FaultRule::ForwardThenCut);
        hot("bills", &rule).await;
        assert_eq!(holder(&server, "bills"), None);
    });
    // The control: the same request of a library that knows no tokens makes a ghost.
    server.command(&["SET", "ghost", "me", "NX", "PX", "30000"]).unwrap();
    assert!(holder(&server, "ghost").is_some(), "the control: a ghost");
}

/// The same for a claim that is given up at once, when nothing of ours was granted in the meantime: nor when another library held
/// the key, nor when the counter is lost after that.
#[test]
fn a_claim_by_a_reserved_token_that_was_given_up_makes_no_ghost() {
    let server = Server::start().unwrap();
    let proxy = Proxy::to(&server.address()).unwrap();
    run(async {
        let (env, words) = (common::env(), format!("single={}", proxy.port()));
        let mut options = options(&words);
        options.timeout = Duration::from_millis(200);
        let mine = RedisStore::new(options, env.clone()).unwrap();
        for (text, is_lost) in [("notes", false), ("shared", false), ("lost", true)] {
            let (rule, until) = (proxy.on_request(sets(text.into()), FaultRule::Hold), env.now() + SOON);
            let late = loop {
                let next = claim(&env, text, 30_000);
                if mine.claim(&next).await.is_err() {
                    break next;
                }
                assert!(env.now() < until, "no claim is by a reserved token");
                mine.release(&next).await.unwrap();
            };
            assert!(rule.fired());
            if text == "shared" {
                server.command(&["SET", text, "another library", "NX", "PX", "30000"]).unwrap();
            }
            mine.release(&late).await.unwrap();
            server.command(&["DEL", text]).unwrap();
            // Lost while the id is refused; or the time of the refusal is over, which the late hold outlives.
            let ends = if is_lost { [":fence"; 3] } else { [":meta", ":entries", ":waiters"] };
            for end in ends {
                server.command(&["DEL", &format!("leasehold:{{{text}}}{end}")]).unwrap();
            }
            rule.release();
            eventually(&env, "the late claim", || async { holder(&server, text).is_some() }).await;
            let next = granted(&store(&at(&server)), &claim(&env, text, 30_000)).await;
            assert!(next.get() > 0, "{text}: it keeps nobody out");
        }
    });
    // The control: the same request of a library that knows no tokens makes a ghost.
    server.command(&["SET", "ghost", "me", "NX", "PX", "30000"]).unwrap();
    assert!(holder(&server, "ghost").is_some(), "the control: a ghost");
}

/// Another library on the same key raises no counter, so what comes after it has to: a fair waiter is not passed, and an observer
/// hears of the next grant.
#[test]
fn a_hold_of_another_library_ends_what_was_reserved_before_it() {
    let server = Server::start().unwrap();
    run(async {
        let (env, store, waiter) = (common::env(), store(&at(&server)), store(&at(&server)));
        let occupy =
            |text: &str| server.command(&["SET", text, "another library", "NX", "PX", "30000"]).unwrap();
        let reserved = reserve(&server, &store, &env, "queue").await;
        occupy("queue");
        let waiting = Claim { queueing: Queueing::Fifo, ..claim(&env, "queue", 30_000) };
        assert!(matches!(waiter.claim(&waiting).await.unwrap(), Standing::Waiting(_)));
        server.command(&["DEL", "queue"]).unwrap();
        assert!(counter(&server, "queue") > reserved.get(), "the reserved token would pass the waiter");
        assert!(matches!(store.claim(&claim(&env, "queue", 30_000)).await.unwrap(), Standing::Held(_)));
        assert!(granted(&waiter, &waiting).await > reserved);
        let reserved = reserve(&server, &store, &env, "watched").await;
        occupy("watched");
        drop(waiter.watch(&name("watched"), Interest::Changes).await.unwrap());
        assert!(
            counter(&server, "watched") > reserved.get(),
            "a grant by the reserved token would go unheard"
        );
        // A hold that was overtaken before it was set ends no reservation, either.
        let reserved = reserve(&server, &store, &env, "overtaken").await;
        set_by_hand(&server, &claim(&env, "overtaken", 30_000), reserved.get() - 1);
        drop(waiter.watch(&name("overtaken"), Interest::Changes).await.unwrap());
        assert!(counter(&server, "overtaken") > reserved.get());
        // The control: a hold of ours, which the counter is the token of, is not touched.
        let mine = claim(&env, "held", 30_000);
        let token = granted(&store, &mine).await;
        drop(waiter.watch(&name("held"), Interest::Changes).await.unwrap());
        assert_eq!(counter(&server, "held"), token.get(), "the control");
    });
}

/// Without its counter a lock is granted in turn, with a token above the one that the hold names.
#[test]
fn a_claim_whose_counter_is_lost_comes_in_its_turn() {
    let server = Server::start().unwrap();
    run(async {
        let (env, store, waiter) = (common::env(), store(&at(&server)), store(&at(&server)));
        let first = claim(&env, "queue", 30_000);
        let token = granted(&store, &first).await;
        let waiting = Claim { queueing: Queueing::Fifo, ..claim(&env, "queue", 30_000) };
        assert!(matches!(waiter.claim(&waiting).await.unwrap(), Standing::Waiting(_)));
        server.command(&["DEL", "leasehold:{queue}:fence"]).unwrap();
        store.release(&first).await.unwrap();
        let late = claim(&env, "queue", 30_000);
        set_by_hand(&server, &late, token.get());
        assert!(matches!(store.claim(&late).await.unwrap(), Standing::Held(_)), "it passes nobody who waits");
        assert!(granted(&waiter, &waiting).await > token);
        // The claim that waits is the one whose hold arrives late.
        let waiting = Claim { queueing: Queueing::Barging, ..claim(&env, "own", 30_000) };
        let holds = claim(&env, "own", 30_000);
        let token = granted(&store, &holds).await;
        assert!(matches!(store.claim(&waiting).await.unwrap(), Standing::Waiting(_)));
        store.release(&holds).await.unwrap();
        set_by_hand(&server, &waiting, token.get());
        assert_eq!(granted(&store, &waiting).await, token, "as if it was granted by that");
        assert_eq!(store.inspect(&waiting.name).await.unwrap().waiters, [], "and it does not wait any more");
        // A token that is ahead of the clock by an hour, whose counter is lost.
        let ahead = claim(&env, "ahead", 30_000);
        let token = granted(&store, &ahead).await.get() + 3_600_000_000;
        store.release(&ahead).await.unwrap();
        server.command(&["DEL", "leasehold:{ahead}:fence"]).unwrap();
        set_by_hand(&server, &ahead, token);
        assert!(granted(&store, &ahead).await.get() > token);
        // The control: the clock alone would give a lower one.
        let other = claim(&env, "other", 30_000);
        assert!(granted(&store, &other).await.get() < token, "the control");
    });
}
