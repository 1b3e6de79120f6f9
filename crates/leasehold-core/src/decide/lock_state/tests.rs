use proptest::prelude::*;

use super::*;
use crate::LockName;

const TTL: Duration = Duration::from_secs(10);

fn at(seconds: u64) -> Moment {
    Moment::from_nanos(seconds * 1_000_000_000)
}

fn claim(id: u128) -> Claim {
    Claim::new(LockName::new("x").unwrap(), ClaimId::from_bits(id), TTL)
}

fn fifo(id: u128) -> Claim {
    Claim { queueing: Queueing::Fifo, ..claim(id) }
}

/// A document with its counter.
#[derive(Default)]
struct World {
    document: LockState,
    counter: u64,
}

impl World {
    fn claim(&mut self, claim: &Claim, now: Moment) -> Standing {
        let counter = &mut self.counter;
        let draw = |floor: Option<FencingToken>| {
            let token = FencingToken::after(*counter, floor.map_or(0, FencingToken::get))?;
            *counter = token.get();
            Ok(Some(token))
        };
        self.document.claim(claim, Some(claim.id.bits() as u64), now, draw).unwrap()
    }
}

fn token(standing: &Standing) -> u64 {
    let Standing::Granted(grant) = standing else { panic!("not granted: {standing:?}") };
    grant.fence.unwrap().get()
}

#[test]
fn a_repeated_claim_answers_the_same_grant() {
    let mut world = World::default();
    let first = world.claim(&claim(1), at(0));
    assert_eq!(world.claim(&claim(1), at(0)), first);
    assert_eq!(token(&first), 1);
    assert_eq!(world.counter, 1);
}

#[test]
fn a_held_lock_answers_who_and_for_how_long_and_leaves_no_trace() {
    let mut world = World::default();
    world.claim(&Claim { note: Some("me".into()), ..claim(1) }, at(0));
    let Standing::Held(busy) = world.claim(&claim(2), at(8)) else { panic!() };
    let holder = busy.holder.unwrap();
    assert_eq!((holder.note.as_deref(), holder.expires_in), (Some("me"), Some(Duration::from_secs(2))));
    assert_eq!(busy.recheck_in, Duration::from_secs(2));
    assert_eq!(world.document.entries().len(), 1);
}

#[test]
fn no_operation_revives_an_expired_hold() {
    let mut world = World::default();
    world.claim(&claim(1), at(0));
    assert_eq!(world.document.renew(&claim(1), at(10)), Renewal::Gone(LostReason::Gone));
    let amend = Claim { intent: Intent::Amend, ..claim(1) };
    assert_eq!(world.claim(&amend, at(10)), Standing::Gone(LostReason::Gone));
    assert!(world.document.entries().is_empty());
}

#[test]
fn a_renewal_never_shortens() {
    let mut world = World::default();
    world.claim(&claim(1), at(0));
    let short = Claim { ttl: Duration::from_secs(1), ..claim(1) };
    assert_eq!(world.document.renew(&short, at(1)), Renewal::Renewed { valid_for: Duration::from_secs(9) });
}

#[test]
fn a_waiter_that_falls_silent_is_skipped() {
    let mut world = World::default();
    world.claim(&Claim { ttl: TTL * 10, ..claim(1) }, at(0));
    world.claim(&fifo(2), at(0));
    world.claim(&fifo(3), at(5));
    world.document.release(ClaimId::from_bits(1), at(6));
    assert!(matches!(world.claim(&fifo(3), at(7)), Standing::Waiting(_)), "2 comes first");
    assert_eq!(token(&world.claim(&fifo(3), at(12))), 2, "2 was not heard of for its ttl");
}

#[test]
fn a_refreshed_waiter_keeps_its_place() {
    let mut world = World::default();
    world.claim(&Claim { ttl: TTL * 10, ..claim(1) }, at(0));
    world.claim(&fifo(2), at(0));
    world.claim(&fifo(3), at(1));
    world.claim(&fifo(2), at(9));
    world.document.release(ClaimId::from_bits(1), at(12));
    assert!(matches!(world.claim(&fifo(3), at(10)), Standing::Waiting(_)));
    assert_eq!(token(&world.claim(&fifo(2), at(13))), 2);
}

