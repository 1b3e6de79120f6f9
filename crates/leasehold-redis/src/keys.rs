//! The keys and channels of a lock, all of one slot.

use std::{fmt, ops::Range, sync::LazyLock};

use leasehold_core::LockName;

/// The prefix of all side keys and channels.
pub(crate) const OURS: &str = "leasehold:";

/// The suffixes of the side keys of a lock; `scripts/native/prelude.lua` describes each.
pub(crate) const SIDES: [&str; 8] =
    [META, ":entries", ":holders", ":waiters", ":queue", ":fair", ":writers", FENCE];

/// The suffix of the key that is there while there is more than one exclusive hold.
pub(crate) const META: &str = ":meta";
/// The suffix of the fencing counter, which is there once the lock was held.
pub(crate) const FENCE: &str = ":fence";

/// The keys of one lock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Keys {
    /// The beginning of all side keys; within it stands the key that other libraries lock, too.
    stem: String,
    hold: Range<usize>,
    slot: u16,
}

/// One key of a lock, in two parts that follow each other.
#[derive(Clone, Copy)]
pub(crate) struct Key<'a>(&'a str, &'a str);

impl<'a> From<&'a str> for Key<'a> {
    fn from(key: &'a str) -> Key<'a> {
        Key(key, "")
    }
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)?;
        f.write_str(self.1)
    }
}

impl Keys {
    /// The keys of `name`. Injective, and no key of one lock is a key of another.
    pub(crate) fn of(name: &LockName) -> Keys {
        let name = name.as_str();
        // A name that looks like a side key of another lock gets a key that no side key looks like.
        let escape = if name.starts_with(OURS) { "leasehold:=" } else { "" };
        let tag = tag(name.as_bytes());
        let slot = match (tag, escape) {
            (Some(tag), _) => slot(tag),
            (None, "") => slot(name.as_bytes()),
            (None, _) => slot(format!("{escape}{name}").as_bytes()),
        };
        let number;
        let (before, after) = match (tag, name.contains('}')) {
            (Some(_), _) => (":", ""),
            (None, false) => ("{", "}"),
            // The braces of the name are no tag: a number in its slot is.
            (None, true) => {
                number = format!("#{{{}}}", number_in(slot));
                (&*number, "")
            }
        };
        let stem = [OURS, before, escape, name, after].concat();
        let hold = OURS.len() + before.len()..stem.len() - after.len();
        Keys { stem, hold, slot }
    }

    /// The key of `name` in a template of another library; there are no side keys.
    pub(crate) fn templated(template: &str, name: &LockName) -> Keys {
        let stem = template.replacen('*', name.as_str(), 1);
        Keys { hold: 0..stem.len(), slot: slot(stem.as_bytes()), stem }
    }

    /// The key that other libraries lock, too.
    pub(crate) fn hold(&self) -> &str {
        &self.stem[self.hold.clone()]
    }

