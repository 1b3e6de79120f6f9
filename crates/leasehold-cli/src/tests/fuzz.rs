//! Fuzz targets: properties of parsers for arbitrary bytes. Built only for tests and fuzzers.

use crate::duration::{millis, parse, parse_positive, show};

/// The name of a corpus in `fuzz/corpus`, and the function that takes its bytes.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// The targets of this crate.
pub(crate) const TARGETS: &[Target] = &[("cli_duration", duration)];

/// A valid duration can be shown, counted, and read again as it was shown.
fn duration(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (any, positive) = (parse(&text), parse_positive(&text));
    let Ok(any) = any else { return assert!(positive.is_err()) };
    assert_eq!(positive.is_ok(), !any.is_zero());
    assert!(u128::from(millis(any)) == any.as_millis());
    let shown = parse(&show(any)).expect("what is shown can be read");
    assert!(shown <= any, "it is not shown longer than it is");
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
