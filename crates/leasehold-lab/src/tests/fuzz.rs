//! Fuzz targets: arbitrary bytes, and the properties of their result. Built for tests and fuzzers alone.

use std::time::Duration;

use crate::{
    checker::{self, Assumptions},
    history,
    resource::Fence,
};

/// The name of a corpus in `fuzz/corpus`, and what takes its bytes.
pub type Target = (&'static str, fn(&[u8]));

/// The targets of this crate.
pub const TARGETS: &[Target] = &[("sim_history", history)];

/// A history that was read is written as one that reads the same, and the checker has a verdict on it, whatever it says.
fn history(bytes: &[u8]) {
    let Ok(events) = history::read(bytes) else { return };
    let mut written = Vec::new();
    history::write(&events, &mut written).expect("memory takes it");
    assert_eq!(history::read(&written[..]).expect("what was written can be read"), events);
    for fence in [Fence::None, Fence::OnWrite, Fence::ByClaim] {
        let heal_bound = Duration::from_secs(10);
        let assumptions = Assumptions { clocks: true, memory: true, tokens: true, fence, heal_bound };
        checker::check(&events, &assumptions);
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
