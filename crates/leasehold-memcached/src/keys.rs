//! [`LockKeys`]: the keys of a lock, and percent-encoding for keys and documents.
//!
//! A key has at most 250 bytes, and no blank or control character, which would end the command. A name that fits is its
//! own key, so that other libraries lock the same item; every other name has a key that begins with [`PREFIX`], and so has
//! a name that begins with it.

use std::fmt::Write;

use leasehold_core::LockName;
use sha2::{Digest, Sha256};

/// The prefix of all keys that are not plain lock names.
const PREFIX: &str = "leasehold:";
/// The prefix of a percent-encoded name.
const ESCAPED: &str = "leasehold:%";
/// The prefix of the SHA-256 of a name that is too long even for that; the document has the name.
const HASHED: &str = "leasehold:#";
/// The prefix of the SHA-256 of a name whose fencing tokens have an offset.
const OFFSET: &str = "leasehold:+";
/// The key of the item that identifies the run of the server.
pub(crate) const RUN: &str = "leasehold:run";

const KEY_BYTES_MAX: usize = 250;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct LockKeys {
    pub(crate) name: LockName,
    /// The key of the lock's item.
    pub(crate) lock: String,
    /// The key of the offset of its fencing tokens.
    pub(crate) offset: String,
}

/// The lock that a key belongs to.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Owner {
    /// The lock of this name.
    Lock(LockName),
    /// A lock whose name is in its document only.
    Hashed,
    /// No lock.
    Other,
}

impl LockKeys {
    pub(crate) fn of(name: &LockName) -> LockKeys {
        let offset = format!("{OFFSET}{}", hash(name.as_str()));
        LockKeys { name: name.clone(), lock: lock_key(name.as_str()), offset }
    }

    pub(crate) fn owner(key: &str) -> Owner {
        let text = match (key.strip_prefix(ESCAPED), key.starts_with(PREFIX)) {
            (Some(escaped), _) => unescape(escaped),
            (None, true) if key.starts_with(HASHED) => return Owner::Hashed,
            (None, true) => None,
            (None, false) => Some(key.to_string()),
        };
        let name = text.and_then(|text| LockName::new(text).ok());
        // Another spelling of an escaped name is a foreign key.
        name.filter(|name| lock_key(name.as_str()) == key).map_or(Owner::Other, Owner::Lock)
    }
}

fn is_plain(char: char) -> bool {
    char.is_ascii_graphic()
}

fn lock_key(name: &str) -> String {
    if name.len() <= KEY_BYTES_MAX && name.chars().all(is_plain) && !name.starts_with(PREFIX) {
        return name.to_string();
    }
    let escaped = escape(name, is_plain);
    if ESCAPED.len() + escaped.len() <= KEY_BYTES_MAX {
        return format!("{ESCAPED}{escaped}");
    }
    format!("{HASHED}{}", hash(name))
}

fn hash(name: &str) -> String {
    Sha256::digest(name.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Percent-encodes the percent sign and all characters that are not plain. One spelling for each input.
pub(crate) fn escape(text: &str, plain: impl Fn(char) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        if char != '%' && plain(char) {
            escaped.push(char);
            continue;
        }
        for byte in char.encode_utf8(&mut [0; 4]).bytes() {
            // Writing into a string does not fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// Undoes [`escape`]; `None` for a percent sign without two digits, and for what is no text.
pub(crate) fn unescape(escaped: &str) -> Option<String> {
    let mut parts = escaped.split('%').map(str::as_bytes);
    let mut bytes = parts.next()?.to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        let digit = |at: usize| char::from(digits[at]).to_digit(16);
        bytes.push(u8::try_from(digit(0)? * 16 + digit(1)?).ok()?);
        bytes.extend_from_slice(rest);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn key(name: &str) -> String {
        LockKeys::of(&LockName::new(name).unwrap()).lock
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
            let keys = LockKeys::of(&LockName::new(&name).unwrap());
            for key in [&keys.lock, &keys.offset] {
                prop_assert!(key.len() <= KEY_BYTES_MAX && key.chars().all(is_plain), "{}", key);
            }
            match LockKeys::owner(&keys.lock) {
                Owner::Lock(found) => prop_assert_eq!(found.as_str(), &name),
                Owner::Hashed => prop_assert!(keys.lock.starts_with(HASHED)),
                Owner::Other => prop_assert!(false, "{} has no owner", keys.lock),
            }
            prop_assert_eq!(LockKeys::owner(&keys.offset), Owner::Other);
        }

        #[test]
        fn keys_of_different_names_differ(one in "[ -~]{1,40}", other in "[ -~]{1,40}") {
            prop_assert_eq!(one == other, key(&one) == key(&other));
        }

        #[test]
        fn every_text_comes_back(text in any::<String>()) {
            let escaped = escape(&text, |char| char.is_ascii_alphanumeric());
            prop_assert!(escaped.chars().all(|char| char.is_ascii_alphanumeric() || char == '%'));
            prop_assert_eq!(unescape(&escaped), Some(text));
        }

        #[test]
        fn no_text_is_too_strange_to_decode(text in any::<String>(), tail in "(%[0-9a-f%é]{0,3}){0,9}") {
            unescape(&(text + &tail));
        }
    }

    #[test]
    fn what_encodes_nothing_is_refused() {
        for bad in ["%", "%4", "a%G0", "%+1", "%FF"] {
            assert_eq!(unescape(bad), None, "{bad}");
        }
    }
}
