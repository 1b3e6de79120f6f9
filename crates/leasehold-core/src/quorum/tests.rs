//! Quorums of memory stores in virtual time.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use super::*;
use crate::{
    ClaimId, Engine, FencingToken, LockOptions, Mode, Queueing, Wait,
    env::Virtual,
    layer::{Chaos, Fault, Verb},
    memory::Memory,
};

mod clocks;
mod proposals;
mod random_faults;

const TTL: Duration = Duration::from_secs(10);

struct Bench {
    world: Virtual,
    servers: Vec<Memory>,
}

impl Bench {
    fn new(seed: u64, members: usize) -> Bench {
        let world = Virtual::new(seed);
        let servers = (0..members).map(|_| Memory::new(world.env())).collect();
        Bench { world, servers }
    }

    /// A client whose members fail as `plan` has it.
    fn client<P>(&self, plan: impl Fn(usize) -> P) -> Quorum
    where
        P: Fn(u64, Verb) -> Fault + Send + Sync + 'static,
    {
        let env = self.world.env();
        let member = |(at, server): (usize, &Memory)| -> Arc<dyn Store> {
            Arc::new(Chaos::new(Arc::new(server.client()), env.clone(), plan(at)))
        };
        let options = QuorumOptions { longest_lease: TTL, ..QuorumOptions::default() };
        Quorum::new(self.servers.iter().enumerate().map(member).collect(), options, env.clone()).unwrap()
    }

    fn well(&self) -> Quorum {
        self.client(|_| |_, _| Fault::None)
    }

    fn claim(&self) -> Claim {
        Claim::new(name(), ClaimId::mint(&self.world.env()), TTL)
    }

    /// How many members have a holder.
    fn held(&self) -> usize {
        let holders =
            |server: &&Memory| !self.world.block_on(server.inspect(&name())).unwrap().holders.is_empty();
        self.servers.iter().filter(holders).count()
    }
}

fn name() -> LockName {
    LockName::new("x").unwrap()
}

fn hangs(members: &'static [usize]) -> impl Fn(usize) -> Box<dyn Fn(u64, Verb) -> Fault + Send + Sync> {
    move |at| Box::new(move |_, _| if members.contains(&at) { Fault::Hang } else { Fault::None })
}

fn granted(standing: Result<Standing>) -> crate::Grant {
    match standing {
        Ok(Standing::Granted(grant)) => grant,
        other => panic!("not granted: {other:?}"),
    }
}

#[test]
fn a_hung_minority_takes_no_time_at_all() {
    let bench = Bench::new(1, 5);
    let quorum = bench.client(hangs(&[0, 3]));
    bench.world.block_on(async {
        let claim = bench.claim();
        let begin = bench.world.env().now();
        granted(quorum.claim(&claim).await);
        assert!(matches!(
            quorum.renew(std::slice::from_ref(&claim)).await[..],
            [Ok(Renewal::Renewed { .. })]
        ));
        assert_eq!(quorum.release(&claim).await.unwrap(), Release::Released);
        assert_eq!(bench.world.env().now(), begin, "nobody was waited for");
    });
}

#[test]
fn a_hung_majority_is_told_after_the_time_of_one_member_and_gives_back_the_rest() {
    let bench = Bench::new(2, 5);
    let quorum = bench.client(hangs(&[0, 1, 2]));
    bench.world.block_on(async {
        let begin = bench.world.env().now();
        let error = quorum.claim(&bench.claim()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoQuorum, "{error:?}");
        assert_eq!(bench.world.env().now().since(begin), Duration::from_millis(500));
    });
    bench.world.settle();
    // What hangs was applied there and is never answered: it ends by its ttl at the latest.
    bench.world.advance(TTL);
    assert_eq!(bench.held(), 0);
}

