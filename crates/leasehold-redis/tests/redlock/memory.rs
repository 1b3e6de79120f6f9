//! Members that forget: killed and started again without their data, or emptied.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use leasehold_core::{ErrorKind, FencingToken, Mode, Moment, Store, Wait};

use crate::{
    common,
    fixture::{eventually, lock, name, run, shown, try_lock, ttl},
    members::VotingServers,
    textbook::Textbook,
};

/// The shortest that lets a member vote again after ten seconds.
const LONGEST: Duration = Duration::from_secs(10);

/// A grant.
#[derive(Clone, Copy, Debug)]
struct Lease {
    token: FencingToken,
    from: Moment,
    until: Moment,
}

/// A counter that is read, and written after a while; a client that presents a token below the mark is refused.
#[derive(Default)]
struct Counter {
    mark: Option<FencingToken>,
    value: u64,
    acknowledged: u64,
}

impl Counter {
    /// Raises the mark, and only then is read.
    fn claim(&mut self, token: FencingToken) -> Option<u64> {
        (self.mark <= Some(token)).then(|| {
            self.mark = Some(token);
            self.value
        })
    }

    fn write(&mut self, token: FencingToken, value: u64) {
        if self.mark == Some(token) {
            (self.value, self.acknowledged) = (value, self.acknowledged + 1);
        }
    }
}

/// S4. A holds two of three, the third was not there. One of the two is killed, comes back empty, and so does the third:
/// the textbook lets B in beside A; here the two have no vote until A's lease has ended.
#[test]
fn a_member_that_comes_back_empty_does_not_help_a_second_holder() {
    run(async {
        let voters = VotingServers::start(3, LONGEST).await;
        let (one, two) = (voters.engine(), voters.engine());
        for engine in [&one, &two] {
            lock(engine, "warm", &ttl(5_000)).await.release().await.unwrap();
        }
        voters.servers[2].kill();
        let first = lock(&one, "x", &ttl(9_000)).await;
        voters.servers[1].kill();
        voters.servers[1].restart().unwrap();
        voters.servers[2].restart().unwrap();
        let error = try_lock(&two, "x", &ttl(9_000)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoQuorum, "{}", shown(&error));
        assert!(shown(&error).contains("may have forgotten who holds"), "{}", shown(&error));
        first.lease().check().unwrap();
        let members = one.inspect(&name("x")).await.unwrap().members;
        let votes: Vec<bool> = members.iter().map(|member| member.votes).collect();
        assert_eq!(votes, [true, false, false], "{members:?}");
    });
    textbook_grants_twice();
}

/// The control, on servers of its own: both hold, and both believe it.
fn textbook_grants_twice() {
    run(async {
        let voters = VotingServers::start(3, LONGEST).await;
        let mut first = Textbook::at(&voters.addresses(), &[0, 1]);
        assert!(first.lock("x", "one", 9_000));
        voters.servers[1].kill();
        voters.servers[1].restart().unwrap();
        let mut second = Textbook::at(&voters.addresses(), &[1, 2]);
        assert!(second.lock("x", "two", 9_000), "the control: a second holder");
        let server = &voters.servers[0];
        assert!(server.command(&["EXISTS", "x"]).unwrap().int() == Some(1), "the first has not ended");
        assert!(Textbook::validity(Duration::from_secs(9)) > Duration::from_secs(8));
    });
}

/// The same for one that was emptied while it ran: no connection breaks, and the grant itself says that the marker is gone.
#[test]
fn a_member_that_was_emptied_does_not_help_a_second_holder() {
    run(async {
        let voters = VotingServers::start(3, LONGEST).await;
        let (one, two) = (voters.engine(), voters.engine());
        for engine in [&one, &two] {
            lock(engine, "warm", &ttl(5_000)).await.release().await.unwrap();
        }
        let first = lock(&one, "x", &ttl(9_000)).await;
        // Two grants are enough for the lease: the third may still be on its way, and would be served after the flush.
        let everywhere =
            || voters.servers.iter().all(|server| server.command(&["EXISTS", "x"]).unwrap().int() == Some(1));
        eventually_in(&common::env(), Duration::from_secs(5), everywhere).await;
        for server in &voters.servers[1..] {
            server.command(&["FLUSHALL"]).unwrap();
        }
        let error = try_lock(&two, "x", &ttl(9_000)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoQuorum, "{}", shown(&error));
        first.lease().check().unwrap();
    });
    run(async {
        let voters = VotingServers::start(3, LONGEST).await;
        assert!(Textbook::at(&voters.addresses(), &[0, 1, 2]).lock("x", "one", 9_000));
        for server in &voters.servers[1..] {
            server.command(&["FLUSHALL"]).unwrap();
        }
        let mut second = Textbook::at(&voters.addresses(), &[0, 1, 2]);
        assert!(second.lock("x", "two", 9_000), "the control: a second holder");
    });
}

