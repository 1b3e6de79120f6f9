//! The rules of the tree. Each is a function that answers what breaks it; the tests here run them all.

mod budget;
mod documents;
mod habits;
mod layers;
pub(crate) mod wire;

use crate::faults;

/// Everything that breaks a rule, one line each.
pub(crate) fn all() -> Vec<String> {
    let rules = [
        layers::findings,
        wire::findings,
        budget::findings,
        habits::findings,
        documents::findings,
        faults::findings,
    ];
    rules.iter().flat_map(|rule| rule()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn nothing(findings: &[String]) {
        assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
    }

    #[test]
    fn crates_import_only_what_their_layer_may() {
        nothing(&layers::findings());
    }

    #[test]
    fn statements_and_wire_md_change_together() {
        nothing(&wire::findings());
    }

    #[test]
    fn files_and_functions_keep_their_budgets() {
        nothing(&budget::findings());
    }

    #[test]
    fn nothing_is_left_half_done() {
        nothing(&habits::findings());
    }

    #[test]
    fn every_fault_of_the_catalogue_has_its_test() {
        nothing(&faults::findings());
    }

    #[test]
    fn links_and_commands_in_documents_exist() {
        nothing(&documents::findings());
    }
}
