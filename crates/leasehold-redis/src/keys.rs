//! The keys and channels of a lock, all of one slot.

use leasehold_core::LockName;

use crate::hash_slot::{number_in, slot, tag};

/// The prefix of all side keys and channels.
pub(crate) const OURS: &str = "leasehold:";

/// The suffixes of the side keys of a lock; `scripts/native/prelude.lua` describes each.
pub(crate) const SIDES: [&str; 7] =
    [":meta", ":entries", ":holders", ":waiters", ":queue", ":fair", ":writers"];

/// The keys of one lock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Keys {
    /// The key that other libraries lock, too.
    pub(crate) hold: String,
    stem: String,
}

impl Keys {
    /// The keys of `name`. Injective, and no key of one lock is a key of another.
    pub(crate) fn of(name: &LockName) -> Keys {
        let name = name.as_str();
        // A name that looks like a side key of another lock gets a key that no side key looks like.
        let hold = if name.starts_with(OURS) { format!("{OURS}={name}") } else { name.to_string() };
        let stem = match (tag(hold.as_bytes()), hold.contains('}')) {
            (Some(_), _) => format!("{OURS}:{hold}"),
            (None, false) => format!("{OURS}{{{hold}}}"),
            // The braces of the name are no tag: a number in its slot is.
            (None, true) => format!("{OURS}#{{{}}}{hold}", number_in(slot(hold.as_bytes()))),
        };
        Keys { hold, stem }
    }

    /// The key of `name` in a template of another library; there are no side keys.
    pub(crate) fn templated(template: &str, name: &LockName) -> Keys {
        Keys { hold: template.replacen('*', name.as_str(), 1), stem: String::new() }
    }

    /// A side key, by one of [`SIDES`].
    pub(crate) fn side(&self, end: &str) -> String {
        format!("{}{end}", self.stem)
    }

    /// The channel on which every change of the lock is announced.
    pub(crate) fn changes(&self) -> String {
        self.side(":changes")
    }

    /// The slot of all of them.
    pub(crate) fn slot(&self) -> u16 {
        slot(self.hold.as_bytes())
    }

    /// The lock whose `:meta` key this is.
    pub(crate) fn name_of_meta(key: &str) -> Option<LockName> {
        let stem = key.strip_suffix(SIDES[0])?.strip_prefix(OURS)?;
        let hold = if let Some(hold) = stem.strip_prefix(':') {
            hold
        } else if let Some(rest) = stem.strip_prefix("#{") {
            rest.split_once('}')?.1
        } else {
            stem.strip_prefix('{')?.strip_suffix('}')?
        };
        let name = LockName::new(hold.strip_prefix("leasehold:=").unwrap_or(hold)).ok()?;
        (Keys::of(&name).side(SIDES[0]) == key).then_some(name)
    }

    /// The patterns of SCAN that match the `:meta` keys of all names that begin with `prefix` (and of others).
    pub(crate) fn meta_patterns(prefix: &str) -> [String; 3] {
        let escaped = escape(prefix);
        // The second form of the key begins with the name itself, the third with a number that is not known here.
        [
            format!("{OURS}{{{escaped}*}}{}", SIDES[0]),
            format!("{OURS}:*{}", SIDES[0]),
            format!("{OURS}#*{}", SIDES[0]),
        ]
    }
}

/// The channel on which the waiters of a client are woken, of the slot if channels are sharded.
pub(crate) fn inbox(client: u64, slot: Option<u16>) -> String {
    match slot {
        None => format!("{OURS}inbox:{client:016x}"),
        Some(slot) => format!("{OURS}inbox:{{{}}}:{client:016x}", number_in(slot)),
    }
}

/// The pattern that matches a text and nothing else.
pub(crate) fn escape(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for letter in text.chars() {
        if "*?[]\\^-".contains(letter) {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const NAMES: &[&str] = &[
        "a",
        "{a}",
        "{}",
        "{}a",
        "a}b{c",
        "a{b",
        "}",
        "{a}b",
        "a:meta",
        "{a}:meta",
        "leasehold:{a}:meta",
        "leasehold:",
        "leasehold:=",
        "leasehold:=leasehold:",
        "leasehold::a:meta",
        "#{1}a",
        "leasehold:#{1}a",
        "π",
        "a\0b",
        ":",
        ":a",
        "leasehold:=a",
        "=a",
        "{a}{b}",
        "{{a}",
        "a}",
        "x{}y}",
    ];

    fn all_keys(text: &str) -> Vec<String> {
        let keys = Keys::of(&LockName::new(text).unwrap());
        let sides = SIDES.iter().map(|end| keys.side(end));
        [keys.hold.clone(), keys.changes()].into_iter().chain(sides).collect()
    }

    #[test]
    fn all_keys_of_a_lock_are_in_its_slot() {
        for name in NAMES {
            let slots: HashSet<u16> = all_keys(name).iter().map(|key| slot(key.as_bytes())).collect();
            assert_eq!(slots.len(), 1, "{name:?}: {:?}", all_keys(name));
        }
    }

    #[test]
    fn no_key_belongs_to_two_locks() {
        let keys: Vec<String> = NAMES.iter().flat_map(|name| all_keys(name)).collect();
        let different: HashSet<&String> = keys.iter().collect();
        assert_eq!(keys.len(), different.len());
    }

    #[test]
    fn names_come_back_from_their_keys() {
        for text in NAMES {
            let name = LockName::new(text).unwrap();
            assert_eq!(Keys::name_of_meta(&Keys::of(&name).side(":meta")), Some(name));
        }
        for foreign in
            ["a:meta", "leasehold:{a}", "leasehold:x:meta", "leasehold:#{1}a}:meta", "leasehold:{{a}}:meta"]
        {
            assert_eq!(Keys::name_of_meta(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn other_libraries_use_the_name_itself() {
        assert_eq!(Keys::of(&LockName::new("orders").unwrap()).hold, "orders");
    }
}