/// A member whose every write is on disk before it is answered comes back with its vote; one that syncs later does not.
#[test]
fn a_durable_member_keeps_its_vote() {
    run(async {
        let voters = VotingServers::start_as(3, LONGEST, |builder| builder.aof()).await;
        let engine = voters.engine();
        lock(&engine, "warm", &ttl(5_000)).await.release().await.unwrap();
        voters.servers[0].kill();
        voters.servers[0].restart().unwrap();
        voters.servers[1].kill();
        let hold = lock(&engine, "x", &ttl(5_000)).await;
        hold.release().await.unwrap();
        let lazy =
            VotingServers::start_as(3, LONGEST, |builder| builder.aof().arg("appendfsync", "everysec")).await;
        let engine = lazy.engine();
        lock(&engine, "warm", &ttl(5_000)).await.release().await.unwrap();
        lazy.servers[0].kill();
        lazy.servers[0].restart().unwrap();
        lazy.servers[1].kill();
        let error = try_lock(&engine, "x", &ttl(5_000)).await.unwrap_err();
        assert!(shown(&error).contains("may have forgotten who holds"), "{}", shown(&error));
    });
}

/// Eight clients contend while one member and then another is killed and comes back empty: no two leases overlap, tokens
/// grow with every grant, and no increment of the fenced counter is lost.
#[test]
fn members_come_back_empty_in_turn_while_eight_contend() {
    run(async {
        let (env, voters) = (common::env(), Arc::new(VotingServers::start(3, LONGEST).await));
        let (leases, is_over) = (Arc::new(Mutex::new(Vec::<Lease>::new())), Arc::new(AtomicBool::new(false)));
        let counter = Arc::new(Mutex::new(Counter::default()));
        let workers: Vec<_> = (0..8)
            .map(|_| {
                let (env, engine, leases, is_over) =
                    (env.clone(), voters.engine(), leases.clone(), is_over.clone());
                let counter = counter.clone();
                tokio::spawn(async move {
                    let terms = ttl(3_000);
                    while !is_over.load(Ordering::Acquire) {
                        let wait = Wait::For(Duration::from_secs(1));
                        let Ok(Some(hold)) =
                            engine.acquire(&name("x"), Mode::Exclusive, &terms, wait, None).await
                        else {
                            continue;
                        };
                        let from = env.now();
                        let token = hold.lease().fencing_token().unwrap();
                        let read = counter.lock().unwrap().claim(token);
                        env.sleep(Duration::from_millis(3)).await;
                        if let Some(read) = read {
                            counter.lock().unwrap().write(token, read + 1);
                        }
                        let until = env.now().min(hold.lease().deadline());
                        if hold.lease().check().is_ok() {
                            leases.lock().unwrap().push(Lease { token, from, until });
                        }
                        let _ = hold.release().await;
                    }
                })
            })
            .collect();
        let count = || leases.lock().unwrap().len();
        let progress = |more: usize| {
            let goal = count() + more;
            let count = &count;
            eventually_in(&env, Duration::from_secs(60), move || count() >= goal)
        };
        progress(20).await;
        for at in [0, 1] {
            voters.servers[at].kill();
            progress(20).await;
            voters.servers[at].restart().unwrap();
            progress(20).await;
            // Until it votes again, so that the next may be killed.
            votes_again(&env, &voters.member(at)).await;
        }
        progress(20).await;
        is_over.store(true, Ordering::Release);
        for worker in workers {
            worker.await.unwrap();
        }
        let mut leases = leases.lock().unwrap().clone();
        leases.sort_by_key(|lease| lease.from);
        for pair in leases.windows(2) {
            assert!(pair[0].until <= pair[1].from, "two leases at once: {pair:?}");
            assert!(pair[0].token < pair[1].token, "a token that does not grow: {pair:?}");
        }
        assert!(leases.len() > 100, "{}", leases.len());
        eventually(&env, "nothing is left", || async { voters.keys("x") == 0 }).await;
        let counter = counter.lock().unwrap();
        assert_eq!(counter.value, counter.acknowledged, "no increment that was acknowledged is lost");
    });
    textbook_grants_twice();
}

async fn votes_again(env: &leasehold_core::Env, member: &leasehold_redis::RedisStore) {
    let until = env.now() + Duration::from_secs(30);
    while !member.server_info().await.is_ok_and(|info| info.remembers_for > LONGEST) {
        assert!(env.now() < until, "it has its vote again");
        env.sleep(Duration::from_millis(100)).await;
    }
}

async fn eventually_in(env: &leasehold_core::Env, within: Duration, mut is_so: impl FnMut() -> bool) {
    let until = env.now() + within;
    while !is_so() {
        assert!(env.now() < until, "no progress within {within:?}");
        env.sleep(Duration::from_millis(10)).await;
    }
}
