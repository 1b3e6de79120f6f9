//! The table of the results, and the experiments that proved nothing.

use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};

use super::result::{Expectation, ExperimentResult};

const WIDTH: u16 = 118;
const FOOTNOTE: &str = "\
Where the master itself has forgotten the grant, no lease keeps the second holder out. Leasehold tells the first one at
its next renewal, and the resource refuses what comes late.
";

pub(crate) fn text(results: &[ExperimentResult]) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table.set_header(["", "client", "failure injected", "what happened", "told", ""]);
    for result in results {
        table.add_row([
            &result.rung.to_string(),
            result.client,
            result.failure,
            &result.happened,
            &result.told,
            verdict(result),
        ]);
    }
    let forgotten = results.iter().any(|result| result.expected == Expectation::Forgotten);
    format!("{table}\n{}", if forgotten { FOOTNOTE } else { "" })
}

fn verdict(result: &ExperimentResult) -> &'static str {
    match (result.expected.is_failure(), result.proves) {
        (true, true) => "✗ fails",
        (false, true) => "✓ holds",
        (true, false) => "? proves nothing",
        (false, false) => "✗ wrong",
    }
}

/// The experiments that did not meet their expectation.
pub(crate) fn failures(results: &[ExperimentResult]) -> Vec<String> {
    let failed = results.iter().filter(|result| !result.proves);
    let sentence = |result: &ExperimentResult| {
        let (rung, failure, happened) = (result.rung, result.failure, &result.happened);
        let attempts = result.counts.refused_attempts;
        let what = if result.expected.is_failure() {
            "proved nothing: it did not fail as described. Is the machine very busy? Run it again"
        } else {
            "did not hold. That must not be: please report it with --json and --svg"
        };
        format!("rung {rung} ({failure}) {what}. What happened: {happened}; {attempts} attempts refused")
    };
    failed.map(sentence).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::tests as results, *};

    #[test]
    fn a_table_has_a_row_for_each_case_and_only_failures_are_named() {
        let mut results = vec![results::two_holders(), results::refused()];
        let text = text(&results);
        for word in ["+ compare-and-delete in Lua", "✗ fails", "✓ holds", "2 holders at once for 40 ms"] {
            // A cell may be wrapped.
            let first = word.split(' ').next_back().unwrap();
            assert!(text.contains(first), "{first} in {text}");
        }
        assert_eq!(failures(&results), Vec::<String>::new());
        results.iter_mut().for_each(|result| result.proves = false);
        let failures = failures(&results);
        assert!(failures[0].starts_with("rung 5 (work outlives the lease) proved nothing"), "{failures:?}");
        assert!(failures[1].starts_with("rung 8 (the connection is cut) did not hold"), "{failures:?}");
    }
}
