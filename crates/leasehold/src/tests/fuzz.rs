//! Fuzz targets: arbitrary bytes, and the properties of the values made from them. Built for tests and fuzzers only.

use crate::url::StoreUrl;

/// The name of a corpus in `fuzz/corpus`, and the function that takes its bytes.
pub type Target = (&'static str, fn(&[u8]));

/// The targets of this crate.
pub const TARGETS: &[Target] = &[("url", url)];

/// A password in the corpus, long enough not to be part of anything else.
const SECRET: &str = "correct-horse-battery-staple";

/// A URL written with its secrets is the same URL, and shown it has none.
fn url(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(url) = StoreUrl::parse(&text) else { return };
    let revealed = url.reveal();
    let again = StoreUrl::parse(&revealed).unwrap_or_else(|error| panic!("{revealed}: {error}"));
    assert_eq!(again, url, "{revealed}");
    let shown = url.to_string();
    assert!(!shown.contains(char::is_control), "{shown}");
    let is_password = revealed.matches(SECRET).count() == revealed.matches(&format!(":{SECRET}@")).count();
    assert!(!is_password || !shown.contains(SECRET), "{shown}");
    assert!(!is_password || !format!("{url:?}").contains(SECRET), "{url:?}");
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
