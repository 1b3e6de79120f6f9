//! The functions in the server answer as the pure state machine does, verb by verb, at times that the test sets.

use std::{cell::RefCell, collections::BTreeMap, sync::Arc, time::Duration};

use leasehold_core::{
    Claim, ClaimId, Contender, FencingToken, Intent, LockName, Mode, Moment, Queueing, Renewal, Standing,
    Store, decide::lock_state::LockState,
};
use leasehold_postgres::PostgresStore;
use leasehold_testkit::postgres::Server;
use proptest::{prelude::*, sample::select, test_runner::TestRunner};

use crate::fixture;

const NAMES: [&str; 4] = ["a", "a/b", "a\0b", "π"];
const BEGIN_US: u64 = 1_700_000_000_000_000;

#[derive(Clone, Debug)]
enum Step {
    Claim(Box<Claim>),
    Renew(Vec<(usize, u128, u64)>),
    Release(usize, u128),
    ForceRelease(usize),
    Inspect(usize),
    List(&'static str, usize),
    Pass(u64),
}

fn identity(id: u128) -> ClaimId {
    ClaimId::from_bits(id << 96 | id)
}

fn claims() -> impl Strategy<Value = Claim> {
    let modes = prop_oneof![
        3 => Just(Mode::Exclusive),
        3 => Just(Mode::Shared),
        2 => (1u32..=3).prop_map(|take| Mode::Permits { take, of: 3 }),
        1 => (1u32..=2).prop_map(|take| Mode::Permits { take, of: 2 }),
    ];
    let how = (modes, select(vec![Queueing::No, Queueing::Barging, Queueing::Fifo]));
    let life = (select(vec![150u64, 300, 900]), select(vec![0u64, 100]), 0..6usize);
    let floor = prop_oneof![5 => Just(None), 1 => (0u64..3_000_000_000_000_000).prop_map(Some)];
    let proposal = floor.clone();
    (0..NAMES.len(), 0..6u128, how, life, (floor, proposal), select(vec![None, Some("x"), Some("y\0z")]))
        .prop_map(|(at, id, (mode, queueing), (ttl, delay, amend), (floor, proposal), note)| Claim {
            mode,
            queueing,
            intent: if amend == 0 { Intent::Amend } else { Intent::Hold },
            lock_delay: Duration::from_millis(delay),
            fence_floor: floor.map(|floor| FencingToken::new(floor).unwrap()),
            fence_proposal: proposal.map(|proposal| FencingToken::new(proposal).unwrap()),
            note: note.map(Arc::from),
            ..Claim::new(LockName::new(NAMES[at]).unwrap(), identity(id), Duration::from_millis(ttl))
        })
}

fn steps() -> impl Strategy<Value = Step> {
    let renewal = (0..NAMES.len(), 0..6u128, select(vec![150u64, 900]));
    prop_oneof![
        12 => claims().prop_map(|claim| Step::Claim(Box::new(claim))),
        2 => proptest::collection::vec(renewal, 1..4).prop_map(Step::Renew),
        6 => (0..NAMES.len(), 0..6u128).prop_map(|(at, id)| Step::Release(at, id)),
        1 => (0..NAMES.len()).prop_map(Step::ForceRelease),
        2 => (0..NAMES.len()).prop_map(Step::Inspect),
        1 => (select(vec!["", "a", "a/", "b"]), 0..5usize).prop_map(|(prefix, limit)| Step::List(prefix, limit)),
        4 => (1u64..400).prop_map(Step::Pass),
    ]
}

/// The state machine of one lock, with its counter.
#[derive(Default)]
struct Lock {
    state: LockState,
    fence: u64,
}

/// Holders and waiters.
type View = (Vec<Contender>, Vec<Contender>);

struct Pair {
    admin: tokio_postgres::Client,
    store: PostgresStore,
    now_us: u64,
    /// Which case this is: its names are its own.
    case: u32,
    model: BTreeMap<LockName, Lock>,
}

impl Pair {
    fn now(&self) -> Moment {
        Moment::from_nanos(self.now_us * 1000)
    }

    fn own(&self, text: &str) -> LockName {
        LockName::new(format!("{}:{text}", self.case)).unwrap()
    }

    fn lock(&mut self, name: &LockName) -> &mut Lock {
        self.model.entry(name.clone()).or_default()
    }

    fn floor(&self) -> u64 {
        self.now_us - FencingToken::SLACK_US
    }

