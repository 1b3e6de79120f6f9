//! The store answers as the pure state machine does, verb by verb, in a virtual world.

#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use leasehold_core::{
    Binding, Claim, ClaimId, Contender, FencingToken, Intent, LockName, Mode, Queueing, Release, Renewal,
    Standing, Store, decide::lock_state::LockState, env::Virtual,
};
use leasehold_sqlite::SqliteStore;
use proptest::{prelude::*, sample::select};

#[derive(Clone, Debug)]
enum Step {
    Claim(Box<Claim>),
    Renew(Vec<(usize, u128, u64)>),
    Release(usize, u128),
    ForceRelease(usize),
    Inspect(usize),
    List(&'static str, usize),
    Pass(u64),
    Calendar(i64),
    Reopen,
}

const NAMES: [&str; 4] = ["a", "a/b", "a\0b", "π"];
const SESSION: u64 = 1;

fn name(index: usize) -> LockName {
    LockName::new(NAMES[index]).unwrap()
}

fn claims() -> impl Strategy<Value = Claim> {
    let modes = prop_oneof![
        3 => Just(Mode::Exclusive),
        3 => Just(Mode::Shared),
        1 => (1u32..=3).prop_map(|take| Mode::Permits { take, of: 3 }),
        1 => (1u32..=2).prop_map(|take| Mode::Permits { take, of: 2 }),
    ];
    let how = (modes, select(vec![Queueing::No, Queueing::Barging, Queueing::Fifo]));
    let life = (select(vec![50u64, 300, 1000]), select(vec![0u64, 100]), any::<bool>(), 0..6usize);
    let floor = prop_oneof![5 => Just(None), 1 => (0u64..3_000_000_000_000_000).prop_map(Some)];
    let proposal = floor.clone();
    (0..NAMES.len(), 0..6u128, how, life, (floor, proposal), select(vec![None, Some("x"), Some("y\0z")]))
        .prop_map(|(at, id, (mode, queueing), (ttl, delay, bound, amend), (floor, proposal), note)| Claim {
            mode,
            queueing,
            binding: if bound { Binding::Client } else { Binding::Ttl },
            intent: if amend == 0 { Intent::Amend } else { Intent::Hold },
            lock_delay: Duration::from_millis(delay),
            fence_floor: floor.map(|floor| FencingToken::new(floor).unwrap()),
            fence_proposal: proposal.map(|proposal| FencingToken::new(proposal).unwrap()),
            note: note.map(Arc::from),
            ..Claim::new(name(at), ClaimId::from_bits(id << 96 | id), Duration::from_millis(ttl))
        })
}

fn steps() -> impl Strategy<Value = Step> {
    let renewal = (0..NAMES.len(), 0..6u128, select(vec![50u64, 1000]));
    prop_oneof![
        12 => claims().prop_map(|claim| Step::Claim(Box::new(claim))),
        2 => proptest::collection::vec(renewal, 1..4).prop_map(Step::Renew),
        6 => (0..NAMES.len(), 0..6u128).prop_map(|(at, id)| Step::Release(at, id)),
        1 => (0..NAMES.len()).prop_map(Step::ForceRelease),
        2 => (0..NAMES.len()).prop_map(Step::Inspect),
        1 => (select(vec!["", "a", "a/", "b"]), 0..5usize).prop_map(|(prefix, limit)| Step::List(prefix, limit)),
        4 => (1u64..400).prop_map(Step::Pass),
        1 => (-5_000_000i64..5_000_000).prop_map(Step::Calendar),
        1 => Just(Step::Reopen),
    ]
}

/// The state machine, with one counter.
#[derive(Default)]
struct Model {
    locks: BTreeMap<LockName, LockState>,
    fence: u64,
}

type View = (Vec<Contender>, Vec<Contender>);

impl Model {
    fn claim(&mut self, world: &Virtual, claim: &Claim) -> Standing {
        let (last, wall_us) = (self.fence, world.env().wall_us() - FencingToken::SLACK_US);
        let document = self.locks.entry(claim.name.clone()).or_default();
        let draw = |floor: Option<FencingToken>| {
            FencingToken::after(last, floor.map_or(0, FencingToken::get).max(wall_us)).map(Some)
        };
        let standing = document.claim(claim, Some(SESSION), world.env().now(), draw).unwrap();
        if let Standing::Granted(grant) = &standing {
            self.fence = self.fence.max(grant.fence.unwrap().get());
        }
        standing
    }

