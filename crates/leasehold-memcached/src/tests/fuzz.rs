//! Fuzz targets: arbitrary bytes, and properties of what is parsed from them. Built for tests and fuzzers only.

use futures_util::FutureExt;
use leasehold_core::LockName;
use tokio::io::BufReader;

use crate::{
    format,
    keys::{self, LockKeys, Owner},
    transport::protocol::{Want, read_reply},
};

/// The name of a corpus in `fuzz/corpus`, and the function that takes its bytes.
pub type Target = (&'static str, fn(&[u8]));

/// The targets of this crate.
pub const TARGETS: &[Target] =
    &[("memcached_reply", reply), ("memcached_document", document), ("memcached_key", key)];

/// Replies parsed in one piece equal those parsed byte by byte, up to the first malformed one.
fn reply(bytes: &[u8]) {
    for want in [Want::Storage, Want::Meta(7), Want::Stats] {
        assert_eq!(replies(bytes, bytes.len(), want), replies(bytes, 1, want));
    }
}

fn replies(bytes: &[u8], piece: usize, want: Want) -> Vec<String> {
    let (mut read, mut replies) = (BufReader::with_capacity(piece.max(1), bytes), Vec::new());
    while let Some(Ok(reply)) = read_reply(&mut read, want).now_or_never() {
        replies.push(format!("{reply:?}"));
    }
    replies
}

/// A parsed document is written as text that parses to the same document.
fn document(bytes: &[u8]) {
    let Some(document) = format::decode(bytes) else { return };
    let written = format::encode(&document);
    let again = format::decode(&written).expect("what was written can be read");
    assert_eq!(format::encode(&again), written);
    assert_eq!(
        (&again.name, again.end, again.entries.len()),
        (&document.name, document.end, document.entries.len())
    );
}

/// Keys are injective and cannot end a command, and a key that is not a digest decodes to its name.
fn key(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = keys::unescape(&text);
    let _ = LockKeys::owner(&text);
    let (one, two) = text.split_once('\n').unwrap_or((&text, "other"));
    let names = [one, two].map(LockName::new);
    let [Ok(one), Ok(two)] = names else { return };
    let keys = [&one, &two].map(LockKeys::of);
    assert_eq!(one == two, keys[0].lock == keys[1].lock);
    assert_eq!(one == two, keys[0].offset == keys[1].offset);
    for (name, keys) in [one, two].into_iter().zip(keys) {
        assert!(keys.lock.len() <= 250 && keys.lock.bytes().all(|byte| (0x21..=0x7e).contains(&byte)));
        let owner = LockKeys::owner(&keys.lock);
        assert!(owner == Owner::Lock(name) || owner == Owner::Hashed);
    }
}

#[cfg(test)]
#[path = "../../../../fuzz/corpus.rs"]
mod corpus;

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_and_its_mutations_break_nothing() {
        super::corpus::run(super::TARGETS);
    }
}