    /// The same, to stand beside side keys.
    pub(crate) fn hold_key(&self) -> Key<'_> {
        self.hold().into()
    }

    /// The keys of `name` as Redisson forms them. It cannot use a name with a broken hash tag in a Cluster, where its keys
    /// are of several slots; the tag is a number then.
    pub(crate) fn redisson(name: &LockName, is_cluster: bool) -> Keys {
        let name = name.as_str();
        let slot = slot(name.as_bytes());
        let is_broken = tag(name.as_bytes()).is_none() && name.contains(['{', '}']);
        let (stem, begin) = if is_cluster && is_broken {
            let tag = format!("{{{}}}", number_in(slot));
            (format!("{tag}{name}"), tag.len())
        } else if name.contains('{') {
            (name.to_string(), 0)
        } else {
            (format!("{{{name}}}"), 1)
        };
        Keys { stem, hold: begin..begin + name.len(), slot }
    }

    /// A side key, by what it begins with.
    pub(crate) fn under(&self, begin: &str) -> String {
        format!("{begin}:{}", self.stem)
    }

    /// A side key, by one of [`SIDES`].
    pub(crate) fn side<'a>(&'a self, end: &'a str) -> Key<'a> {
        Key(&self.stem, end)
    }

    /// The channel on which every change of the lock is announced.
    pub(crate) fn changes(&self) -> Key<'_> {
        self.side(":changes")
    }

    /// The slot of all of them.
    pub(crate) fn slot(&self) -> u16 {
        self.slot
    }

    /// The lock whose `:meta` or `:fence` key this is.
    pub(crate) fn name_of(key: &str) -> Option<LockName> {
        let end = [META, FENCE].into_iter().find(|end| key.ends_with(end))?;
        let stem = key.strip_suffix(end)?.strip_prefix(OURS)?;
        let hold = if let Some(hold) = stem.strip_prefix(':') {
            hold
        } else if let Some(rest) = stem.strip_prefix("#{") {
            rest.split_once('}')?.1
        } else {
            stem.strip_prefix('{')?.strip_suffix('}')?
        };
        let name = LockName::new(hold.strip_prefix("leasehold:=").unwrap_or(hold)).ok()?;
        (Keys::of(&name).side(end).to_string() == key).then_some(name)
    }

    /// The patterns of SCAN that match the `:meta` and `:fence` keys of all names that begin with `prefix` (and of others).
    pub(crate) fn patterns(prefix: &str) -> [String; 3] {
        const EITHER: &str = ":[fm]e*";
        let escaped = escape(prefix);
        // The second form of the key begins with the name itself, the third with a number that is not known here.
        [format!("{OURS}{{{escaped}*}}{EITHER}"), format!("{OURS}:*{EITHER}"), format!("{OURS}#*{EITHER}")]
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
pub(crate) fn crc16(bytes: &[u8]) -> u16 {
    const OF_BYTES: [u16; 256] = crc16_of_bytes();
    bytes.iter().fold(0, |crc, byte| (crc << 8) ^ OF_BYTES[usize::from((crc >> 8) as u8 ^ byte)])
}

const fn crc16_of_bytes() -> [u16; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let mut crc = (at as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        table[at] = crc;
        at += 1;
    }
    table
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
        [keys.hold_key(), keys.changes()].into_iter().chain(sides).map(|key| key.to_string()).collect()
    }

    #[test]
    fn all_keys_of_a_lock_are_in_its_slot() {
        for name in NAMES {
            let slots: HashSet<u16> = all_keys(name).iter().map(|key| slot(key.as_bytes())).collect();
            assert_eq!(slots.len(), 1, "{name:?}: {:?}", all_keys(name));
            assert!(slots.contains(&Keys::of(&LockName::new(*name).unwrap()).slot()));
        }
    }

    #[test]
    fn keys_of_redisson_are_in_the_slot_of_the_lock() {
        let token = |text: &str, is_cluster| {
            Keys::redisson(&LockName::new(text).unwrap(), is_cluster).under("redisson_lock_token")
        };
        for name in NAMES {
            assert_eq!(slot(token(name, true).as_bytes()), slot(name.as_bytes()), "{name:?}");
        }
        assert_eq!(token("a", true), "redisson_lock_token:{a}");
        assert_eq!(token("{a}b", true), "redisson_lock_token:{a}b");
        assert_eq!(token("a{b", false), "redisson_lock_token:a{b");
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
            for end in [META, FENCE] {
                assert_eq!(Keys::name_of(&Keys::of(&name).side(end).to_string()).as_ref(), Some(&name));
            }
        }
        for foreign in [
            "a:meta",
            "leasehold:{a}",
            "leasehold:{a}:entries",
            "leasehold:x:meta",
            "leasehold:#{1}a}:meta",
            "leasehold:{{a}}:meta",
        ] {
            assert_eq!(Keys::name_of(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn other_libraries_use_the_name_itself() {
        assert_eq!(Keys::of(&LockName::new("orders").unwrap()).hold(), "orders");
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
