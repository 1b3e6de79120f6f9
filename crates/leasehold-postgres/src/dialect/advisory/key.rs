//! [`Key`]: the number of an advisory lock, and the name of the session that has it.

use leasehold_core::{ClaimId, Contender, Mode, Result, Stance};
use sha2::{Digest, Sha256};
use tokio_postgres::Row;

use crate::error::column;

/// The beginning of the names of our sessions.
const OURS: &str = "leasehold ";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Key {
    /// The key itself, or two of 32 bits each.
    pub(super) number: i64,
    /// The space of keys, as `pg_locks.objsubid` has it: 1 for a bigint, 2 for two integers.
    pub(super) space: i16,
}

impl Key {
    /// The key of a name: a decimal number is the key itself, two with a comma between are two; of any other name it is the
    /// first eight bytes of its SHA-256.
    pub(super) fn of(name: &str) -> Key {
        if let Some(number) = decimal(name) {
            return Key { number, space: 1 };
        }
        let pair =
            name.split_once(',').and_then(|(high, low)| Some((decimal::<i32>(high)?, decimal::<i32>(low)?)));
        if let Some((high, low)) = pair {
            return Key { number: i64::from(high) << 32 | i64::from(low.cast_unsigned()), space: 2 };
        }
        let digest = Sha256::digest(name.as_bytes());
        let number = digest.iter().take(8).fold(0i64, |number, byte| number << 8 | i64::from(*byte));
        Key { number, space: 1 }
    }
}

/// A number in its one spelling.
fn decimal<N: std::str::FromStr + ToString>(text: &str) -> Option<N> {
    text.parse::<N>().ok().filter(|number| number.to_string() == text)
}

/// The name of the session of a claim: its tag, and as much of a digest of its id as tells two apart. The id is the proof of
/// ownership, and everybody sees these names.
pub(super) fn session_name(id: ClaimId) -> String {
    let digest = Sha256::digest(id.bits().to_be_bytes());
    let digest: String = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    format!("{OURS}{:08x} {digest}", Contender::tag_of(id))
}

/// The holder in a row: the name of its session, the mode, its process and its user, from this column on.
pub(super) fn holder(row: &Row, at: usize) -> Result<Option<Contender>> {
    let Some(mode) = column::<Option<&str>>(row, at + 1)? else { return Ok(None) };
    let name: Option<&str> = column(row, at)?;
    let tag = name.and_then(|name| u32::from_str_radix(name.strip_prefix(OURS)?.get(..8)?, 16).ok());
    let (process, user): (i32, Option<&str>) = (column(row, at + 2)?, column(row, at + 3)?);
    let note = || {
        let (name, user) = (name.unwrap_or_default(), user.unwrap_or("?"));
        format!("held by another program: `{}`, process {process}, user {user}", name.escape_debug())
    };
    Ok(Some(Contender {
        tag: tag.unwrap_or(0),
        stance: Stance::Holding,
        mode: Some(if mode == "ShareLock" { Mode::Shared } else { Mode::Exclusive }),
        expires_in: None,
        age: None,
        fence: None,
        note: tag.is_none().then(|| note().into()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_keys_and_other_names_are_hashed() {
        for (name, number, space) in [
            ("42", 42, 1),
            ("-9223372036854775808", i64::MIN, 1),
            ("1,2", (1 << 32) | 2, 2),
            ("-1,-1", -1, 2),
            ("0,-2147483648", 0x8000_0000, 2),
            // The first eight bytes of a digest that others can make: printf %s nightly | sha256sum.
            ("abc", 0xba78_16bf_8f01_cfea_u64.cast_signed(), 1),
        ] {
            assert_eq!(Key::of(name), Key { number, space }, "{name}");
        }
        for (one, other) in
            [("042", "42"), ("+1", "1"), ("1, 2", "1,2"), ("1,2,3", "1,2"), ("9223372036854775808", "x")]
        {
            assert_ne!(Key::of(one), Key::of(other), "{one}");
        }
    }

    #[test]
    fn the_name_of_a_session_has_the_tag_and_not_the_id() {
        let id = ClaimId::from_bits(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
        let name = session_name(id);
        assert!(name.starts_with("leasehold 00112233 ") && name.len() < 64, "{name}");
        assert!(!name.contains("4455"));
    }
}