/// A claim and its release wait for the third member, three times as long as the two others took; once in vain for one that is
/// slower, and again when it has answered.
#[test]
fn members_that_are_as_near_as_the_others_stay_in_step() {
    let bench = Bench::new(10, 3);
    let third_ms = Arc::new(AtomicU64::new(0));
    let quorum = bench.client(|at| {
        let third_ms = third_ms.clone();
        move |_, _| {
            let ms = if at == 2 { third_ms.load(Ordering::Acquire) } else { 10 };
            Fault::DelayReply(Duration::from_millis(ms))
        }
    });
    let now = || bench.world.env().now();
    bench.world.block_on(async {
        quorum.0.identified().await.unwrap();
        for (third, expected) in [(30, [30, 30]), (200, [40, 10]), (30, [30, 30])] {
            third_ms.store(third, Ordering::Release);
            let (claim, begin) = (bench.claim(), now());
            granted(quorum.claim(&claim).await);
            let claimed = now();
            quorum.release(&claim).await.unwrap();
            let took = [claimed.since(begin), now().since(claimed)].map(|span| span.as_millis());
            assert_eq!(took, expected, "the third member takes {third} ms");
            bench.world.env().sleep(TTL / 10).await;
        }
    });
}

/// Asked at a tenth of the ttl, which would clear them, too.
#[test]
fn members_that_were_not_waited_for_are_left_clean() {
    let bench = Bench::new(4, 5);
    let rivals: Vec<_> = bench.servers[..3].iter().map(Memory::client).collect();
    let late = Duration::from_millis(50);
    let slow = bench.client(|at| {
        move |_, verb| if at > 2 && verb == Verb::Claim { Fault::Delay(late) } else { Fault::None }
    });
    bench.world.block_on(async {
        let rival = bench.claim();
        for server in &rivals {
            granted(server.claim(&rival).await);
        }
        let begin = bench.world.env().now();
        let claim = Claim { queueing: Queueing::No, ..bench.claim() };
        let standing = slow.claim(&claim).await.unwrap();
        assert!(matches!(standing, Standing::Held(_)), "{standing:?}");
        assert_eq!(bench.world.env().now(), begin, "three of five decide");
    });
    bench.world.advance(TTL / 10);
    assert_eq!(bench.held(), 3, "those of the rival");
}

/// Members of a busy machine carry releases out late. The claims that lost do not take what they have released before the
/// one that insists, and none gives up because others might have won.
#[test]
fn a_race_whose_losers_are_slow_to_release_has_one_winner() {
    for seed in 0..400 {
        let bench = Bench::new(seed, 5);
        let (env, winners) = (bench.world.env(), Arc::new(AtomicU32::new(0)));
        let race = [(); 8].map(|()| {
            let quorum = Arc::new(bench.client(|_| {
                let env = env.clone();
                move |_, verb| match verb {
                    Verb::Claim => Fault::Delay(env.jitter(Duration::from_millis(2))),
                    Verb::Release => Fault::Delay(Duration::from_millis(60)),
                    _ => Fault::None,
                }
            }));
            let claim = Claim { queueing: Queueing::No, ..bench.claim() };
            let (winners, client) = (winners.clone(), quorum.clone());
            env.spawn(async move {
                if matches!(quorum.claim(&claim).await.unwrap(), Standing::Granted(_)) {
                    winners.fetch_add(1, Ordering::AcqRel);
                }
            });
            client
        });
        bench.world.advance(TTL / 2);
        drop(race);
        assert_eq!(winners.load(Ordering::Acquire), 1, "seed {seed}");
    }
}

#[test]
fn a_straggling_grant_is_followed_by_its_release() {
    let bench = Bench::new(3, 3);
    let late = |at: usize| {
        move |_, verb| match (at, verb) {
            (2, Verb::Claim) => Fault::Delay(Duration::from_secs(3)),
            _ => Fault::None,
        }
    };
    let quorum = bench.client(late);
    let claim = bench.claim();
    bench.world.block_on(async {
        granted(quorum.claim(&claim).await);
        quorum.release(&claim).await.unwrap();
    });
    assert_eq!(bench.held(), 0);
    bench.world.advance(Duration::from_secs(4));
    assert_eq!(bench.held(), 0, "the grant came, and behind it the release");
    assert!(!quorum.0.orders.of(claim.id).is_ended(), "the path was forgotten with its last user");
}

