//! Percent-encoding, and the nearest known word to a mistyped one.

use std::{borrow::Cow, ffi::OsString, os::unix::ffi::OsStringExt, path::PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, percent_decode_str, percent_encode};

use super::invalid::invalid;
use crate::Result;

/// The characters that stay as they are everywhere.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The characters that stay as they are in a path.
const PATH: &AsciiSet = &PLAIN.remove(b'/');

/// Encodes a part of a URL; a slash is encoded, too.
pub fn encode(text: &str) -> PercentEncode<'_> {
    percent_encode(text.as_bytes(), PLAIN)
}

/// Encodes a path; its slashes stay.
pub fn encode_path(bytes: &[u8]) -> PercentEncode<'_> {
    percent_encode(bytes, PATH)
}

/// Decodes `%XX`. `what` is named in errors; the text is not, for it may be secret.
///
/// # Errors
/// [`ErrorKind::Invalid`](crate::ErrorKind) for a malformed `%`, text that is not UTF-8 or has a zero byte.
pub fn decode(text: &str, what: &str) -> Result<String> {
    let bytes = decode_bytes(text, what)?;
    let text = String::from_utf8(bytes).map_err(|_| invalid(format!("{what} is not UTF-8 when decoded")))?;
    if text.contains('\0') {
        return Err(invalid(format!("{what} may not contain a zero byte")));
    }
    Ok(text)
}

/// Decodes `%XX` in the path of a file, which need not be UTF-8.
///
/// # Errors
/// [`ErrorKind::Invalid`](crate::ErrorKind) for a malformed `%`, an empty path or one with a zero byte.
pub fn decode_path(text: &str) -> Result<PathBuf> {
    let bytes = decode_bytes(text, "the path")?;
    if bytes.is_empty() || bytes.contains(&0) {
        let message = "the path of the store may not be empty nor contain a zero byte";
        return Err(invalid(message).hint("for example sqlite:locks.db"));
    }
    Ok(PathBuf::from(OsString::from_vec(bytes)))
}

pub(crate) fn decode_bytes(text: &str, what: &str) -> Result<Vec<u8>> {
    let digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let bytes = text.as_bytes();
    let malformed = |at: usize| bytes[at] == b'%' && !(digit(bytes.get(at + 1)) && digit(bytes.get(at + 2)));
    if (0..bytes.len()).any(malformed) {
        let message = format!("{what} has a `%` without two hexadecimal digits after it");
        return Err(invalid(message).hint("write `%25` for a percent sign"));
    }
    Ok(Cow::from(percent_decode_str(text)).into_owned())
}

/// The candidate that a mistyped word most likely meant.
pub(crate) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let tolerance = if word.len() <= 3 { 1 } else { 2 };
    candidates
        // The distance to a long word is of no interest, and takes long.
        .filter(|candidate| word.len().abs_diff(candidate.len()) <= tolerance)
        .map(|candidate| (strsim::osa_distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= tolerance)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_is_near_and_another_word_is_not() {
        let words = ["redis", "rediss", "zk", "etcd"];
        for (typed, meant) in
            [("redsi", Some("redis")), ("rdis", Some("redis")), ("ect", None), ("etdc", Some("etcd"))]
        {
            assert_eq!(nearest(typed, words.into_iter()), meant, "{typed}");
        }
        assert_eq!(nearest("postgresql", words.into_iter()), None);
    }
}
