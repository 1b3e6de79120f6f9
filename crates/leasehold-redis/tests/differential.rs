//! The scripts on a real server answer as the reference store does, verb by verb, also when time passes.
//!
//! Time passes on both sides by the same jumps: of a virtual world, and of the server's clock. All that ends does so two
//! seconds away from every moment at which it is looked at, so the little that passes beside the jumps decides nothing.

#![allow(clippy::unwrap_used, reason = "this is a test")]

mod common;

use std::{sync::Arc, time::Duration};

use leasehold_core::{
    Binding, Claim, ClaimId, Contender, Env, FencingToken, Intent, LockName, Mode, Queueing, Renewal, Result,
    Standing, Store, env::Virtual, memory::Memory,
};
use leasehold_redis::{QuorumMembership, RedisStore};
use leasehold_testkit::redis::{Builder, Server};
use proptest::{prelude::*, sample::select, test_runner::TestRunner};

/// Every jump is a multiple of this, every life is two seconds off one.
const JUMP: Duration = Duration::from_secs(4);

/// How much time may pass beside the jumps.
const SLACK: Duration = Duration::from_millis(1_500);

/// The rise of a token by an amendment: a day of a server whose tokens follow its clock.
const RAISE: u64 = 86_400_000_000;

const MEMBERSHIP: QuorumMembership = QuorumMembership { members: 3, longest_lease: common::LONGEST };

const NAMES: [&str; 3] = ["a", "a/b", "π{x}"];

#[derive(Clone, Debug)]
enum Step {
    /// A claim, and whether an amendment raises its token.
    Claim(Box<Claim>, bool),
    Renew(Vec<(usize, u128, u64)>),
    Release(usize, u128),
    /// An exclusive claim and its release, three times.
    Again(usize, u128),
    ForceRelease(usize),
    Inspect(usize),
    Pass(u32),
}

/// The lock-delay of a claim: one id keeps to one.
fn delay(id: u128) -> Duration {
    Duration::from_secs(if id % 2 == 1 { 8 } else { 0 })
}

/// The request of a claim. One id asks for a lock or for permits of one number, and never for the other: no caller can.
fn mode(id: u128, shared: bool, take: u32) -> Mode {
    match id {
        0..=2 if shared => Mode::Shared,
        0..=2 => Mode::Exclusive,
        3 | 4 => Mode::Permits { take, of: 3 },
        _ => Mode::Permits { take: take.min(2), of: 2 },
    }
}

fn claims() -> impl Strategy<Value = Claim> {
    let how = ((any::<bool>(), 1u32..=3), select(vec![Queueing::No, Queueing::Barging, Queueing::Fifo]));
    let life = (select(vec![10u64, 30, 90]), 0..6usize);
    (0..NAMES.len(), 0..6u128, how, life, select(vec![None, Some("x"), Some("y\0z")])).prop_map(
        |(at, id, ((shared, take), queueing), (ttl, amend), note)| Claim {
            mode: mode(id, shared, take),
            queueing,
            binding: Binding::Ttl,
            intent: if amend == 0 { Intent::Amend } else { Intent::Hold },
            lock_delay: delay(id),
            note: note.map(Arc::from),
            ..Claim::new(name(NAMES[at]), identity(id), Duration::from_secs(ttl))
        },
    )
}

fn steps() -> impl Strategy<Value = Step> {
    let renewal = (0..NAMES.len(), 0..6u128, select(vec![10u64, 30]));
    prop_oneof![
        12 => (claims(), any::<bool>()).prop_map(|(claim, raises)| Step::Claim(Box::new(claim), raises)),
        2 => proptest::collection::vec(renewal, 1..4).prop_map(Step::Renew),
        6 => (0..NAMES.len(), 0..6u128).prop_map(|(at, id)| Step::Release(at, id)),
        4 => (0..NAMES.len(), 0..3u128).prop_map(|(at, id)| Step::Again(at, id)),
        1 => (0..NAMES.len()).prop_map(Step::ForceRelease),
        3 => (0..NAMES.len()).prop_map(Step::Inspect),
        4 => (1u32..4).prop_map(Step::Pass),
    ]
}

fn name(text: &str) -> LockName {
    LockName::new(text).unwrap()
}

fn identity(id: u128) -> ClaimId {
    ClaimId::from_bits(id << 96 | id)
}

/// The two stores, and what is known of their tokens: the same grants, in the same order.
struct Pair {
    env: Env,
    world: Virtual,
    model: Memory,
    server: Server,
    /// Two clients, each with ids of its own.
    stores: [RedisStore; 2],
    /// How many holds were set without a script.
    without_script: u64,
    /// Which case this is: its names are its own.
    case: u32,
    tokens: Vec<(LockName, FencingToken, FencingToken)>,
}

impl Pair {
    /// Takes the steps, under names of their own, and answers how many were judged.
    async fn compare(&mut self, steps: &[Step]) -> usize {
        self.case += 1;
        self.tokens.clear();
        let begin = self.env.now();
        for (index, step) in steps.iter().enumerate() {
            self.step(step).await;
            // On a machine this busy the time beside the jumps decides: no verdict from here on.
            if self.env.now().since(begin) > SLACK / 2 {
                return index;
            }
        }
        steps.len()
    }

