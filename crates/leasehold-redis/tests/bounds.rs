//! Bounds of everything that could grow without end: connections, requests, queues, keys, memory. One after the other: they leave no
//! room for tests that look at the clock.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests may panic, and have a runtime of their own"
)]

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use leasehold_core::{
    Engine, Env, Interest, LockOptions, Mode, Queueing, Standing, Store, Wait, engine::Observer,
};
use leasehold_testkit::{
    proxy::Proxy,
    redis::{Connection, Server},
};

mod common;
#[path = "faults/fixture.rs"]
mod fixture;
#[path = "faults/resource.rs"]
mod resource;
#[path = "faults/worker.rs"]
mod worker;

use fixture::{LATE, SOON, at, claim, engine, eventually, lock, name, run, store, try_lock, ttl};
use worker::Worker;

/// One case at a time.
fn my_turn() -> MutexGuard<'static, ()> {
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A line of `/proc/self/status`, as a number.
fn status(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let found = status.lines().find_map(|it| it.strip_prefix(line)?.strip_prefix(':'));
    found.and_then(|it| it.trim().split(' ').next()?.parse().ok()).expect("a number")
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// As [`eventually`], for what is much work on a busy machine.
async fn in_a_minute(env: &Env, what: &str, ask: impl AsyncFn() -> bool) {
    let until = env.now() + Duration::from_secs(60);
    while !ask().await {
        assert!(env.now() < until, "{what}: not within a minute");
        env.sleep(Duration::from_millis(20)).await;
    }
}

fn number(server: &Server, script: &str) -> i64 {
    server.command(&["EVAL", script, "0"]).unwrap().int().expect("a number")
}

/// R4. The server is gone for three seconds, and sixty clients want it: each tries now and then, and all have their locks
/// when it is back. A client that tries again at once makes more connections by itself.
#[test]
fn r4_many_clients_do_not_storm_a_server_that_comes_back() {
    let _turn = my_turn();
    const CLIENTS: usize = 60;
    let server = Server::builder().aof().start().unwrap();
    let proxy = Proxy::to(&server.address()).unwrap();
    run(async {
        let env = common::env();
        let engines: Vec<Engine> =
            (0..CLIENTS).map(|_| engine(&format!("single={}", proxy.port()))).collect();
        let mut holds = Vec::new();
        for (at, engine) in engines.iter().enumerate() {
            holds.push(
                lock(engine, &format!("held {at}"), &LockOptions { retry_timeout: SOON * 2, ..ttl(15_000) })
                    .await,
            );
        }
        let (mut waiters, told) = (Vec::new(), Arc::new(Mutex::new(BTreeSet::new())));
        for (at, engine) in engines.iter().enumerate() {
            let (engine, text, told) = (engine.clone(), format!("held {}", (at + 1) % CLIENTS), told.clone());
            let observer: Observer = Arc::new(move |_| {
                told.lock().unwrap().insert(at);
            });
            waiters.push(tokio::spawn(async move {
                let wait = Wait::For(Duration::from_secs(4));
                let terms = LockOptions { retry_timeout: SOON * 2, ..ttl(15_000) };
                engine.acquire(&name(&text), Mode::Exclusive, &terms, wait, Some(&observer)).await
            }));
        }
        // All of them: a wait in which the store has not said that the lock is taken ends with the store's error.
        eventually(&env, "waiters", || async { told.lock().unwrap().len() == CLIENTS }).await;
        server.kill();
        proxy.reset_counters();
        let begin = env.now();
        env.sleep_until(begin + Duration::from_millis(1_500)).await;
        let tries = proxy.connections() / CLIENTS as u64;
        // The control, for as long.
        let (begin, mut naive) = (env.now(), 0_u64);
        while env.now() < begin + Duration::from_millis(1_500) {
            // The proxy accepts, finds nobody, and hangs up.
            let reached = Connection::open(&proxy.address()).and_then(|mut it| it.call(&["PING"]));
            naive += u64::from(reached.is_err());
        }
        server.restart().unwrap();
        let restarted = env.now();
        for hold in &holds {
            in_a_minute(&env, "a renewal", async || {
                hold.lease().deadline() > restarted + Duration::from_secs(14)
            })
            .await;
            hold.lease().check().unwrap();
        }
        for waiter in waiters {
            let waited = waiter.await.unwrap();
            assert!(matches!(waited, Ok(None)), "the lock was held all the time: {waited:?}");
        }
        eprintln!("{tries} connections a client in 1.5 s, {naive} of a client that does not wait");
        assert!(tries <= 30, "{tries} connections a client in 1.5 s");
        assert!(naive > tries * 3, "the control: {naive} connections of one client, {tries} of one of ours");
    });
}

/// R5. The server takes nothing any more, and four thousand want locks: no more requests are under way than there may be, each
/// ends with an error in time, and what was sent all the same leaves no lock when it arrives in the end.
#[test]
fn r5_a_server_that_stalls_gathers_no_crowd_of_requests() {
    let _turn = my_turn();
    const WANTED: usize = 4_000;
    let server = Server::start().unwrap();
    let proxy = Proxy::to(&server.address()).unwrap();
    run(async {
        let env = common::env();
        let engine = engine(&format!("single={}", proxy.port()));
        lock(&engine, "warm", &ttl(30_000)).await.release().await.unwrap();
        proxy.hold_requests();
        proxy.reset_counters();
        let tasks: Vec<_> = (0..WANTED)
            .map(|at| {
                let engine = engine.clone();
                // Releases that fail are repeated after a hundredth to a tenth of it; it is longer than the test waits.
                let terms = LockOptions { retry_timeout: Duration::from_millis(400), ..ttl(100_000) };
                tokio::spawn(async move { try_lock(&engine, &format!("stalled {at}"), &terms).await })
            })
            .collect();
        for task in tasks {
            let error = task.await.unwrap().expect_err("nobody answers");
            assert!(error.is_transient(), "{error:?}");
        }
        let sent = proxy.take_request_bytes();
        let sent: usize =
            sent.iter().map(|bytes| bytes.windows(7).filter(|it| *it == b"EVALSHA").count()).sum();
        // What may be under way on a connection, and on the next one once that is given up.
        eprintln!("{sent} requests of {WANTED} were sent");
        assert!(sent <= 2 * 1_024 + 64, "{sent} requests of {WANTED} were sent");
        // The control sends what it is told to.
        let mut naive = Connection::open(&proxy.address()).unwrap();
        for at in 0..WANTED {
            naive.send(&["SET", &format!("naive {at}"), "me", "NX", "PX", "600000"]).unwrap();
        }
        proxy.pass();
        let left = |pattern: &str| number(&server, &format!("return #redis.call('KEYS', '{pattern}')"));
        in_a_minute(&env, "the control's requests", async || left("naive *") == WANTED as i64).await;
        in_a_minute(&env, "nothing of ours", async || left("stalled *") == 0 && engine.claims_alive() == 0)
            .await;
        eprintln!("{} connections, {} open", proxy.connections(), proxy.open_connections());
        assert_eq!(left("naive *"), WANTED as i64, "the control: locks of a client that gave up long ago");
    });
}

/// R6. Two thousand waiters are killed: their places are passed over and cleared away, and the next client gets the locks.
#[test]
fn r6_places_of_dead_waiters_are_cleared_away() {
    let _turn = my_turn();
    const CLIENTS: usize = 20;
    const NAMES: usize = 100;
    let server = Server::start().unwrap();
    let queued = "local n = 0 for _, key in ipairs(redis.call('KEYS', 'leasehold:*:queue')) do n = n + redis.call('ZCARD', key) end return n";
    run(async {
        let (env, holder, next) = (common::env(), engine(&at(&server)), engine(&at(&server)));
        let mut holds = Vec::new();
        for at in 0..NAMES {
            holds.push(lock(&holder, &format!("crowded {at}"), &ttl(600_000)).await);
        }
        let mut worker = Worker::start(&server.address());
        worker.ask(&format!("wait {CLIENTS} {NAMES}"));
        eventually(&env, "all places", || async { listening(&server) == (CLIENTS * NAMES) as i64 }).await;
        worker.kill();
        // The server has to hear of it, too: a message to a connection that it believes in counts as heard.
        eventually(&env, "the end of the connections", || async { channels(&server).is_empty() }).await;
        for hold in holds {
            hold.release().await.unwrap();
        }
        // All at once: what keeps one of them waiting is a second or two, in which the dead are passed over.
        let entered: Vec<_> = (0..NAMES)
            .map(|at| {
                let next = next.clone();
                tokio::spawn(async move {
                    lock(&next, &format!("crowded {at}"), &LockOptions { fair: true, ..ttl(600_000) })
                        .await
                        .release()
                        .await
                })
            })
            .collect();
        for task in entered {
            task.await.unwrap().unwrap();
        }
        assert_eq!(number(&server, queued), 0, "no place is left");
    });
    // The control queues in a list, as fair locks do that are made of one: the dead stand in front for ever.
    let pushed = format!(
        "for at = 1, {} do redis.call('RPUSH', 'naive:queue', at) end return redis.call('LLEN', 'naive:queue')",
        CLIENTS * NAMES
    );
    assert_eq!(number(&server, &pushed), (CLIENTS * NAMES) as i64);
}

/// R7. Twenty thousand names, used once: what is left of each is one counter, with an end; and tokens grow after that end.
#[test]
fn r7_what_is_left_of_used_names_ends_and_tokens_grow_on() {
    let _turn = my_turn();
    const NAMES: usize = 20_000;
    let server = Server::builder().clock_shim().start().unwrap();
    let memory = || server.info("memory")["used_memory"].parse::<i64>().unwrap();
    run(async {
        let (env, engine) = (common::env(), engine(&at(&server)));
        let first = lock(&engine, "used 0", &ttl(30_000)).await;
        let token = first.lease().fencing_token();
        first.release().await.unwrap();
        let before = memory();
        for at in 0..NAMES {
            lock(&engine, &format!("used {at}"), &ttl(30_000)).await.release().await.unwrap();
        }
        let left = number(&server, "return redis.call('DBSIZE')");
        let bytes = (memory() - before) / NAMES as i64;
        eprintln!("{NAMES} names used once leave {left} keys, {bytes} bytes a name");
        assert!(left <= NAMES as i64 && bytes < 800, "{left} keys, {bytes} bytes a name");
        let endless = "local n = 0 for _, key in ipairs(redis.call('KEYS', '*')) do if redis.call('PTTL', key) < 0 then n = n + 1 end end return n";
        assert_eq!(number(&server, endless), 0, "every key has an end");
        // The control counts in a key a name, as others do.
        server.command(&["INCR", "naive:counter"]).unwrap();
        assert_eq!(number(&server, endless), 1, "the control: for ever");
        // Fifteen days later.
        server.jump_clock(15.0 * 86_400.0).unwrap();
        eventually(&env, "the end of all counters", || async {
            number(&server, "return redis.call('DBSIZE')") == 1
        })
        .await;
        let later = lock(&engine, "used 0", &ttl(30_000)).await;
        assert!(later.lease().fencing_token() > token, "though its counter is gone");
    });
}

/// X9. Somebody rings for a waiter as fast as it can: the waiter asks now and then, and not each time.
#[test]
fn x9_a_flood_of_notifications_is_answered_with_few_questions() {
    let _turn = my_turn();
    let server = Server::start().unwrap();
    run(async {
        let (env, holding) = (common::env(), store(&at(&server)));
        holding.claim(&claim(&env, "orders", 600_000)).await.unwrap();
        let waiter = tokio::spawn({
            let engine = engine(&at(&server));
            let wait = Wait::For(Duration::from_secs(4));
            async move { engine.acquire(&name("orders"), Mode::Exclusive, &ttl(600_000), wait, None).await }
        });
        let waiters = async || holding.inspect(&name("orders")).await.unwrap().waiters;
        eventually(&env, "a waiter", || async { !waiters().await.is_empty() && channel(&server).is_some() })
            .await;
        let tag = format!("{:08x}", waiters().await[0].tag);
        let channel = channel(&server).unwrap();
        let (mut control, mut flood) = (server.connect().unwrap(), server.connect().unwrap());
        control.call(&["SUBSCRIBE", &channel]).unwrap();
        server.reset_stats().unwrap();
        let (begin, mut rung) = (env.now(), 0_u64);
        while env.now() < begin + Duration::from_secs(2) {
            rung += u64::from(flood.call(&["PUBLISH", &channel, &tag]).unwrap().int() == Some(2));
        }
        let asked = server.calls("evalsha");
        for _ in 0..rung {
            control.reply().expect("the control hears every one, and would ask each time");
        }
        eprintln!("rung {rung} times in two seconds, asked {asked} times");
        assert!(rung > 1_000 && asked < 100, "rung {rung} times in two seconds, asked {asked} times");
        assert!(matches!(waiter.await.unwrap(), Ok(None)));
    });
}

fn channel(server: &Server) -> Option<String> {
    channels(server).into_iter().next()
}

/// How many places have somebody who listens: before that, a waiter that dies keeps its place for its time to live.
fn listening(server: &Server) -> i64 {
    let script = "local n = 0
        for _, key in ipairs(redis.call('KEYS', 'leasehold:*:entries')) do
            for _, packed in ipairs(redis.call('HVALS', key)) do
                local entry = cmsgpack.unpack(packed)
                if entry[1] == 'w' and entry[11] ~= '' then n = n + 1 end
            end
        end
        return n";
    number(server, script)
}

/// On which the clients listen that are there.
fn channels(server: &Server) -> Vec<String> {
    let channels = server.command(&["PUBSUB", "CHANNELS", "leasehold:inbox:*"]).unwrap();
    channels.items().iter().filter_map(|it| it.text().map(ToString::to_string)).collect()
}

/// C6. A fair queue keeps its order when one in it is killed, and the dead one keeps nobody waiting for its time to live.
#[test]
fn c6_the_order_of_a_fair_queue_outlives_a_killed_waiter() {
    let _turn = my_turn();
    let server = Server::start().unwrap();
    run(async {
        let (env, holder) = (common::env(), store(&at(&server)));
        let mine = claim(&env, "crowded 0", 600_000);
        holder.claim(&mine).await.unwrap();
        let waiting = async |count: i64| {
            eventually(&env, "a waiter", || async { listening(&server) == count }).await;
        };
        let order = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let enter = |number: u32| {
            let (engine, order) = (engine(&at(&server)), order.clone());
            tokio::spawn(async move {
                let hold = lock(&engine, "crowded 0", &LockOptions { fair: true, ..ttl(600_000) }).await;
                order.lock().unwrap().push(number);
                hold.release().await.unwrap();
            })
        };
        let one = enter(1);
        waiting(1).await;
        let mut dead = Worker::start(&server.address());
        dead.ask("wait 1 1");
        waiting(2).await;
        let three = enter(3);
        waiting(3).await;
        let four = enter(4);
        waiting(4).await;
        let clients = channels(&server).len();
        dead.kill();
        // The server has to hear of it, too: a message to a connection that it believes in counts as heard.
        eventually(&env, "the end of a connection", || async { channels(&server).len() < clients }).await;
        let begin = env.now();
        holder.release(&mine).await.unwrap();
        for task in [one, three, four] {
            task.await.unwrap();
        }
        assert!(env.now().since(begin) < Duration::from_secs(3), "{:?}", env.now().since(begin));
        assert_eq!(*order.lock().unwrap(), [1, 3, 4]);
        // The control claims a place, and is not heard of again: without somebody who listens, a place is kept for its time.
        let mut silent = claim(&env, "silent", 4_000);
        silent.queueing = Queueing::Fifo;
        let held = claim(&env, "silent", 600_000);
        holder.claim(&held).await.unwrap();
        assert!(matches!(holder.claim(&silent).await.unwrap(), Standing::Waiting(_)));
        holder.release(&held).await.unwrap();
        let mut behind = claim(&env, "silent", 4_000);
        behind.queueing = Queueing::Fifo;
        assert!(
            matches!(holder.claim(&behind).await.unwrap(), Standing::Waiting(_)),
            "the control: still behind"
        );
        let wake = holder.watch(&behind.name, Interest::Turn(behind.id)).await.unwrap();
        drop(wake);
    });
}

/// R8. Locks, refusals, dropped acquisitions, lost locks and reset connections, over and over: descriptors, threads, memory and
/// keys are in the end what they were. `LEASEHOLD_SOAK_SECONDS` makes it last longer than its few seconds.
#[test]
fn r8_a_long_run_leaves_descriptors_memory_and_keys_as_they_were() {
    let _turn = my_turn();
    let seconds =
        std::env::var("LEASEHOLD_SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(12);
    let server = Server::start().unwrap();
    let proxy = Proxy::to(&server.address()).unwrap();
    run(async {
        let (env, engine) = (common::env(), engine(&format!("single={}", proxy.port())));
        // The first third is for what is allocated once.
        let third = Duration::from_secs(seconds) / 3;
        churn(&engine, &server, &proxy, third).await;
        let before = (descriptors(), status("Threads"), status("VmRSS"));
        let rounds = churn(&engine, &server, &proxy, third * 2).await;
        eventually(&env, "nothing under way", || async { engine.claims_alive() == 0 }).await;
        let after = (descriptors(), status("Threads"), status("VmRSS"));
        eprintln!("{rounds} rounds: descriptors, threads, KiB {before:?} → {after:?}");
        // A reset connection and its successor may be there together for a moment.
        assert!(after.0 <= before.0 + 16 && after.1 <= before.1 + 4, "{before:?} → {after:?}");
        assert!(after.2 <= before.2 + before.2 / 5 + 8_192, "{before:?} → {after:?}");
        let holds = "return redis.call('EXISTS', 'churned 0', 'churned 1', 'churned 2', 'churned 3')";
        eventually(&env, "no lock left", || async { number(&server, holds) == 0 }).await;
        let control: Vec<_> = (0..32).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
        assert!(descriptors() > after.0 + 16, "the control: {} that are leaked are seen", control.len());
    });
}

/// Four tasks for so long, and how many rounds they made.
async fn churn(engine: &Engine, server: &Server, proxy: &Proxy, span: Duration) -> u64 {
    let env = common::env();
    let until = env.now() + span;
    let tasks: Vec<_> = (0..4_u64)
        .map(|task| {
            let (engine, env) = (engine.clone(), env.clone());
            tokio::spawn(async move {
                let (mut rounds, terms) = (0_u64, ttl(2_000));
                while env.now() < until {
                    let text = name(&format!("churned {}", (task + rounds) % 4));
                    let wait = Wait::For(Duration::from_millis(20));
                    let point = env.now() + Duration::from_micros(rounds % 997 * 20);
                    let acquisition = engine.acquire(&text, Mode::Exclusive, &terms, wait, None);
                    // Some are dropped under way, some refused, some released and some dropped.
                    if let Some(Ok(Some(hold))) = env.until(point, acquisition).await
                        && rounds % 2 == 0
                    {
                        let _ = hold.release().await;
                    }
                    rounds += 1;
                }
                rounds
            })
        })
        .collect();
    while env.now() < until {
        env.sleep(Duration::from_millis(200)).await;
        proxy.reset_all();
        server.command(&["DEL", "churned 1"]).unwrap();
    }
    let mut rounds = 0;
    for task in tasks {
        rounds += task.await.unwrap();
    }
    env.sleep(LATE).await;
    rounds
}
