//! Servers that are slow, and clocks that are fast.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use leasehold_core::{Lease, LockOptions};
use leasehold_testkit::{proxy::Proxy, redis::Server, wait};

use crate::{
    common,
    fixture::{LATE, Naive, SOON, at, engine, eventually, holder, lock, loss, run, try_lock, ttl},
};

/// Lets the server's clock run faster, from now until `stop`.
fn hurry(server: &Server, by: f64, stop: &AtomicBool) {
    let env = common::env();
    let (begin, mut moved) = (env.now(), 0.0);
    while !stop.load(Ordering::SeqCst) {
        let wanted = env.now().since(begin).as_secs_f64() * by;
        server.jump_clock(wanted - moved).unwrap();
        moved = wanted;
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs `work` while the server's clock is faster by this share.
fn hurried<T>(server: &Arc<Server>, by: f64, work: impl FnOnce() -> T) -> T {
    let stop = Arc::new(AtomicBool::new(false));
    let (there, stopped) = (server.clone(), stop.clone());
    let thread = std::thread::spawn(move || hurry(&there, by, &stopped));
    let answer = work();
    stop.store(true, Ordering::SeqCst);
    thread.join().unwrap();
    answer
}

/// K4. The server's clock runs 1 % fast, which is allowed for: the lease is over before the server lets anybody else in.
/// A client that counts the whole time to live still holds beside the next one.
#[test]
fn k4_a_server_that_is_one_in_a_hundred_fast_meets_leases_that_allow_for_it() {
    let server = Arc::new(Server::builder().clock_shim().start().unwrap());
    hurried(&server.clone(), 0.01, || {
        run(async {
            let (env, one) = (common::env(), engine(&at(&server)));
            let hold = lock(&one, "orders", &LockOptions { renew: false, ..ttl(9_000) }).await;
            server.command(&["SET", "naive", "me", "NX", "PX", "9000"]).unwrap();
            let believes_until = env.now() + Duration::from_millis(9_000);
            // Looked at again and again, since one answer may be slow on a busy machine.
            let mut too_long = false;
            while let Some(left_ms) = server.command(&["PTTL", "naive"]).unwrap().int().filter(|it| *it >= 0)
            {
                let left = Duration::from_millis(left_ms.unsigned_abs());
                too_long |= believes_until.since(env.now()) > left + Duration::from_millis(20);
                let valid = hold.lease().check().is_ok();
                assert!(!valid || holder(&server, "orders").is_some() || hold.lease().check().is_err());
                std::thread::sleep(Duration::from_millis(5));
            }
            assert!(hold.lease().check().is_err(), "the lease ends before the lock is free");
            assert!(too_long, "the control: its lock is free before its time is over");
        });
    });
}

/// K4. Three times as fast, which nobody allows for: another is let in beside the first, who is told at its next renewal, and
/// whose token is the lower one.
#[test]
fn k4_a_server_that_is_three_times_as_fast_lets_two_in_and_fences_the_first() {
    let server = Arc::new(Server::builder().clock_shim().start().unwrap());
    hurried(&server.clone(), 2.0, || {
        run(async {
            let (env, one, two) = (common::env(), engine(&at(&server)), engine(&at(&server)));
            // The first renewal is due when the lock has been over for as long as it lasted.
            let first = lock(&one, "orders", &LockOptions { renew: false, ..ttl(6_000) }).await;
            // By the server's word a waiter would come when the first is over by every clock; this one keeps trying.
            let second = loop {
                if let Some(hold) = try_lock(&two, "orders", &ttl(30_000)).await.unwrap() {
                    break hold;
                }
            };
            assert!(first.lease().check().is_ok(), "two valid guards: the violation that SAFETY.md lists");
            assert!(
                second.lease().fencing_token() > first.lease().fencing_token(),
                "the first is fenced out"
            );
            assert!(first.confirm().await.is_err(), "asked, the server says that it is gone");
            assert!(loss(&env, &first).await < LATE && second.lease().check().is_ok());
            // The control has no token: its resource cannot tell the two apart.
            let mut naive = Naive::at(&server.address());
            assert!(naive.lock("naive", "one", 3_000));
            let begin = env.now();
            eventually(&env, "the end of the control's lock", || async {
                holder(&server, "naive").is_none()
            })
            .await;
            assert!(env.now() < begin + Duration::from_millis(3_000) && naive.lock("naive", "two", 3_000));
        });
    });
}

/// S8. The server is busy for longer than the lease is to last, or answers that late: what was granted meanwhile is not taken
/// for a lock, and what is taken has its whole time counted from before it was asked for.
#[test]
fn s8_an_answer_that_comes_after_the_deadline_is_no_lock() {
    let server = Server::start().unwrap();
    let proxy = Proxy::to(&server.address()).unwrap();
    run(async {
        let (env, engine) = (common::env(), engine(&format!("single={}", proxy.port())));
        lock(&engine, "warm", &ttl(30_000)).await.release().await.unwrap();
        // Busy: what is asked waits in the server.
        let mut sleeper = server.connect().unwrap();
        sleeper.send(&["DEBUG", "SLEEP", "1.2"]).unwrap();
        let begin = env.now();
        let hold = lock(&engine, "orders", &LockOptions { renew: false, ..ttl(1_000) }).await;
        let left = server.command(&["PTTL", "orders"]).unwrap().int().unwrap();
        assert!(env.now().since(begin) > Duration::from_millis(900), "the server was busy");
        assert!(
            hold.lease().remaining() <= Duration::from_millis(left.unsigned_abs()),
            "{:?} of {left} ms",
            hold.lease().remaining()
        );
        hold.release().await.unwrap();
        // Late: the server has done it, and says so when it is over.
        proxy.hold_replies();
        let mut naive = Naive::at(&proxy.address());
        naive.ask("naive", "me", 1_000);
        let asked = tokio::spawn({
            let engine = engine.clone();
            async move { try_lock(&engine, "late", &LockOptions { retry_timeout: SOON, ..ttl(1_000) }).await }
        });
        let both = || ["late", "naive"].iter().all(|key| holder(&server, key).is_some());
        assert!(wait::until(SOON, both), "both are granted");
        let mut other = Naive::at(&server.address());
        for key in ["late", "naive"] {
            assert!(
                wait::until(SOON, || other.lock(key, "other", 60_000)),
                "{key} is over, and another has it"
            );
        }
        proxy.pass();
        let answer = asked.await.unwrap();
        assert!(!matches!(answer, Ok(Some(_))), "{answer:?}");
        assert!(
            naive.hears(SOON),
            "the control: OK, and another second to believe in, beside another holder"
        );
        assert_eq!(holder(&server, "late").as_deref(), Some("other"));
    });
}

/// N9. Every packet takes between nothing and half a second, now this and now that, and connections break on top: two clients
/// take turns, and no two leases are valid at once. A client that counts from the answer holds longer than the server knows.
#[test]
fn n9_two_clients_on_a_network_that_trembles_never_hold_at_once() {
    let server = Server::start().unwrap();
    let proxies = [Proxy::to(&server.address()).unwrap(), Proxy::to(&server.address()).unwrap()];
    run(async {
        let env = common::env();
        let leases = Arc::new(std::sync::Mutex::new(Vec::<Lease>::new()));
        let until = env.now() + Duration::from_secs(8);
        let tasks: Vec<_> = proxies
            .iter()
            .map(|proxy| {
                let engine = engine(&format!("single={}", proxy.port()));
                let (env, leases) = (env.clone(), leases.clone());
                tokio::spawn(async move {
                    while env.now() < until {
                        // Nobody gives it back: it has to end by itself, while the other one waits for that.
                        let hold = lock(
                            &engine,
                            "orders",
                            &LockOptions { retry_timeout: SOON, renew: false, ..ttl(1_200) },
                        )
                        .await;
                        {
                            let mut leases = leases.lock().unwrap();
                            let valid = leases.iter().filter(|lease| lease.check().is_ok()).count();
                            assert_eq!(valid, 0, "valid beside the {}th: {hold:?}", leases.len() + 1);
                            leases.push(hold.lease().clone());
                        }
                        hold.lease().lost().await;
                    }
                })
            })
            .collect();
        while env.now() < until {
            for proxy in &proxies {
                proxy.delay(env.jitter(Duration::from_millis(500)));
            }
            env.sleep(Duration::from_millis(70)).await;
            if env.random().is_multiple_of(16) {
                proxies[0].reset_all();
            }
        }
        proxies.iter().for_each(Proxy::pass);
        for task in tasks {
            task.await.unwrap();
        }
        let tokens: Vec<_> = leases.lock().unwrap().iter().map(Lease::fencing_token).collect();
        assert!(tokens.len() > 3 && tokens.is_sorted(), "they took turns: {tokens:?}");
        proxies[0].delay(Duration::from_millis(400));
        let mut naive = Naive::at(&proxies[0].address());
        assert!(naive.lock("naive", "me", 1_200));
        let believes_until = env.now() + Duration::from_millis(1_200);
        eventually(&env, "the end of the control's lock", || async { holder(&server, "naive").is_none() })
            .await;
        assert!(env.now() < believes_until, "the control: free before its holder believes so");
    });
}
