//! The rules of the tree. Each is a function that answers its violations; the tests here run them all.

mod circles;
mod documents;
mod forbidden;
mod layers;
mod platform;
pub(crate) mod published;
pub(crate) mod wire;
mod words;

use crate::faults;

/// A rule: answers its violations, one line each.
type Rule = fn() -> Vec<String>;

const RULES: &[(&str, Rule)] = &[
    ("crates import only the layers below", layers::findings),
    ("no three files import each other in a circle", circles::findings),
    ("published crates are described", published::findings),
    ("what only Linux has is in platform modules", platform::findings),
    ("statements and WIRE.md change together", wire::findings),
    ("nothing forbidden is in the tree", forbidden::findings),
    ("names and prose are plain", words::findings),
    ("links and commands in documents exist", documents::findings),
    ("every fault of the catalogue has its test", faults::findings),
];

pub(crate) fn all() -> Vec<String> {
    RULES.iter().flat_map(|(_, rule)| rule()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn is_kept(name: &str) {
        let (_, rule) = RULES.iter().find(|(rule, _)| rule.contains(name)).unwrap();
        let findings = rule();
        assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
    }

    #[test]
    fn crates_import_only_what_their_layer_may() {
        is_kept("layers");
    }

    #[test]
    fn what_only_linux_has_is_in_platform_modules() {
        is_kept("only Linux");
    }

    #[test]
    fn published_crates_are_described() {
        is_kept("published");
    }

    #[test]
    fn no_three_files_import_each_other() {
        is_kept("circle");
    }

    #[test]
    fn statements_and_wire_md_change_together() {
        is_kept("WIRE.md");
    }

    #[test]
    fn nothing_is_left_half_done_and_files_keep_their_budgets() {
        is_kept("forbidden");
    }

    #[test]
    fn names_and_prose_are_plain() {
        is_kept("plain");
    }

    #[test]
    fn every_fault_of_the_catalogue_has_its_test() {
        is_kept("fault");
    }

    #[test]
    fn links_and_commands_in_documents_exist() {
        is_kept("documents");
    }
}
