//! [`Keys`]: the keys of a lock, from its name and back.
//!
//! The keys of a lock are `NAME/…`, as those of Go's `concurrency.Mutex` and `etcdctl lock`. `/` and `%` in a name are
//! encoded as `%2F` and `%25`, so no lock lies in the range of another.

use leasehold_core::{ClaimId, LockName};

const FENCE: &str = "%fence/";
const REVOKED: &str = "%revoked/";
const DELAY: &str = ".delay";
const CLIENT: &str = ".client";

/// The keys of one lock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Keys(String);

/// A key of a lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    /// A claim's place in the queue, or hold.
    Place(ClaimId),
    /// The hold of a claim that found nobody, in a key of its client. Its value names the claim.
    Client,
    /// The lock-delay of a claim, which keeps the lock shut after its hold has ended.
    Delay(ClaimId),
    /// A key of another library.
    Foreign,
}

impl Keys {
    pub(crate) fn of(name: &LockName) -> Keys {
        Keys(encode(name.as_str()))
    }

    /// The range of all places: its first key and its end.
    pub(crate) fn range(&self) -> (Vec<u8>, Vec<u8>) {
        // `0` comes after `/`.
        (format!("{}/", self.0).into_bytes(), format!("{}0", self.0).into_bytes())
    }

    pub(crate) fn place(&self, id: ClaimId) -> Vec<u8> {
        format!("{}/{id}", self.0).into_bytes()
    }

    /// The key of a client, for a claim that finds nobody.
    pub(crate) fn client(&self, id: ClaimId) -> Vec<u8> {
        format!("{}/{id}{CLIENT}", self.0).into_bytes()
    }

    pub(crate) fn delay(&self, id: ClaimId) -> Vec<u8> {
        format!("{}/{id}{DELAY}", self.0).into_bytes()
    }

    /// The mark of a claim that was released by force. No encoded name begins like it.
    pub(crate) fn revoked(&self, id: ClaimId) -> Vec<u8> {
        format!("{REVOKED}{}/{id}", self.0).into_bytes()
    }

    /// The key with the distance of fencing tokens above revisions, once a token was raised.
    pub(crate) fn fence(&self) -> Vec<u8> {
        format!("{FENCE}{}", self.0).into_bytes()
    }

    /// The meaning of a key within [`Keys::range`].
    pub(crate) fn part(&self, key: &[u8]) -> Part {
        let end = key.get(self.0.len() + 1..).unwrap_or_default();
        part(end)
    }
}

/// The lock that a key belongs to, and its meaning; `None` for a key of another application.
pub(crate) fn split(key: &[u8]) -> Option<(LockName, Part)> {
    let text = std::str::from_utf8(key).ok()?;
    let (name, end) = text.split_once('/')?;
    Some((LockName::new(decode(name)?).ok()?, part(end.as_bytes())))
}

/// The range of all keys of all locks whose names begin with `prefix`.
pub(crate) fn beginning_with(prefix: &str) -> (Vec<u8>, Vec<u8>) {
    let first = encode(prefix).into_bytes();
    let mut end = first.clone();
    match end.last_mut() {
        // UTF-8 has no byte 255.
        Some(last) => *last += 1,
        None => return (vec![0], vec![0]),
    }
    (first, end)
}

fn part(end: &[u8]) -> Part {
    let text = std::str::from_utf8(end).unwrap_or_default();
    if let Ok(id) = text.parse() {
        return Part::Place(id);
    }
    let id = |suffix| text.strip_suffix(suffix).and_then(|id| id.parse::<ClaimId>().ok());
    if let Some(id) = id(DELAY) {
        return Part::Delay(id);
    }
    id(CLIENT).map_or(Part::Foreign, |_| Part::Client)
}

fn encode(name: &str) -> String {
    name.replace('%', "%25").replace('/', "%2F")
}

fn decode(text: &str) -> Option<String> {
    let name = text.replace("%2F", "/").replace("%25", "%");
    (encode(&name) == text).then_some(name)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const NAMES: &[&str] = &[
        "a",
        "a/",
        "/a",
        "a/b",
        "%",
        "%2F",
        "%25",
        "a%2Fb",
        "..",
        "/../",
        "a\r\nb",
        "π/\0",
        "%fence",
        "%revoked/a",
    ];

    fn name(text: &str) -> LockName {
        LockName::new(text).unwrap()
    }

    #[test]
    fn names_come_back_from_their_keys() {
        let id = ClaimId::from_bits(7);
        for text in NAMES {
            let keys = Keys::of(&name(text));
            assert_eq!(split(&keys.place(id)), Some((name(text), Part::Place(id))));
            assert_eq!(split(&keys.delay(id)), Some((name(text), Part::Delay(id))));
            assert_eq!(split(&keys.client(id)), Some((name(text), Part::Client)));
            assert_eq!(keys.part(&keys.delay(id)), Part::Delay(id));
            assert_eq!(split(&keys.revoked(id)), None, "{text}");
            assert_eq!(split(&keys.fence()), None, "{text}");
        }
        for foreign in [&b"config"[..], b"%zz/x", b"%/x", b"/x", b"\xff/x", b"a%2"] {
            assert_eq!(split(foreign), None, "{foreign:?}");
        }
    }

    #[test]
    fn no_lock_is_within_another() {
        let id = ClaimId::from_bits(7);
        let all: Vec<Keys> = NAMES.iter().map(|text| Keys::of(&name(text))).collect();
        let different: HashSet<Vec<u8>> = all.iter().map(|keys| keys.place(id)).collect();
        assert_eq!(different.len(), all.len());
        for (at, keys) in all.iter().enumerate() {
            let (first, end) = keys.range();
            for (other, theirs) in all.iter().enumerate() {
                let places = [theirs.place(id), theirs.client(id), theirs.delay(id)];
                for key in places.into_iter().chain([theirs.revoked(id), theirs.fence()]) {
                    let within = key >= first && key < end;
                    let ours = at == other && !key.starts_with(b"%revoked/") && !key.starts_with(b"%fence/");
                    assert_eq!(within, ours, "{:?} in {:?}", NAMES[other], NAMES[at]);
                }
            }
        }
    }

    #[test]
    fn a_prefix_finds_what_begins_with_it_and_nothing_else() {
        for prefix in NAMES {
            let (first, end) = beginning_with(prefix);
            for text in NAMES {
                let key = Keys::of(&name(text)).place(ClaimId::from_bits(1));
                let found = key >= first && key < end;
                assert!(found || !text.starts_with(prefix), "{text:?} by {prefix:?}");
            }
        }
    }

    #[test]
    fn go_would_use_the_name_itself() {
        assert_eq!(Keys::of(&name("orders")).range().0, b"orders/");
    }
}
