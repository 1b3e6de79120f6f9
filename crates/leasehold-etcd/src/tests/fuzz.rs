//! Fuzz targets: arbitrary bytes, and the properties that must hold for what is parsed from them. Built only for tests and
//! fuzzers.

use leasehold_core::{Claim, ClaimId, LockName, Mode, Queueing};

use crate::{
    format::Value,
    keys::{self, Keys, Part},
    protocol::KeyValue,
    queue::Queue,
};

/// The name of a corpus in `fuzz/corpus`, and the function that takes its bytes.
pub type Target = (&'static str, fn(&[u8]));

/// The targets of this crate.
pub const TARGETS: &[Target] = &[("etcd_value", value), ("etcd_key", key), ("etcd_queue", queue)];

const ID: ClaimId = ClaimId::from_bits(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);

/// A value that was parsed is written as bytes that parse to the same value, and its times cannot overflow.
fn value(bytes: &[u8]) {
    let Some(value) = Value::read(bytes) else { return };
    for wall_us in [0, value.since_us, u64::MAX] {
        let _ = value.left(wall_us);
    }
    assert_eq!(Value::read(&value.write()), Some(value));
}

/// Two names have disjoint ranges, and every key leads back to its name and its part.
fn key(bytes: &[u8]) {
    let _ = keys::split(bytes);
    let text = String::from_utf8_lossy(bytes);
    let _ = keys::beginning_with(&text);
    let (one, two) = text.split_once('\n').unwrap_or((&text, "other"));
    let [Ok(one), Ok(two)] = [one, two].map(LockName::new) else { return };
    let (first, other) = (Keys::of(&one), Keys::of(&two));
    let _ = first.part(bytes);
    let (from, to) = first.range();
    for key in [other.place(ID), other.delay(ID)] {
        assert_eq!(one == two, from <= key && key < to);
    }
    assert!([other.fence(), other.revoked(ID)].iter().all(|key| *key < from || *key >= to));
    assert_eq!(keys::split(&first.place(ID)), Some((one.clone(), Part::Place(ID))));
    assert_eq!(keys::split(&first.delay(ID)), Some((one.clone(), Part::Delay(ID))));
    let (from, to) = keys::beginning_with(one.as_str());
    assert!(from <= first.place(ID) && first.place(ID) < to);
}

/// A queue of arbitrary keys and values: every question about it has an answer, and no two exclusive claims hold.
fn queue(bytes: &[u8]) {
    let name = LockName::new("orders").expect("a short name");
    let keys = Keys::of(&name);
    let kvs: Vec<KeyValue> =
        bytes.split(|byte| *byte == b'\n').enumerate().map(|(at, line)| kv(&keys, at, line)).collect();
    let fence = kvs.last().cloned();
    let queue = Queue::read(&keys, kvs, fence.as_ref(), 9);
    for mode in [Mode::Exclusive, Mode::Shared, Mode::Permits { take: 2, of: 3 }] {
        let claim = Claim {
            mode,
            queueing: Queueing::Fifo,
            ..Claim::new(name.clone(), ID, std::time::Duration::from_secs(30))
        };
        let is_alone = queue.entries.iter().all(|entry| entry.id == Some(ID));
        assert!(queue.grants(&claim) || !is_alone || queue.find(ID).is_some());
        let _ = (queue.mismatch(&claim), queue.busy(&claim, 1_000_000), queue.runnable().count());
        for at in 0..queue.entries.len() {
            let _ = queue.may_become(at, mode);
        }
    }
    for entry in &queue.entries {
        let _ = (queue.fence(entry), queue.contender(entry, 5_000_000), entry.may_be_due(u64::MAX));
    }
}

/// A key with a value: the line is `END VALUE` if its first word ends like a key of the lock; otherwise a foreign key.
fn kv(keys: &Keys, at: usize, line: &[u8]) -> KeyValue {
    let end = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
    let mut key = keys.range().0;
    key.extend_from_slice(&line[..end]);
    let value =
        line.get(end + 1..).unwrap_or_default().iter().map(|byte| if *byte == b'~' { b'\n' } else { *byte });
    let revision = i64::try_from(at).unwrap_or_default();
    let (create_revision, mod_revision) = (revision.saturating_mul(i64::MAX / 4), revision);
    KeyValue { key, value: value.collect(), create_revision, mod_revision, lease: revision }
}

#[cfg(test)]
#[path = "../../../../fuzz/corpus.rs"]
mod corpus;

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_and_its_mutations_break_nothing() {
        super::corpus::run(super::TARGETS);
    }
}