#[test]
fn different_limits_never_mix_and_an_idle_name_takes_a_new_one() {
    let mut world = World::default();
    let permits = |id, of| Claim { mode: Mode::Permits { take: 1, of }, ..claim(id) };
    world.claim(&permits(1, 3), at(0));
    assert_eq!(world.claim(&permits(2, 4), at(0)), Standing::Mismatch { limit: Some(3) });
    assert_eq!(world.claim(&claim(2), at(0)), Standing::Mismatch { limit: Some(3) });
    world.document.release(ClaimId::from_bits(1), at(0));
    assert!(matches!(world.claim(&permits(2, 4), at(0)), Standing::Granted(_)));
    assert_eq!(world.claim(&permits(3, 3), at(0)), Standing::Mismatch { limit: Some(4) });
}

#[test]
fn an_unclean_end_keeps_the_lock_shut_for_its_delay() {
    let mut world = World::default();
    let delayed = Claim { lock_delay: Duration::from_secs(5), ..claim(1) };
    world.claim(&delayed, at(0));
    assert!(matches!(world.claim(&claim(2), at(12)), Standing::Held(_)));
    assert_eq!(world.document.renew(&delayed, at(12)), Renewal::Gone(LostReason::Expired));
    assert_eq!(world.document.release(delayed.id, at(12)), Release::NotHeld);
    assert!(matches!(world.claim(&claim(2), at(14)), Standing::Held(_)), "a late release does not open it");
    assert_eq!(token(&world.claim(&claim(2), at(15))), 2);
}

#[test]
fn a_clean_release_opens_at_once_whatever_the_delay() {
    let mut world = World::default();
    world.claim(&Claim { lock_delay: Duration::from_secs(5), ..claim(1) }, at(0));
    assert_eq!(world.document.release(ClaimId::from_bits(1), at(1)), Release::Released);
    assert!(matches!(world.claim(&claim(2), at(1)), Standing::Granted(_)));
}

#[test]
fn the_end_of_a_session_ends_its_holds_and_places_but_not_what_only_time_ends() {
    let mut world = World::default();
    world.claim(&Claim { binding: Binding::Ttl, ..claim(1) }, at(0));
    world.document.end_session(1, at(1));
    assert!(matches!(world.claim(&fifo(2), at(1)), Standing::Waiting(_)));
    world.document.end_session(2, at(1));
    assert_eq!(world.document.entries().len(), 1);
}

#[test]
fn force_release_tells_the_holder_and_its_late_verbs_touch_nobody() {
    let mut world = World::default();
    world.claim(&claim(1), at(0));
    let evicted = world.document.force_release(at(1));
    assert_eq!(evicted[0].tag, Contender::tag_of(ClaimId::from_bits(1)));
    assert_eq!(token(&world.claim(&claim(2), at(2))), 2);
    assert_eq!(world.document.renew(&claim(1), at(2)), Renewal::Gone(LostReason::ForceReleased));
    assert_eq!(world.claim(&claim(1), at(2)), Standing::Gone(LostReason::ForceReleased));
    assert_eq!(world.document.release(ClaimId::from_bits(1), at(2)), Release::NotHeld);
    assert!(matches!(world.document.renew(&claim(2), at(3)), Renewal::Renewed { .. }));
}

#[test]
fn downgrade_always_upgrade_only_alone() {
    let mut world = World::default();
    let shared = |id| Claim { mode: Mode::Shared, ..claim(id) };
    let upgrade = |id| Claim { intent: Intent::Amend, ..claim(id) };
    world.claim(&claim(1), at(0));
    assert_eq!(token(&world.claim(&Claim { intent: Intent::Amend, ..shared(1) }, at(1))), 1);
    world.claim(&shared(2), at(1));
    assert!(matches!(world.claim(&upgrade(1), at(1)), Standing::Held(_)));
    world.document.release(ClaimId::from_bits(2), at(1));
    assert_eq!(token(&world.claim(&upgrade(1), at(1))), 1, "an upgrade is the same grant");
}

