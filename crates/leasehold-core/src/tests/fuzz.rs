//! Entry points of the fuzz targets: any bytes, and the invariants of their results. Built for tests and fuzzers only.

mod watchdog;

use crate::{ClaimId, FencingToken, LockName, Sequencer, Ticket};

/// The name of a corpus in `fuzz/corpus`, and what takes its bytes.
pub type Target = (&'static str, fn(&[u8]));

/// The targets of this crate.
pub const TARGETS: &[Target] = &[("core_text", text), ("core_watchdog", watchdog::run)];

/// Whatever is not refused is written as what reads the same; what is shown forges no line.
fn text(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(name) = LockName::new(&text) {
        assert_eq!(name.as_str(), text);
        assert!(!name.to_string().contains(char::is_control));
    }
    for line in text.lines() {
        same(line.parse::<Sequencer>());
        same(line.parse::<Ticket>());
        same(line.parse::<ClaimId>());
        same(line.parse::<FencingToken>());
    }
}

fn same<T>(read: crate::Result<T>)
where
    T: std::str::FromStr<Err = crate::Error> + std::fmt::Display + PartialEq + std::fmt::Debug,
{
    match read {
        Ok(read) => {
            let written = read.to_string();
            assert!(written.bytes().all(|byte| byte.is_ascii_graphic()), "{written}");
            assert_eq!(written.parse::<T>().ok(), Some(read));
        }
        Err(error) => assert!(!error.to_string().contains(char::is_control), "{error}"),
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
