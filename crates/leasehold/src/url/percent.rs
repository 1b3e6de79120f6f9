//! Words that are nearly right, and characters that are written as `%XX`.

use std::{borrow::Cow, ffi::OsString, os::unix::ffi::OsStringExt, path::PathBuf};

use leasehold_core::{Error, ErrorKind, Result};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, percent_decode_str, percent_encode};

/// What stays as it is wherever it stands.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// What stays as it is in a path.
const PATH: &AsciiSet = &PLAIN.remove(b'/');

pub(super) fn encode(text: &str) -> PercentEncode<'_> {
    percent_encode(text.as_bytes(), PLAIN)
}

pub(super) fn encode_path(bytes: &[u8]) -> PercentEncode<'_> {
    percent_encode(bytes, PATH)
}

/// Undoes `%XX`. `what` is named in errors; the text is not, for it may be secret.
pub(super) fn decode(text: &str, what: &str) -> Result<String> {
    let bytes = decode_bytes(text, what)?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Error::new(ErrorKind::Invalid, format!("{what} is not UTF-8 when decoded")))?;
    if text.contains('\0') {
        return Err(Error::new(ErrorKind::Invalid, format!("{what} may not contain a zero byte")));
    }
    Ok(text)
}

/// Undoes `%XX` in the path of a file, which need not be UTF-8.
pub(super) fn decode_path(text: &str) -> Result<PathBuf> {
    let bytes = decode_bytes(text, "the path")?;
    if bytes.is_empty() || bytes.contains(&0) {
        let message = "the path of the store may not be empty nor contain a zero byte";
        return Err(Error::new(ErrorKind::Invalid, message).hint("for example sqlite:locks.db"));
    }
    Ok(PathBuf::from(OsString::from_vec(bytes)))
}

fn decode_bytes(text: &str, what: &str) -> Result<Vec<u8>> {
    let digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let bytes = text.as_bytes();
    let malformed = |at: usize| bytes[at] == b'%' && !(digit(bytes.get(at + 1)) && digit(bytes.get(at + 2)));
    if (0..bytes.len()).any(malformed) {
        let message = format!("{what} has a `%` without two hexadecimal digits after it");
        return Err(Error::new(ErrorKind::Invalid, message).hint("write `%25` for a percent sign"));
    }
    Ok(Cow::from(percent_decode_str(text)).into_owned())
}

/// The candidate that a mistyped word most likely meant.
pub(super) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let tolerance = if word.len() <= 3 { 1 } else { 2 };
    candidates
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= tolerance)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many insertions, deletions, replacements and swaps of neighbours lead from `a` to `b`; capped, for long words.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(32).collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for at in 0..=a.len() {
        for to in 0..=b.len() {
            rows[at][to] = if at == 0 || to == 0 {
                at + to
            } else {
                let replaced = rows[at - 1][to - 1] + usize::from(a[at - 1] != b[to - 1]);
                let swapped = at > 1 && to > 1 && a[at - 1] == b[to - 2] && a[at - 2] == b[to - 1];
                let swap = if swapped { rows[at - 2][to - 2] + 1 } else { usize::MAX };
                replaced.min(rows[at - 1][to] + 1).min(rows[at][to - 1] + 1).min(swap)
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_near_and_another_word_is_not() {
        let words = ["redis", "rediss", "zk", "etcd"];
        for (typed, meant) in
            [("redsi", Some("redis")), ("rdis", Some("redis")), ("ect", None), ("etdc", Some("etcd"))]
        {
            assert_eq!(nearest(typed, words.into_iter()), meant, "{typed}");
        }
        assert_eq!(nearest("postgresql", words.into_iter()), None);
    }
}
