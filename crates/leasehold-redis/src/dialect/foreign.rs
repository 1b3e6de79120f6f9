//! A guess at the library that wrote a foreign lock. For display only.

use std::time::Duration;

use leasehold_core::{ClaimId, Contender, Mode, Stance};

use super::redisson;
use crate::format::span;

/// A holder of which little more than its key is known.
pub(crate) fn holder(
    tag: u32,
    mode: Option<Mode>,
    expires_in: Option<Duration>,
    note: Option<String>,
) -> Contender {
    let note = note.map(Into::into);
    Contender { tag, stance: Stance::Holding, mode, expires_in, age: None, fence: None, note }
}

/// Describes the value of a foreign lock.
pub(crate) fn describe(value: &[u8]) -> String {
    let shown = shorten(value);
    match library_of(value) {
        Some(library) => format!("held by another library, perhaps {library}: value {shown}"),
        None => format!("held by another library: value {shown}"),
    }
}

fn library_of(value: &[u8]) -> Option<&'static str> {
    let Ok(text) = std::str::from_utf8(value) else {
        return (value.len() == 20).then_some("rslock or redlock-rs (20 random bytes)");
    };
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    let is_base64 = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'='))
    };
    if text.starts_with("ADDED:") {
        return Some("ShedLock");
    }
    if is_uuid(text) {
        return Some("Spring, redis-semaphore, RedLock.net or another that uses UUIDs");
    }
    match text.len() {
        32 if is_hex(text) => Some("redis-py or node-redlock (32 hexadecimal digits)"),
        24 if is_base64(text) => Some("redsync (16 bytes in base64)"),
        22.. if text.get(..22).is_some_and(is_base64) => Some("bsm/redislock"),
        20 => Some("rslock or redlock-rs (20 random bytes)"),
        _ => None,
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// At most 40 characters, too few to release by copying a long random value, and none that a terminal interprets.
fn shorten(value: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(value).escape_debug().collect();
    match text.char_indices().nth(12) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// A field of a hash, its value, and for how many ms it counts.
pub(crate) type Field = (Vec<u8>, Vec<u8>, i64);

/// The holders of a lock of Redisson, ours without a note, by fields `UUID:THREAD` (`:write` for writers) of a hash, each with
/// its reentrance count and for how many ms it holds. Empty if the hash is none.
pub(crate) fn redisson(fields: &[Field]) -> Vec<Contender> {
    let reads = fields.iter().any(|(field, value, _)| field == b"mode" && value == b"read");
    let mode = if reads { Mode::Shared } else { Mode::Exclusive };
    let holders = fields.iter().filter_map(|(field, count, left)| {
        let [field, count] = [field, count].map(|bytes| std::str::from_utf8(bytes).ok());
        let (field, count) = (field?, count?);
        let (client, rest) = field.split_at_checked(36)?;
        let thread = rest.strip_prefix(':')?;
        let thread = thread.strip_suffix(":write").unwrap_or(thread);
        let fits = is_uuid(client) && thread.parse::<i64>().is_ok() && count.parse::<u64>().is_ok();
        if let Ok(id) = client.replace('-', "").parse::<ClaimId>()
            && redisson::owner(id) == *field
        {
            return Some(holder(Contender::tag_of(id), Some(mode), span(*left), None));
        }
        let taken = if count == "1" { String::new() } else { format!(", taken {count} times") };
        let note = format!("held by Redisson: client {client}, thread {thread}{taken}");
        fits.then(|| holder(0, Some(mode), span(*left), Some(note)))
    });
    holders.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_told_apart_by_their_values() {
        for (value, library) in [
            (&b"4d5f3a2c1b0e4d5f3a2c1b0e4d5f3a2c"[..], "redis-py"),
            (b"q83vEjRWeJCrze8SNFZ4kA==", "redsync"),
            (b"123e4567-e89b-12d3-a456-426614174000", "Spring"),
            (b"ADDED:2026-01-01T00:00:00Z@host:x", "ShedLock"),
            (&[200u8; 20], "rslock"),
        ] {
            assert!(describe(value).contains(library), "{}", describe(value));
        }
        assert!(describe(b"x").ends_with("value x"));
    }

    #[test]
    fn a_value_is_never_shown_whole() {
        assert!(!describe(b"4d5f3a2c1b0e4d5f3a2c1b0e4d5f3a2c").contains("4d5f3a2c1b0e4"));
        assert!(!describe(b"\x1b[31m").contains('\x1b'));
    }

    #[test]
    fn the_fields_of_redisson_are_read() {
        let field = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec(), 5);
        let fields = [field("mode", "read"), field("123e4567-e89b-12d3-a456-426614174000:42", "2")];
        let holders = redisson(&fields);
        assert_eq!((holders.len(), holders[0].mode), (1, Some(Mode::Shared)));
        assert_eq!(holders[0].expires_in, Some(Duration::from_millis(5)));
        assert!(holders[0].note.as_ref().unwrap().contains("thread 42, taken 2 times"));
        assert!(redisson(&[field("name", "x")]).is_empty());
    }
}
