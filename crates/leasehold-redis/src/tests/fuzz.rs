//! Fuzz targets: arbitrary bytes, and the properties of their reading. Built for tests and fuzzers alone.

use std::time::Duration;

use leasehold_core::{Claim, ClaimId, Intent, LockName, Queueing};
use redis::{Value, parse_redis_value};

use crate::{
    dialect::{
        Announcement, Dialect, foreign,
        native::Native,
        plain::{self, Plain},
        redisson::Redisson,
    },
    doctor,
    error::ServerError,
    format::{self, Replies},
    keys::{self, Keys, SIDES, escape},
    server_info,
    transport::{ServerFacts, ServerTime},
};

/// The name of a corpus in `fuzz/corpus`, and what takes its bytes.
pub type Target = (&'static str, fn(&[u8]));

/// The targets of this crate.
pub const TARGETS: &[Target] = &[
    ("redis_native", native_reply),
    ("redis_plain", plain_reply),
    ("redis_key", key),
    ("redis_info", info),
    ("redis_foreign", foreign_value),
];

fn orders() -> LockName {
    LockName::new("orders").expect("a short name")
}

/// Any reply to a script is read or is an error.
fn native_reply(bytes: &[u8]) {
    let Ok(value) = parse_redis_value(bytes) else { return };
    for marker in [None, Some("? 3 60000 0".to_string())] {
        read_all(&Native { marker, reserves: true }, &|| Replies::from_iter([Ok(value.clone())]));
    }
    read_all(&Redisson { is_cluster: false }, &|| Replies::from_iter([Ok(value.clone())]));
    let _ = format::clock_us(&value);
    let _ = plain::read_compare_and_delete(&value);
    let _ = format::text(&value);
}

/// The same for the plain dialect, with several replies to one request.
fn plain_reply(bytes: &[u8]) {
    let Ok(Value::Array(values)) = parse_redis_value(bytes) else { return };
    let replies = || {
        let answer = |value: &Value| match value {
            Value::ServerError(error) => Err(ServerError::from(error)),
            value => Ok(value.clone()),
        };
        values.iter().map(answer).collect::<Replies>()
    };
    for error in replies().into_iter().filter_map(Result::err) {
        let _ = (error.redirect(), error.means_not_master());
        let _ = leasehold_core::Error::from(error);
    }
    read_all(&Plain::new("*"), &replies);
}

/// Reads replies as those to each verb: each answers or fails.
fn read_all(dialect: &dyn Dialect, replies: &dyn Fn() -> Replies) {
    let (name, id) = (orders(), ClaimId::from_bits(7));
    let keys = dialect.keys(&name);
    let announcement = Announcement { command: "PUBLISH", counts_receivers: true };
    let claim = Claim::new(name.clone(), id, Duration::from_secs(30));
    for (intent, tracks) in [(Intent::Hold, false), (Intent::Hold, true), (Intent::Amend, false)] {
        let claim = Claim { intent, queueing: Queueing::No, ..claim.clone() };
        let _ = (dialect.claim(&claim, &keys, "", tracks, announcement).read)(replies());
    }
    let facts = ServerFacts { time: Some(ServerTime(1 << 50)), ..ServerFacts::default() };
    // By the short script, and, as often as the replies reserve a token, by that.
    for _ in 0..3 {
        if let Some(request) = dialect.claim_quiet(&claim, &keys, &facts) {
            let _ = (request.read)(replies());
        }
        if let Some(request) = dialect.release_quiet(&claim, &keys, announcement, &facts) {
            let _ = (request.read)(replies());
        }
    }
    let _ = (dialect.release(&claim, &keys, Duration::ZERO, announcement).read)(replies());
    let _ = (dialect.renew(&[&claim], std::slice::from_ref(&keys)).read)(replies());
    if let Some(request) = dialect.renew_entry(&claim, &keys, announcement) {
        let _ = (request.read)(replies());
    }
    let _ = (dialect.inspect(&name, &keys).read)(replies());
    let _ = (dialect.force_release(&keys, announcement).read)(replies());
}

/// Two names have no key in common; all keys of a name are in its slot, and the one that is listed leads back to it.
fn key(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = Keys::name_of(&text);
    let _ = (escape(&text), Keys::patterns(&text));
    let (one, two) = text.split_once('\n').unwrap_or((&text, "other"));
    let [Ok(one), Ok(two)] = [one, two].map(LockName::new) else { return };
    let all = [&one, &two].map(|name| {
        let keys = Keys::of(name);
        let sides = SIDES.iter().map(|side| keys.side(side)).chain([keys.changes()]);
        sides.chain([keys.hold_key()]).map(|key| key.to_string()).collect::<Vec<_>>()
    });
    assert_eq!(one == two, all[0].iter().any(|key| all[1].contains(key)));
    for (name, keys) in [one, two].into_iter().zip(all) {
        let slots = keys.iter().map(|key| keys::slot(key.as_bytes()));
        assert!(slots.into_iter().all(|slot| slot == Keys::of(&name).slot()), "{keys:?}");
        assert_eq!(Keys::name_of(&keys[0]), Some(name));
    }
}

/// Any text of INFO has findings.
fn info(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    assert!(doctor::findings_of_text(&text).iter().all(|finding| !finding.what.is_empty()));
    server_info::read_run(&text);
}

/// Any foreign value is described on one line, and not whole.
fn foreign_value(bytes: &[u8]) {
    let described = foreign::describe(bytes);
    assert!(!described.contains(char::is_control) && described.chars().count() < 150, "{described}");
    let fields: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    let fields: Vec<_> = fields.chunks_exact(2).map(|pair| (pair[0].into(), pair[1].into(), 0)).collect();
    assert!(foreign::redisson(&fields).len() <= fields.len());
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