#[test]
fn a_floor_raises_the_token_of_a_hold() {
    let mut world = World::default();
    world.claim(&claim(1), at(0));
    let floor = FencingToken::new(40).unwrap();
    assert_eq!(token(&world.claim(&Claim { fence_floor: Some(floor), ..claim(1) }, at(0))), 40);
}

#[test]
fn changes_name_each_entry_once() {
    let mut world = World::default();
    world.claim(&claim(1), at(0));
    assert_eq!(world.document.take_changed(), [1]);
    world.document.renew(&claim(1), at(1));
    world.document.release(ClaimId::from_bits(1), at(1));
    world.claim(&claim(2), at(1));
    let changed = world.document.take_changed();
    assert_eq!(changed, [1], "a seq may be used again once its entry is gone");
    assert_eq!(world.document.entry(1).unwrap().id, ClaimId::from_bits(2));
    world.claim(&claim(3), at(1));
    assert!(world.document.take_changed().iter().all(|seq| world.document.entry(*seq).is_none()));
}

#[derive(Clone, Debug)]
enum Step {
    Claim { id: u128, queueing: Queueing, shared: bool, delay: bool },
    Renew(u128),
    Release(u128),
    Force,
    EndSession(u64),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let queueing = prop_oneof![Just(Queueing::No), Just(Queueing::Barging), Just(Queueing::Fifo)];
    let claims = (0u128..5, queueing, any::<bool>(), any::<bool>())
        .prop_map(|(id, queueing, shared, delay)| Step::Claim { id, queueing, shared, delay });
    let step = prop_oneof![
        6 => claims,
        2 => (0u128..5).prop_map(Step::Renew),
        3 => (0u128..5).prop_map(Step::Release),
        1 => Just(Step::Force),
        1 => (0u64..5).prop_map(Step::EndSession),
        3 => (1u64..8).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    #[test]
    fn holders_are_compatible_tokens_grow_and_rows_follow(steps in steps()) {
        let mut world = World::default();
        let mut rows = std::collections::BTreeMap::new();
        let mut now = at(0);
        let mut highest = 0;
        for step in steps {
            match step {
                Step::Claim { id, queueing, shared, delay } => {
                    let mode = if shared { Mode::Shared } else { Mode::Exclusive };
                    let lock_delay = if delay { Duration::from_secs(3) } else { Duration::ZERO };
                    let before = world.counter;
                    let standing = world.claim(&Claim { queueing, mode, lock_delay, ..claim(id) }, now);
                    if world.counter > before {
                        prop_assert!(token(&standing) > highest);
                        highest = token(&standing);
                    }
                }
                Step::Renew(id) => { world.document.renew(&claim(id), now); }
                Step::Release(id) => { world.document.release(ClaimId::from_bits(id), now); }
                Step::Force => { world.document.force_release(now); }
                Step::EndSession(session) => world.document.end_session(session, now),
                Step::Wait(seconds) => { now = now + Duration::from_secs(seconds); world.document.expire(now); }
            }
            for seq in world.document.take_changed() {
                match world.document.entry(seq) {
                    Some(entry) => { rows.insert(seq, entry.clone()); }
                    None => { rows.remove(&seq); }
                }
            }
            let entries: Vec<_> = rows.values().cloned().collect();
            prop_assert_eq!(&entries, &world.document.entries().to_vec());
            let holders: Vec<_> = entries.iter().filter(|entry| entry.holds()).collect();
            let exclusive = holders.iter().filter(|entry| entry.mode == Mode::Exclusive).count();
            prop_assert!(exclusive == 0 || holders.len() == 1, "{:?}", holders);
            if holders.is_empty() && entries.iter().any(|entry| entry.state == State::Waiting) {
                prop_assert!(world.document.runnable().count() > 0, "a free lock is refused to all: {:?}", entries);
            }
        }
    }
}
