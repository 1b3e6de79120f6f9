//! The catalogue of faults: each has a test that shows its effect. `docs/faults.md` is made from `docs/faults.toml`.

mod markdown;
mod named_tests;

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::files;

const TABLE: &str = "docs/faults.toml";
const PAGE: &str = "docs/faults.md";

/// The kinds of faults: the letter of their ids, their heading, and their number.
const KINDS: &[(char, &str, usize)] = &[
    ('C', "Clients", 22),
    ('N', "The network", 18),
    ('S', "Servers", 36),
    ('K', "Clocks", 6),
    ('A', "Use and runtime", 25),
    ('X', "Security", 20),
    ('R', "Resources", 12),
    ('P', "PostgreSQL", 16),
];

#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fault {
    fault: String,
    /// The reaction of Leasehold.
    answer: String,
    /// The world of the strongest of its tests.
    kind: Kind,
    /// Paths of tests, the strongest first.
    tests: Vec<String>,
    /// The client that fails in the same run.
    control: String,
    /// Tests that hold the control, if it is not in the first test.
    #[serde(default)]
    controls: Vec<String>,
}

/// The world of a test.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Server,
    Simulation,
    Unit,
}

/// The faults by their ids, such as `C1`.
type Faults = BTreeMap<String, Fault>;

/// `cargo xtask faults [--write]`.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    crate::compare_or_write(args, "faults", findings, || {
        let faults = read()?;
        crate::verdict(&wrong(&faults))?;
        files::write(PAGE, &markdown::write(&faults))
    })
}

/// The errors in the table, and whether the page is the one made from it.
pub(crate) fn findings() -> Vec<String> {
    let faults = match read() {
        Ok(faults) => faults,
        Err(message) => return vec![message],
    };
    let mut found = wrong(&faults);
    if files::read(PAGE).unwrap_or_default() != markdown::write(&faults) {
        found.push(format!("{PAGE} is not what {TABLE} says: run `cargo xtask faults --write`"));
    }
    found
}

fn read() -> Result<Faults, String> {
    toml::from_str(&files::read(TABLE)?).map_err(|error| format!("{TABLE}: {error}"))
}

fn wrong(faults: &Faults) -> Vec<String> {
    let sources = files::files(&[".rs"]);
    let mut found = misnumbered(faults);
    for (id, fault) in faults {
        if fault.tests.is_empty() {
            found.push(format!("{TABLE}: {id} has no test"));
        }
        let named = fault.tests.iter().chain(&fault.controls);
        let missing = named.filter(|test| !named_tests::exists(test, &sources));
        found.extend(missing.map(|test| format!("{TABLE}: {id}: there is no test `{test}`")));
    }
    found
}

fn ids() -> impl Iterator<Item = String> {
    KINDS.iter().flat_map(|(letter, _, count)| (1..=*count).map(move |at| format!("{letter}{at}")))
}

fn misnumbered(faults: &Faults) -> Vec<String> {
    let missing = ids().filter(|id| !faults.contains_key(id)).map(|id| format!("{TABLE}: {id} is missing"));
    let unknown = faults.keys().filter(|id| ids().all(|known| known != **id));
    let unknown = unknown.map(|id| format!("{TABLE}: there is no fault {id} in the catalogue"));
    missing.chain(unknown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const TEXT: &str = "# a comment\n[C1]\nfault = \"a pause\"\nanswer = \"loss\"\nkind = \"server\"\n\
        tests = [\n  \"a::b\",\n  \"c::d\",\n]\ncontrol = \"sleeps on\"\ncontrols = [\"e::f\"]\n";

    #[test]
    fn a_fault_is_read_and_what_is_not_understood_or_missing_is_named() {
        let faults: Faults = toml::from_str(TEXT).unwrap();
        assert_eq!((faults["C1"].kind, faults["C1"].tests.len()), (Kind::Server, 2));
        for (text, named) in [
            (TEXT.replace("control = ", "contrl = "), "contrl"),
            (TEXT.replace("\"server\"", "\"hope\""), "hope"),
            (TEXT.replace("control = \"sleeps on\"\n", ""), "control"),
        ] {
            let error = toml::from_str::<Faults>(&text).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn a_fault_that_is_missing_or_unknown_is_named() {
        let fault = toml::from_str::<Faults>(TEXT).unwrap()["C1"].clone();
        let mut all: Faults = ids().map(|id| (id, fault.clone())).collect();
        assert_eq!(misnumbered(&all), Vec::<String>::new());
        all.remove("C1");
        assert_eq!(misnumbered(&all), ["docs/faults.toml: C1 is missing"]);
        all.extend([("C1".into(), fault.clone()), ("C99".into(), fault)]);
        assert_eq!(misnumbered(&all), ["docs/faults.toml: there is no fault C99 in the catalogue"]);
    }
}
