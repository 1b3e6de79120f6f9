//! The 16384 hash slots of a Redis Cluster, and a short tag for each.

use std::sync::OnceLock;

/// The number of slots.
pub(crate) const SLOTS: u16 = 16384;

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
    static NUMBERS: OnceLock<Vec<u32>> = OnceLock::new();
    let numbers = NUMBERS.get_or_init(|| {
        let mut numbers = vec![u32::MAX; usize::from(SLOTS)];
        let mut missing = numbers.len();
        for number in 0..u32::MAX {
            let found = &mut numbers[usize::from(crc16(number.to_string().as_bytes()) % SLOTS)];
            if *found == u32::MAX {
                *found = number;
                missing -= 1;
            }
            if missing == 0 {
                break;
            }
        }
        numbers
    });
    numbers[usize::from(slot % SLOTS)]
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
    use super::*;

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
            assert!(number_in(it) < 200_000);
        }
    }
}
