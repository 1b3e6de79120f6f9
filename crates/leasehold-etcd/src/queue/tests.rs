use leasehold_core::LockName;

use super::*;

fn keys() -> Keys {
    Keys::of(&LockName::new("x").unwrap())
}

fn id(bits: u128) -> ClaimId {
    ClaimId::from_bits(bits)
}

fn kv(key: Vec<u8>, at: i64, value: &str) -> KeyValue {
    KeyValue { key, create_revision: at, mod_revision: at, value: value.into(), lease: 1 }
}

fn ours(bits: u128, at: i64, state: &str, mode: &str) -> KeyValue {
    kv(keys().place(id(bits)), at, &format!("leasehold1 {state} {mode} 2 0 0 -"))
}

fn foreign(at: i64) -> KeyValue {
    kv(b"x/694d".to_vec(), at, "")
}

fn queue(kvs: Vec<KeyValue>) -> Queue {
    Queue::read(&keys(), kvs, None, 100)
}

fn claim(bits: u128, mode: Mode) -> Claim {
    Claim { mode, ..Claim::new(LockName::new("x").unwrap(), id(bits), Duration::from_secs(9)) }
}

#[test]
fn a_foreign_key_holds_when_it_is_the_oldest_and_waits_otherwise() {
    let first = queue(vec![ours(1, 5, "waiting", "exclusive"), foreign(4)]);
    assert_eq!(first.entries[0].stance, Stance::Holding);
    assert!(!first.grants(&claim(1, Mode::Exclusive)));
    let second = queue(vec![ours(1, 3, "waiting", "shared"), foreign(4)]);
    assert_eq!(second.entries[1].stance, Stance::Waiting);
    assert!(second.grants(&claim(1, Mode::Shared)));
    assert!(!second.grants(&claim(2, Mode::Shared)), "Go came before it and does not share");
}

#[test]
fn a_place_that_has_not_asked_does_not_hold() {
    let queue = queue(vec![ours(1, 5, "waiting", "exclusive"), ours(2, 6, "waiting", "exclusive")]);
    assert_eq!(queue.runnable().collect::<Vec<_>>(), [id(1)]);
    assert_eq!(queue.blockers(id(2)).count(), 1);
    assert!(queue.busy(&claim(2, Mode::Exclusive), 0).holder.is_none());
}

#[test]
fn an_upgrade_waits_for_readers_that_are_just_about_to_enter() {
    let held = ours(1, 5, "held", "shared");
    let runs = queue(vec![held.clone(), ours(2, 6, "waiting", "shared")]);
    assert!(!runs.may_become(0, Mode::Exclusive));
    let waits = queue(vec![held, ours(2, 6, "waiting", "exclusive")]);
    assert!(waits.may_become(0, Mode::Exclusive));
}

#[test]
fn a_delay_counts_when_it_is_armed_and_alone() {
    let delay = |state: &str| kv(keys().delay(id(1)), 5, &format!("leasehold1 {state} exclusive 4 2 0 -"));
    assert!(queue(vec![delay("idle")]).entries.is_empty());
    assert_eq!(queue(vec![delay("armed")]).entries[0].stance, Stance::Delaying);
    let both = queue(vec![delay("armed"), ours(1, 5, "held", "exclusive")]);
    assert_eq!(
        (both.entries.len(), both.entries[0].stance, both.entries[0].delay),
        (1, Stance::Holding, Some(1))
    );
}

#[test]
fn the_oldest_entry_has_the_number_of_permits() {
    let queue = queue(vec![ours(1, 5, "held", "1/3"), ours(2, 6, "waiting", "exclusive")]);
    assert_eq!(queue.mismatch(&claim(3, Mode::Permits { take: 1, of: 3 })), None);
    assert_eq!(queue.mismatch(&claim(3, Mode::Permits { take: 1, of: 4 })), Some(Some(3)));
    assert_eq!(queue.mismatch(&claim(2, Mode::Exclusive)), Some(Some(3)));
    assert_eq!(queue.mismatch(&claim(1, Mode::Exclusive)), None, "it is the oldest");
}

#[test]
fn tokens_are_revisions_above_what_was_raised_before_the_grant() {
    let raised = KeyValue { mod_revision: 10, value: b"1000".to_vec(), ..KeyValue::default() };
    let kvs = vec![ours(1, 5, "held", "shared"), ours(2, 12, "held", "shared")];
    let queue = Queue::read(&keys(), kvs, Some(&raised), 100);
    let tokens: Vec<u64> = queue.entries.iter().map(|entry| queue.token(entry)).collect();
    assert_eq!(tokens, [5, 1012]);
}