    /// Floors for an amendment that are above all tokens of a lock, on both sides, and above those of the next hours.
    fn floors(&self, claim: &Claim) -> Option<(FencingToken, FencingToken)> {
        let known = self.tokens.iter().filter(|(of, ..)| *of == claim.name);
        let (real, model) = known.map(|(_, real, model)| (real.get(), model.get())).max()?;
        let above = |token: u64| FencingToken::new(token + RAISE).ok();
        above(real).zip(above(model))
    }

    fn own(&self, claim: &Claim) -> Claim {
        Claim { name: self.own_name(claim.name.as_str()), ..claim.clone() }
    }

    fn own_name(&self, text: &str) -> LockName {
        name(&format!("{}:{text}", self.case))
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Claim(claim, raises) => self.claim(claim, *raises).await,
            Step::Renew(all) => {
                let one = |&(at, id, ttl): &(usize, u128, u64)| {
                    let lock_delay = delay(id);
                    let claim = Claim::new(self.own_name(NAMES[at]), identity(id), Duration::from_secs(ttl));
                    Claim { lock_delay, ..claim }
                };
                let claims: Vec<_> = all.iter().map(one).collect();
                let (real, expected) = (self.stores[0].renew(&claims).await, self.model.renew(&claims).await);
                assert_eq!(real.len(), expected.len());
                for (real, expected) in real.into_iter().zip(expected) {
                    match (real.unwrap(), expected.unwrap()) {
                        (Renewal::Renewed { valid_for: real }, Renewal::Renewed { valid_for: expected }) => {
                            same_span(Some(real), Some(expected));
                        }
                        (real, expected) => assert_eq!(real, expected),
                    }
                }
            }
            Step::Release(at, id) => self.release(*at, *id).await,
            Step::Again(at, id) => {
                let claim = Claim::new(name(NAMES[*at]), identity(*id), Duration::from_secs(30));
                let claim = Claim { lock_delay: delay(*id), ..claim };
                for _ in 0..3 {
                    self.claim(&claim, false).await;
                    self.note_reserved(&claim);
                    self.release(*at, *id).await;
                }
            }
            Step::ForceRelease(at) => {
                let name = self.own_name(NAMES[*at]);
                let real = self.stores[0].force_release(&name).await.unwrap();
                let expected = self.model.force_release(&name).await.unwrap();
                self.same_contenders(&name, real, expected);
            }
            Step::Inspect(at) => self.same_snapshot(&self.own_name(NAMES[*at])).await,
            Step::Pass(jumps) => {
                let span = JUMP * *jumps;
                self.world.pause(span);
                self.server.jump_clock(span.as_secs_f64()).unwrap();
            }
        }
    }

    fn store(&self, id: ClaimId) -> &RedisStore {
        &self.stores[usize::from(id.bits() & 2 > 0)]
    }

    async fn claim(&mut self, claim: &Claim, raises: bool) {
        let claim = self.own(claim);
        let floors = self.floors(&claim).filter(|_| raises && claim.intent == Intent::Amend);
        let (real, model) = floors.unzip();
        let raised = |fence_floor| Claim { fence_floor, ..claim.clone() };
        let real = self.store(claim.id).claim(&raised(real)).await;
        let expected = self.model.claim(&raised(model)).await;
        self.same_standing(&claim, real, expected).await;
    }

    async fn release(&mut self, at: usize, id: u128) {
        let claim = Claim::new(self.own_name(NAMES[at]), identity(id), JUMP);
        let (real, expected) = (self.store(claim.id).release(&claim).await, self.model.release(&claim).await);
        assert_eq!(real.unwrap(), expected.unwrap());
    }

    fn note_reserved(&mut self, claim: &Claim) {
        let value = self.server.command(&["GET", self.own_name(claim.name.as_str()).as_str()]).unwrap();
        let id = claim.id.to_string();
        let is_set = value.text().is_some_and(|value| value.starts_with(&id) && value.contains('#'));
        self.without_script += u64::from(is_set);
    }

    async fn same_standing(&mut self, claim: &Claim, real: Result<Standing>, expected: Result<Standing>) {
        let (real, expected) = (real.unwrap(), expected.unwrap());
        match (&real, &expected) {
            (Standing::Granted(real), Standing::Granted(expected)) => {
                same_span(Some(real.valid_for), Some(expected.valid_for));
                self.same_token(&claim.name, real.fence, expected.fence);
            }
            (Standing::Waiting(one), Standing::Waiting(other)) => {
                assert_eq!(one.ahead, other.ahead, "{real:?}, not {expected:?}");
                self.one_of_the_holders(&claim.name, one.holder.as_ref(), other.holder.is_some()).await;
            }
            (Standing::Held(one), Standing::Held(other)) => {
                self.one_of_the_holders(&claim.name, one.holder.as_ref(), other.holder.is_some()).await;
            }
            _ => assert_eq!(real, expected),
        }
    }

    /// The named holder is one of the model's; which one is not promised.
    async fn one_of_the_holders(&self, name: &LockName, named: Option<&Contender>, expected: bool) {
        assert_eq!(named.is_some(), expected, "{named:?}");
        let Some(named) = named else { return };
        let holders = self.model.inspect(name).await.unwrap().holders;
        assert!(holders.iter().any(|holder| holder.tag == named.tag), "{named:?} is none of {holders:?}");
    }

    async fn same_snapshot(&mut self, name: &LockName) {
        let real = self.stores[0].inspect(name).await.unwrap();
        let expected = self.model.inspect(name).await.unwrap();
        self.same_contenders(name, real.holders, expected.holders);
        assert_eq!(tags(&real.waiters), tags(&expected.waiters), "who waits, in this order");
        self.same_contenders(name, real.waiters, expected.waiters);
    }

    /// The same ones; in which order holders are told is not said.
    fn same_contenders(&mut self, name: &LockName, mut real: Vec<Contender>, mut expected: Vec<Contender>) {
        real.sort_by_key(|one| one.tag);
        expected.sort_by_key(|one| one.tag);
        assert_eq!(tags(&real), tags(&expected), "{real:?}, not {expected:?}");
        for (real, expected) in real.into_iter().zip(expected) {
            let what = |one: &Contender| (one.stance, one.mode, one.note.clone());
            assert_eq!(what(&real), what(&expected));
            same_span(real.expires_in, expected.expires_in);
            self.same_token(name, real.fence, expected.fence);
        }
    }

    /// The calendars differ, and so do the tokens; the grants and their order do not.
    fn same_token(&mut self, name: &LockName, real: Option<FencingToken>, expected: Option<FencingToken>) {
        assert_eq!(real.is_some(), expected.is_some(), "{real:?}, not {expected:?}");
        let (Some(real), Some(expected)) = (real, expected) else { return };
        for (_, known, model) in self.tokens.iter().filter(|(of, ..)| of == name) {
            assert_eq!(real.cmp(known), expected.cmp(model), "{real} to {known}, {expected} to {model}");
        }
        self.tokens.push((name.clone(), real, expected));
    }
}

