//! Percent-encoding, both ways, with one spelling for each text.

/// Encodes the bytes that `plain` does not take, and the percent sign.
pub(crate) fn escape(bytes: &[u8], plain: impl Fn(u8) -> bool) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut escaped = Vec::with_capacity(bytes.len());
    for &byte in bytes {
        if byte != b'%' && plain(byte) {
            escaped.push(byte);
        } else {
            let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
            escaped.extend([b'%', DIGITS[high], DIGITS[low]]);
        }
    }
    escaped
}

/// Decodes; `None` for a percent sign that encodes nothing.
pub(crate) fn unescape(escaped: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some((&first, after)) = rest.split_first() {
        if first != b'%' {
            bytes.push(first);
            rest = after;
            continue;
        }
        let (digits, after) = after.split_at_checked(2)?;
        let digit = |digit: u8| char::from(digit).to_digit(16);
        bytes.push(u8::try_from(digit(digits[0])? * 16 + digit(digits[1])?).ok()?);
        rest = after;
    }
    Some(bytes)
}

/// The same, for text.
pub(crate) fn unescape_text(escaped: &[u8]) -> Option<String> {
    String::from_utf8(unescape(escaped)?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_text_comes_back(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let escaped = escape(&bytes, |byte| byte.is_ascii_alphanumeric());
            prop_assert!(escaped.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'%'));
            prop_assert_eq!(unescape(&escaped), Some(bytes));
        }

        #[test]
        fn no_bytes_are_too_strange_to_decode(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            unescape(&bytes);
        }
    }

    #[test]
    fn what_encodes_nothing_is_refused() {
        for bad in ["%", "%4", "a%G0", "%+1"] {
            assert_eq!(unescape(bad.as_bytes()), None, "{bad}");
        }
    }
}
