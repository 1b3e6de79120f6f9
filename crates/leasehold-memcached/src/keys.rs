//! [`Keys`]: under which keys a lock is kept.
//!
//! A key has at most 250 bytes, and no blank or control character, for those would end the command. A name that fits is
//! its own key, so that strangers lock the same thing; every other name has a key that begins with [`OURS`], and so has
//! a name that does.

use std::fmt::Write;

use leasehold_core::LockName;
use sha2::{Digest, Sha256};

use crate::percent::{escape, unescape_text};

/// What begins so is no name of a lock as it stands.
const OURS: &str = "leasehold:";
/// What follows then is the name, percent-encoded.
const ESCAPED: &str = "leasehold:%";
/// What follows then is the SHA-256 of the name, which is too long even for that; the document has the name.
const HASHED: &str = "leasehold:#";
/// What follows then is the SHA-256 of the name whose tokens are lifted.
const OFFSET: &str = "leasehold:+";
/// The item that names the run of the server.
pub(crate) const RUN: &str = "leasehold:run";

/// The longest key in bytes.
const KEY_BYTES_MAX: usize = 250;

/// The keys of one lock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Keys {
    /// The lock itself.
    pub(crate) lock: String,
    /// By how much its tokens are lifted, if they are.
    pub(crate) offset: String,
}

/// Whose a key is.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Owner {
    /// The lock of this name.
    Lock(LockName),
    /// A lock whose name only the document knows.
    Hashed,
    /// No lock.
    Other,
}

impl Keys {
    pub(crate) fn of(name: &LockName) -> Keys {
        Keys { lock: lock_key(name.as_str()), offset: format!("{OFFSET}{}", hash(name.as_str())) }
    }

    /// Which lock is kept under a key.
    pub(crate) fn owner(key: &str) -> Owner {
        let text = match (key.strip_prefix(ESCAPED), key.starts_with(OURS)) {
            (Some(escaped), _) => unescape_text(escaped.as_bytes()),
            (None, true) if key.starts_with(HASHED) => return Owner::Hashed,
            (None, true) => None,
            (None, false) => Some(key.to_string()),
        };
        let name = text.and_then(|text| LockName::new(text).ok());
        // Another spelling of an escaped name is somebody else's key.
        name.filter(|name| lock_key(name.as_str()) == key).map_or(Owner::Other, Owner::Lock)
    }
}

fn is_plain(byte: u8) -> bool {
    (0x21..=0x7e).contains(&byte)
}

fn lock_key(name: &str) -> String {
    if name.len() <= KEY_BYTES_MAX && name.bytes().all(is_plain) && !name.starts_with(OURS) {
        return name.to_string();
    }
    let escaped = String::from_utf8_lossy(&escape(name.as_bytes(), is_plain)).into_owned();
    if ESCAPED.len() + escaped.len() <= KEY_BYTES_MAX {
        return format!("{ESCAPED}{escaped}");
    }
    format!("{HASHED}{}", hash(name))
}

fn hash(name: &str) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(name.as_bytes()) {
        // Writing into a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn key(name: &str) -> String {
        Keys::of(&LockName::new(name).unwrap()).lock
    }

    #[test]
    fn plain_names_are_their_own_keys() {
        for name in ["a", "order:42", "a/../b", "a%2Fb", &"x".repeat(250)] {
            assert_eq!(key(name), name);
        }
        assert_eq!(key("a b\r\n"), "leasehold:%a%20b%0D%0A");
        assert_eq!(key("leasehold:%a"), "leasehold:%leasehold:%25a");
        assert_eq!(key("leasehold:run"), "leasehold:%leasehold:run");
        assert!(key(&"x".repeat(251)).starts_with(HASHED));
        assert!(key(&"\0".repeat(100)).starts_with(HASHED));
    }

    #[test]
    fn names_that_differ_have_keys_that_differ() {
        let long = "x".repeat(512);
        let names = ["a b", "a%20b", "leasehold:%a%20b", "a", "A", "é", "e\u{301}", &long, &long[1..]];
        let keys: HashSet<String> = names.iter().map(|name| key(name)).collect();
        assert_eq!(keys.len(), names.len(), "{keys:?}");
    }

    proptest! {
        #[test]
        fn a_key_is_one_word_and_names_its_lock(name in "\\PC{1,120}|[\\x00-\\x7f]{1,512}|leasehold:[ -~]{0,200}") {
            prop_assume!(name.len() <= 512 && !name.is_empty());
            let keys = Keys::of(&LockName::new(&name).unwrap());
            for key in [&keys.lock, &keys.offset] {
                prop_assert!(key.len() <= KEY_BYTES_MAX && key.bytes().all(is_plain), "{}", key);
            }
            match Keys::owner(&keys.lock) {
                Owner::Lock(found) => prop_assert_eq!(found.as_str(), &name),
                Owner::Hashed => prop_assert!(keys.lock.starts_with(HASHED)),
                Owner::Other => prop_assert!(false, "{} is nobody's", keys.lock),
            }
            prop_assert_eq!(Keys::owner(&keys.offset), Owner::Other);
        }

        #[test]
        fn keys_of_different_names_differ(one in "[ -~]{1,40}", other in "[ -~]{1,40}") {
            prop_assert_eq!(one == other, key(&one) == key(&other));
        }
    }
}