/// The mechanism that Redlock leaves to the operator; without it, [`Decision`](votes) would be for both.
/// A release of the claim was not answered by one member, and may arrive there at any time: the claim is repeated all the
/// same, and what that member has counts neither for the grant nor for a renewal.
#[test]
fn a_member_with_a_release_in_doubt_has_no_vote_and_the_others_decide() {
    let bench = Bench::new(6, 3);
    let doubtful = |at: usize| {
        move |number, verb| match (at, verb, number) {
            (2, Verb::Release, _) => Fault::LoseRequest,
            (2, Verb::Claim, 0) => Fault::LoseReply,
            _ => Fault::None,
        }
    };
    let quorum = bench.client(doubtful);
    let (claim, rival) = (bench.claim(), bench.claim());
    bench.world.block_on(async {
        for server in &bench.servers[..2] {
            granted(server.claim(&rival).await);
        }
        assert!(matches!(quorum.claim(&claim).await, Ok(Standing::Held(_))));
        for server in &bench.servers[..2] {
            server.release(&rival).await.unwrap();
        }
    });
    bench.world.settle();
    bench.world.block_on(async {
        assert_eq!(
            bench.servers[2].inspect(&name()).await.unwrap().holders.len(),
            1,
            "it was not given back"
        );
        granted(quorum.claim(&claim).await);
        let renewed = quorum.renew(std::slice::from_ref(&claim)).await;
        assert!(matches!(renewed[..], [Ok(Renewal::Renewed { .. })]), "two without a doubt: {renewed:?}");
        bench.servers[0].forget();
        let renewed = quorum.renew(std::slice::from_ref(&claim)).await;
        assert!(!matches!(renewed[..], [Ok(Renewal::Renewed { .. })]), "one without a doubt: {renewed:?}");
    });
}

#[test]
fn a_member_that_forgot_has_no_vote_until_the_longest_lease_has_passed() {
    let bench = Bench::new(4, 3);
    let (one, two) = (bench.client(hangs(&[2])), bench.client(hangs(&[0])));
    bench.world.block_on(async {
        let first = bench.claim();
        granted(one.claim(&first).await);
        bench.servers[1].forget();
        let error = two.claim(&bench.claim()).await.unwrap_err();
        assert!(error.to_string().contains("may have forgotten who holds"), "{error:?}");
        let members = two.inspect(&name()).await.unwrap().members;
        assert!(!members[1].votes, "{members:?}");
        bench.world.env().sleep(TTL).await;
        let grant = granted(two.claim(&bench.claim()).await);
        assert!(grant.fence.is_some());
    });
}

/// Servers that were all just started refuse every lock for a while. A wait goes on through it; a try is told how long it takes.
#[test]
fn a_wait_goes_on_until_members_that_forgot_vote_again() {
    let bench = Bench::new(7, 3);
    for server in &bench.servers {
        server.forget();
    }
    let engine = Engine::new(Arc::new(bench.well()), bench.world.env());
    let (terms, name) = (LockOptions { ttl: TTL, ..LockOptions::default() }, name());
    bench.world.block_on(async {
        let env = bench.world.env();
        let lock = |wait| engine.acquire(&name, Mode::Exclusive, &terms, wait, None);
        let begin = env.now();
        let error = lock(Wait::No).await.unwrap_err();
        let passes_in = error.passes_in().unwrap();
        assert!(passes_in > terms.retry_timeout && passes_in <= TTL, "{error:?}");
        let error = lock(Wait::For(terms.retry_timeout / 5)).await.unwrap_err();
        assert!(error.to_string().contains("may have forgotten who holds"), "{error}");
        assert!(TTL - env.now().since(begin) > terms.retry_timeout, "more than any failure is waited for");
        let hold = lock(Wait::Forever).await.unwrap().unwrap();
        assert!(env.now().since(begin) >= TTL);
        hold.release().await.unwrap();
    });
}