    fn view(&self, world: &Virtual, name: &LockName) -> View {
        let mut document = self.locks.get(name).cloned().unwrap_or_default();
        document.expire(world.env().now());
        document.contenders(world.env().now())
    }

    fn list(&self, world: &Virtual, prefix: &str, limit: usize) -> Vec<(LockName, View)> {
        let named = self.locks.keys().filter(|name| name.as_str().starts_with(prefix));
        let seen = named.map(|name| (name.clone(), self.view(world, name)));
        seen.filter(|(_, (holders, waiters))| !holders.is_empty() || !waiters.is_empty())
            .take(limit)
            .collect()
    }
}

struct Pair {
    world: Virtual,
    path: PathBuf,
    store: SqliteStore,
    model: Model,
}

impl Pair {
    fn step(&mut self, step: Step) {
        let (world, now) = (self.world.clone(), self.world.env().now());
        let store = &self.store;
        match step {
            Step::Claim(claim) => {
                let standing = world.block_on(store.claim(&claim)).unwrap();
                assert_eq!(standing, self.model.claim(&world, &claim));
            }
            Step::Renew(all) => self.renew(&all),
            Step::Release(at, id) => {
                let claim = Claim::new(name(at), ClaimId::from_bits(id << 96 | id), Duration::from_secs(1));
                let expected: Release = self.model.locks.entry(name(at)).or_default().release(claim.id, now);
                assert_eq!(world.block_on(store.release(&claim)).unwrap(), expected);
            }
            Step::ForceRelease(at) => {
                let expected = self.model.locks.entry(name(at)).or_default().force_release(now);
                self.model.fence = (self.model.fence + 1).max(world.env().wall_us() - FencingToken::SLACK_US);
                assert_eq!(world.block_on(store.force_release(&name(at))).unwrap(), expected);
            }
            Step::Inspect(at) => {
                let seen = world.block_on(store.inspect(&name(at))).unwrap();
                assert_eq!((seen.holders, seen.waiters), self.model.view(&world, &name(at)));
                assert_eq!(seen.fence.map_or(0, FencingToken::get), self.model.fence);
            }
            Step::List(prefix, limit) => {
                let seen = world.block_on(store.list(prefix, limit)).unwrap();
                let seen: Vec<_> =
                    seen.into_iter().map(|one| (one.name, (one.holders, one.waiters))).collect();
                assert_eq!(seen, self.model.list(&world, prefix, limit));
            }
            Step::Pass(ms) => world.pause(Duration::from_millis(ms)),
            Step::Calendar(by_us) => world.step_wall(by_us),
            Step::Reopen => self.reopen(),
        }
    }

    fn renew(&mut self, all: &[(usize, u128, u64)]) {
        let claim = |&(at, id, ttl): &(usize, u128, u64)| {
            Claim::new(name(at), ClaimId::from_bits(id << 96 | id), Duration::from_millis(ttl))
        };
        let claims: Vec<_> = all.iter().map(claim).collect();
        let now = self.world.env().now();
        let expected: Vec<Renewal> = claims
            .iter()
            .map(|claim| self.model.locks.entry(claim.name.clone()).or_default().renew(claim, now))
            .collect();
        let renewed = self.world.block_on(self.store.renew(&claims));
        let renewed: Vec<_> = renewed.into_iter().map(Result::unwrap).collect();
        assert_eq!(renewed, expected);
    }

    /// A client that is closed takes with it what lives by it, waiting places included.
    fn reopen(&mut self) {
        self.world.block_on(self.store.close()).unwrap();
        let now = self.world.env().now();
        for document in self.model.locks.values_mut() {
            document.end_session(SESSION, now);
            let (_, waiting) = document.contenders(now);
            let places: Vec<_> = document
                .entries()
                .iter()
                .filter(|entry| waiting.iter().any(|one| one.tag == Contender::tag_of(entry.id)))
                .map(|entry| entry.id)
                .collect();
            for id in places {
                document.release(id, now);
            }
        }
        self.store = SqliteStore::open(&self.path, self.world.env()).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_answers_as_the_state_machine_does(
        seed in any::<u64>(), steps in proptest::collection::vec(steps(), 1..60),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let world = Virtual::new(seed);
        let path = directory.path().join("locks.db");
        let store = SqliteStore::open(&path, world.env()).unwrap();
        let mut pair = Pair { world, path, store, model: Model::default() };
        for step in steps {
            pair.step(step);
        }
        pair.world.block_on(pair.store.close()).unwrap();
    }
}
