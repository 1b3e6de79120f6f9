//! The keys and channels of a lock, all of one slot.

use std::sync::LazyLock;

use leasehold_core::LockName;

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

/// The number of slots.
pub(crate) const SLOTS: u16 = 16384;
/// Every slot has a number below this one.
const NUMBERS_MAX: u32 = 200_000;

/// The slot of a key (Redis Cluster specification, "Hash tags"): the CRC16 of the text between the first `{` and the
/// first `}` behind it if that is not empty, else of the whole key.
pub(crate) fn slot(key: &[u8]) -> u16 {
    crc16(tag(key).unwrap_or(key)) % SLOTS
}

/// The hash tag of a key: the part that is hashed instead of the whole.
pub(crate) fn tag(key: &[u8]) -> Option<&[u8]> {
    let open = key.iter().position(|byte| *byte == b'{')?;
    let rest = &key[open + 1..];
    let close = rest.iter().position(|byte| *byte == b'}')?;
    (close > 0).then(|| &rest[..close])
}

/// The smallest number whose decimal digits hash to `slot`: a tag for keys of this slot.
pub(crate) fn number_in(slot: u16) -> u32 {
    static NUMBERS: LazyLock<Vec<u32>> = LazyLock::new(|| {
        let mut numbers = vec![0; usize::from(SLOTS)];
        for number in (0..NUMBERS_MAX).rev() {
            numbers[usize::from(crc16(number.to_string().as_bytes()) % SLOTS)] = number;
        }
        numbers
    });
    NUMBERS[usize::from(slot % SLOTS)]
}

/// CRC-16/XMODEM: polynomial 0x1021, nothing reflected, starting at zero.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
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

    #[test]
    fn the_checksum_is_the_one_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!((slot(b"foo"), slot(b"bar")), (12182, 5061));
    }

    #[test]
    fn a_tag_is_the_first_one_that_is_not_empty() {
        assert_eq!(tag(b"a{b}c{d}"), Some(&b"b"[..]));
        assert_eq!(tag(b"{{a}}"), Some(&b"{a"[..]));
        for none in [&b"a"[..], b"{}a{b}", b"a{b", b"}a{"] {
            assert_eq!(tag(none), None);
        }
    }

    #[test]
    fn every_slot_has_a_number_and_the_numbers_are_small() {
        for it in 0..SLOTS {
            assert_eq!(slot(number_in(it).to_string().as_bytes()), it);
            assert!(number_in(it) < NUMBERS_MAX);
        }
    }
}