/// The members that do their work are not among the reasons, and a claim that has ended at a member is not called a forced
/// release.
#[test]
fn a_failure_names_the_members_that_failed_and_what_nobody_did_is_not_said() {
    let bench = Bench::new(8, 3);
    let fails = |at: usize| move |_, _| if at > 1 { Fault::LoseRequest } else { Fault::None };
    let quorum = bench.client(fails);
    bench.world.block_on(async {
        let claim = bench.claim();
        granted(bench.servers[1].claim(&claim).await);
        bench.servers[1].force_release(&name()).await.unwrap();
        let error = quorum.claim(&claim).await.unwrap_err().to_string();
        assert!(!error.contains("force") && !error.contains("granted"), "{error}");
        assert_eq!(error.matches("was lost on purpose").count(), 1, "{error}");
        assert_eq!(error.matches("has ended there").count(), 1, "{error}");
        assert_eq!(error.matches("memory:").count(), 2, "{error}");
    });
    let quorum = bench.client(|at: usize| move |_, _| if at > 0 { Fault::LoseRequest } else { Fault::None });
    bench.world.block_on(async {
        for error in [quorum.inspect(&name()).await.err(), quorum.list("", 9).await.err()] {
            let error = error.unwrap().to_string();
            assert_eq!(error.matches("memory:").count(), 2, "{error}");
        }
    });
}

/// A member has lost a hold, and says so late. It gets the hold again if the majority's answer is still true by then: the
/// holder may have stopped since, and a hold that is made later is nobody's.
#[test]
fn a_member_is_not_repaired_when_the_lease_may_be_over() {
    for (late, expected) in [(TTL / 4, 3), (TTL + TTL / 2, 0)] {
        let bench = Bench::new(9, 3);
        let delay = move |is_late| if is_late { Fault::DelayReply(late) } else { Fault::None };
        let quorum = bench.client(|at: usize| move |_, verb| delay((at, verb) == (2, Verb::Renew)));
        let claim = bench.claim();
        bench.world.block_on(async { granted(quorum.claim(&claim).await) });
        bench.world.settle();
        bench.world.block_on(async {
            bench.servers[2].release(&claim).await.unwrap();
            let renewed = quorum.renew(std::slice::from_ref(&claim)).await;
            assert!(matches!(renewed[..], [Ok(Renewal::Renewed { .. })]), "{renewed:?}");
        });
        bench.world.advance(late + Duration::from_millis(1));
        assert_eq!(bench.held(), expected, "after {late:?}");
    }
}

#[test]
fn what_is_no_quorum_and_what_cannot_be_voted_on_is_refused() {
    let bench = Bench::new(6, 5);
    let member = |at: usize| Arc::new(bench.servers[at].client()) as Arc<dyn Store>;
    let make =
        |members: Vec<Arc<dyn Store>>| Quorum::new(members, QuorumOptions::default(), bench.world.env());
    for count in [0, 1, 2, 4] {
        assert_eq!(make((0..count).map(member).collect()).unwrap_err().kind(), ErrorKind::Unsafe, "{count}");
    }
    let inner = Arc::new(make((0..3).map(member).collect()).unwrap());
    assert_eq!(make(vec![inner, member(3), member(4)]).unwrap_err().kind(), ErrorKind::Unsafe);
    let twice = make(vec![member(0), member(1), member(0)]).unwrap();
    let error = bench.world.block_on(twice.claim(&bench.claim())).unwrap_err();
    assert!(error.kind() == ErrorKind::Unsafe && error.to_string().contains("the same server"), "{error:?}");
    let engine = Engine::new(Arc::new(bench.well()), bench.world.env());
    for mode in [Mode::Shared, Mode::Permits { take: 1, of: 2 }] {
        let error =
            engine.admits(&name(), mode, &LockOptions { ttl: TTL, ..LockOptions::default() }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{mode}");
    }
}
