//! The catalogue of faults: each has a test that shows what becomes of it. `docs/faults.md` is made of `docs/faults.toml`.

mod page;
mod table;
mod tests_named;

use std::fs;

use self::table::Fault;
use crate::tree;

const TABLE: &str = "docs/faults.toml";
const PAGE: &str = "docs/faults.md";

/// The kinds of faults: the letter of their ids, what they are, and how many there are.
const KINDS: &[(char, &str, usize)] = &[
    ('C', "Clients", 14),
    ('N', "The network", 13),
    ('S', "Servers", 19),
    ('K', "Clocks", 6),
    ('A', "Use and runtime", 15),
    ('X', "Security", 9),
    ('R', "Resources", 8),
];

/// `cargo xtask faults [--write]`.
///
/// # Errors
/// What is missing or differs; nothing is written then unless asked for.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    match args {
        [] => {
            let findings = findings();
            if findings.is_empty() { Ok(()) } else { Err(findings.join("\n")) }
        }
        [write] if write == "--write" => {
            let wrong = wrong(&read()?);
            if !wrong.is_empty() {
                return Err(wrong.join("\n"));
            }
            let page = page::write(&read()?);
            fs::write(tree::root().join(PAGE), page).map_err(|error| format!("{PAGE}: {error}"))
        }
        _ => Err("usage: cargo xtask faults [--write]".into()),
    }
}

/// What is wrong with the table, and whether the page is the one that is made of it.
pub(crate) fn findings() -> Vec<String> {
    let faults = match read() {
        Ok(faults) => faults,
        Err(message) => return vec![message],
    };
    let mut found = wrong(&faults);
    let page = fs::read_to_string(tree::root().join(PAGE)).unwrap_or_default();
    if page != page::write(&faults) {
        found.push(format!("{PAGE} is not what {TABLE} says: run `cargo xtask faults --write`"));
    }
    found
}

fn read() -> Result<Vec<Fault>, String> {
    let text = fs::read_to_string(tree::root().join(TABLE)).map_err(|error| format!("{TABLE}: {error}"))?;
    table::read(&text).map_err(|message| format!("{TABLE}: {message}"))
}

fn wrong(faults: &[Fault]) -> Vec<String> {
    let sources = tree::files(&[".rs"]);
    let mut found = misnumbered(faults);
    for fault in faults {
        let named = fault.tests.iter().chain(&fault.controls);
        let missing = named.filter(|test| !tests_named::exists(test, &sources));
        found.extend(missing.map(|test| format!("{TABLE}: {}: there is no test `{test}`", fault.id)));
    }
    found
}

/// The ids are those of the catalogue, each once and in order.
fn misnumbered(faults: &[Fault]) -> Vec<String> {
    let wanted: Vec<String> = KINDS
        .iter()
        .flat_map(|(letter, _, count)| (1..=*count).map(move |at| format!("{letter}{at}")))
        .collect();
    let ids: Vec<&str> = faults.iter().map(|fault| fault.id.as_str()).collect();
    let missing = wanted.iter().filter(|id| !ids.contains(&id.as_str()));
    let mut found: Vec<String> = missing.map(|id| format!("{TABLE}: {id} is missing")).collect();
    let unknown = ids.iter().filter(|id| !wanted.iter().any(|it| it == *id));
    found.extend(unknown.map(|id| format!("{TABLE}: there is no fault {id} in the catalogue")));
    if found.is_empty() && ids != wanted {
        found.push(format!("{TABLE}: the ids are not in order, or one is there twice"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(id: &str) -> Fault {
        Fault { id: id.into(), ..Fault::default() }
    }

    #[test]
    fn a_fault_that_is_missing_or_unknown_is_named() {
        let all: Vec<Fault> = KINDS
            .iter()
            .flat_map(|(letter, _, count)| (1..=*count).map(move |at| fault(&format!("{letter}{at}"))))
            .collect();
        assert_eq!(all.len(), 84);
        assert!(misnumbered(&all).is_empty());
        assert_eq!(misnumbered(&all[1..]), ["docs/faults.toml: C1 is missing"]);
        let more: Vec<Fault> = all.iter().cloned().chain([fault("C15")]).collect();
        assert_eq!(misnumbered(&more), ["docs/faults.toml: there is no fault C15 in the catalogue"]);
        let twice: Vec<Fault> = all.iter().cloned().chain([fault("C1")]).collect();
        assert_eq!(misnumbered(&twice).len(), 1);
    }
}
