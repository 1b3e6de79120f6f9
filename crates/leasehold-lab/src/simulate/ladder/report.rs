//! What is printed: a table, and which rungs proved nothing.

use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};

use super::case::{Expectation, Outcome};

const WIDTH: u16 = 118;
const FOOTNOTE: &str = "\
Where the master itself has forgotten the grant, no lease keeps the second holder out. Leasehold tells the first one at
its next renewal, and the resource refuses what comes late.
";

/// The table, for people.
pub(crate) fn text(outcomes: &[Outcome]) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table.set_header(["", "client", "failure injected", "what happened", "told", ""]);
    for outcome in outcomes {
        table.add_row([
            &outcome.rung.to_string(),
            outcome.client,
            outcome.failure,
            &outcome.happened,
            &outcome.told,
            verdict(outcome),
        ]);
    }
    let forgotten = outcomes.iter().any(|outcome| outcome.expected == Expectation::Forgotten);
    format!("{table}\n{}", if forgotten { FOOTNOTE } else { "" })
}

fn verdict(outcome: &Outcome) -> &'static str {
    match (outcome.is_naive(), outcome.proves) {
        (true, true) => "✗ fails",
        (false, true) => "✓ holds",
        (true, false) => "? proves nothing",
        (false, false) => "✗ wrong",
    }
}

/// What did not come out as described.
pub(crate) fn failures(outcomes: &[Outcome]) -> Vec<String> {
    let failed = outcomes.iter().filter(|outcome| !outcome.proves);
    let sentence = |outcome: &Outcome| {
        let (rung, failure, happened) = (outcome.rung, outcome.failure, &outcome.happened);
        let attempts = outcome.counts.refused_attempts;
        let what = if outcome.is_naive() {
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
    use super::{super::picture::sample, *};

    #[test]
    fn a_table_has_a_row_for_each_case_and_only_failures_are_named() {
        let mut outcomes = vec![sample::two_holders(), sample::refused()];
        let text = text(&outcomes);
        for word in ["+ compare-and-delete in Lua", "✗ fails", "✓ holds", "2 holders at once for 40 ms"] {
            // A cell may be wrapped.
            let first = word.split(' ').next_back().unwrap();
            assert!(text.contains(first), "{first} in {text}");
        }
        assert_eq!(failures(&outcomes), Vec::<String>::new());
        outcomes.iter_mut().for_each(|outcome| outcome.proves = false);
        let failures = failures(&outcomes);
        assert!(failures[0].starts_with("rung 5 (work outlives the lease) proved nothing"), "{failures:?}");
        assert!(failures[1].starts_with("rung 8 (the connection is cut) did not hold"), "{failures:?}");
    }
}