fn tags(contenders: &[Contender]) -> Vec<u32> {
    contenders.iter().map(|one| one.tag).collect()
}

fn same_span(real: Option<Duration>, expected: Option<Duration>) {
    let close = match (real, expected) {
        (Some(real), Some(expected)) => real.abs_diff(expected) <= SLACK,
        (real, expected) => real == expected,
    };
    assert!(close, "{real:?}, not {expected:?}");
}

#[test]
fn the_scripts_answer_as_the_reference_store_does() {
    compare_with_the_reference(Server::builder(), None, 1500, "incr");
}

/// A member of a quorum has a short script of its own.
#[test]
fn the_scripts_of_a_member_answer_as_the_reference_store_does() {
    compare_with_the_reference(Server::builder(), Some(MEMBERSHIP), 700, "mget");
}

/// Redis 6.2 and Valkey 8.1.
#[test]
fn the_scripts_answer_the_same_on_other_releases() {
    for (_, program) in common::other_releases() {
        let builder = || Server::builder().program(program.clone());
        compare_with_the_reference(builder(), None, 200, "incr");
        compare_with_the_reference(builder(), Some(MEMBERSHIP), 100, "mget");
    }
}

/// Runs this many cases; `short` is the command that only the short script says.
fn compare_with_the_reference(
    server: Builder,
    membership: Option<QuorumMembership>,
    cases: u32,
    short: &str,
) {
    let server = server.clock_shim().start().unwrap();
    let (env, world) = (common::env(), Virtual::new(1));
    let mut options = common::options(&format!("single={}", server.port())).unwrap();
    options.membership = membership;
    let stores = [(); 2].map(|()| RedisStore::new(options.clone(), env.clone()).unwrap());
    let model = Memory::new(world.env());
    let pair = Pair { env, world, model, server, stores, without_script: 0, case: 0, tokens: Vec::new() };
    let pair = std::cell::RefCell::new(pair);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let counts = std::cell::Cell::new((0, 0));
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let one = |steps: Vec<Step>| {
        let judged = runtime.block_on(pair.borrow_mut().compare(&steps));
        counts.set((counts.get().0 + judged, counts.get().1 + steps.len()));
        Ok(())
    };
    let verdict = TestRunner::new(config).run(&proptest::collection::vec(steps(), 1..40), one);
    if let Err(error) = verdict {
        panic!("{error}");
    }
    let (judged, told) = counts.get();
    assert!(judged * 2 > told, "only {judged} of {told} steps in time: the machine is too busy");
    let pair = pair.into_inner();
    let quiet = pair.server.calls(short);
    assert!(quiet > u64::from(cases / 15), "only {quiet} claims by the short way");
    let without_script = pair.without_script;
    assert!(without_script > 0, "no claim was by a reserved token");
    for store in pair.stores {
        runtime.block_on(store.close()).unwrap();
    }
}
