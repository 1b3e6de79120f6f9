//! What fuzz targets call: whatever bytes, and what has to be true of what is made of them. Built for tests and for
//! fuzzers alone.

use leasehold_core::LockName;

use crate::{
    format,
    keys::{Keys, Owner},
    percent,
    reply::{Parser, Want},
};

/// The name of a corpus in `fuzz/corpus`, and what takes its bytes.
pub type Target = (&'static str, fn(&[u8]));

/// The targets of this crate.
pub const TARGETS: &[Target] =
    &[("memcached_reply", reply), ("memcached_document", document), ("memcached_key", key)];

/// Answers read in one piece are those read byte by byte, up to where they stop making sense.
fn reply(bytes: &[u8]) {
    for want in [Want::Storage, Want::Meta(7), Want::Stats] {
        let whole_seconds = replies(bytes.chunks(bytes.len().max(1)), want);
        assert_eq!(whole_seconds, replies(bytes.chunks(1), want));
    }
}

fn replies<'b>(pieces: impl Iterator<Item = &'b [u8]>, want: Want) -> Vec<String> {
    let mut parser = Parser::default();
    let mut read = Vec::new();
    for piece in pieces {
        parser.buffer().extend_from_slice(piece);
        loop {
            match parser.next(want) {
                Ok(Some(reply)) => read.push(format!("{reply:?}")),
                Ok(None) => break,
                // A line that is too long is seen when it is: what was read before stands.
                Err(_) => return read,
            }
        }
    }
    read
}

/// What was read is written as what reads the same.
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

/// Two names have two keys, none can end a command, and a key that is not a digest leads back to its name.
fn key(bytes: &[u8]) {
    let _ = percent::unescape_text(bytes);
    let text = String::from_utf8_lossy(bytes);
    let _ = Keys::owner(&text);
    let (one, two) = text.split_once('\n').unwrap_or((&text, "other"));
    let names = [one, two].map(LockName::new);
    let [Ok(one), Ok(two)] = names else { return };
    let keys = [&one, &two].map(Keys::of);
    assert_eq!(one == two, keys[0].lock == keys[1].lock);
    assert_eq!(one == two, keys[0].offset == keys[1].offset);
    for (name, keys) in [one, two].into_iter().zip(keys) {
        assert!(keys.lock.len() <= 250 && keys.lock.bytes().all(|byte| (0x21..=0x7e).contains(&byte)));
        let owner = Keys::owner(&keys.lock);
        assert!(owner == Owner::Lock(name) || owner == Owner::Hashed);
    }
}

#[cfg(test)]
#[path = "../../../fuzz/corpus.rs"]
mod corpus;

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_and_its_mutations_break_nothing() {
        super::corpus::run(super::TARGETS);
    }
}