    fn claim(&mut self, claim: &Claim) -> Standing {
        let (now, clock) = (self.now(), self.floor());
        let lock = self.lock(&claim.name);
        let last = lock.fence;
        let draw = |floor: Option<FencingToken>| {
            FencingToken::after(last, floor.map_or(0, FencingToken::get).max(clock)).map(Some)
        };
        let standing = lock.state.claim(claim, None, now, draw).unwrap();
        if let Standing::Granted(grant) = &standing {
            lock.fence = lock.fence.max(grant.fence.unwrap().get());
        }
        standing
    }

    async fn step(&mut self, step: &Step) {
        let now = self.now();
        match step {
            Step::Claim(claim) => {
                let claim = Claim { name: self.own(&claim.name), ..(**claim).clone() };
                assert_eq!(self.store.claim(&claim).await.unwrap(), self.claim(&claim));
            }
            Step::Renew(all) => self.renew(all).await,
            Step::Release(at, id) => {
                let claim = Claim::new(self.own(NAMES[*at]), identity(*id), Duration::from_secs(1));
                let expected = self.lock(&claim.name).state.release(claim.id, now);
                assert_eq!(self.store.release(&claim).await.unwrap(), expected);
            }
            Step::ForceRelease(at) => {
                let (name, clock) = (self.own(NAMES[*at]), self.floor());
                let lock = self.lock(&name);
                let expected = lock.state.force_release(now);
                if lock.fence > 0 {
                    lock.fence = (lock.fence + 1).max(clock);
                }
                assert_eq!(self.store.force_release(&name).await.unwrap(), expected);
            }
            Step::Inspect(at) => {
                let name = self.own(NAMES[*at]);
                let seen = self.store.inspect(&name).await.unwrap();
                let lock = self.lock(&name);
                assert_eq!((seen.holders, seen.waiters), lock.state.contenders(now));
                assert_eq!(seen.fence.map_or(0, FencingToken::get), lock.fence);
            }
            Step::List(prefix, limit) => {
                let prefix = format!("{}:{prefix}", self.case);
                let seen = self.store.list(&prefix, *limit).await.unwrap();
                let seen: Vec<_> =
                    seen.into_iter().map(|one| (one.name, (one.holders, one.waiters))).collect();
                assert_eq!(seen, self.list(&prefix, *limit));
            }
            Step::Pass(ms) => {
                self.now_us += ms * 1000;
                let set = format!("UPDATE test_clock SET now = {}", self.now_us);
                self.admin.batch_execute(&set).await.unwrap();
            }
        }
    }

    fn list(&self, prefix: &str, limit: usize) -> Vec<(LockName, View)> {
        let named = self.model.iter().filter(|(name, _)| name.as_str().starts_with(prefix));
        let seen = named.map(|(name, lock)| (name.clone(), lock.state.contenders(self.now())));
        seen.filter(|(_, (holders, waiters))| !holders.is_empty() || !waiters.is_empty())
            .take(limit)
            .collect()
    }

    async fn renew(&mut self, all: &[(usize, u128, u64)]) {
        let claim = |&(at, id, ttl): &(usize, u128, u64)| {
            Claim::new(self.own(NAMES[at]), identity(id), Duration::from_millis(ttl))
        };
        let claims: Vec<_> = all.iter().map(claim).collect();
        let now = self.now();
        let mut expected: Vec<Renewal> = Vec::new();
        for claim in &claims {
            expected.push(self.lock(&claim.name).state.renew(claim, now));
        }
        let renewed = self.store.renew(&claims).await;
        assert_eq!(renewed.into_iter().map(Result::unwrap).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn the_functions_answer_as_the_state_machine_does() {
    let server = Server::start().unwrap();
    let (store, runtime) = (fixture::store(&server), fixture::runtime());
    runtime.block_on(store.server_info()).unwrap();
    let clock = "CREATE TABLE test_clock (now bigint); GRANT SELECT ON test_clock TO PUBLIC;
        CREATE OR REPLACE FUNCTION leasehold.now() RETURNS bigint LANGUAGE sql AS 'SELECT now FROM public.test_clock';";
    server.sql(&format!("{clock} INSERT INTO test_clock VALUES ({BEGIN_US})")).unwrap();
    let admin = runtime.block_on(fixture::admin(&server));
    let pair = Pair { admin, store, now_us: BEGIN_US, case: 0, model: BTreeMap::new() };
    let pair = RefCell::new(pair);
    let one = |steps: Vec<Step>| {
        let mut pair = pair.borrow_mut();
        pair.case += 1;
        runtime.block_on(async {
            for step in &steps {
                pair.step(step).await;
            }
        });
        Ok(())
    };
    let config = ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(config).run(&proptest::collection::vec(steps(), 1..50), one).unwrap();
}
