//! The page made from the table.

use std::fmt::Write;

use super::{Fault, Faults, KINDS, Kind, TABLE};

pub(super) fn write(faults: &Faults) -> String {
    let count = |kind: Kind| faults.values().filter(|fault| fault.kind == kind).count();
    let mut page = format!(
        "# What goes wrong, and what shows that it does no harm\n\n\
        <!-- made of {TABLE} by `cargo xtask faults --write` -->\n\n\
        {} faults of distributed locks. Each has a test, run by `cargo xtask test`, that injects it and looks at what \
        becomes of the lock: {} on real servers and processes, {} in simulation, {} on one part alone. A test proves \
        something only where a careless client fails, so each row says what fails beside it: the *control*. \
        `cargo xtask check` fails when a fault or a test named here is missing.\n\n\
        A path is `crate::target::module::test`. `leasehold-conformance::…` is a case of the suite, and is run against \
        every store.\n",
        faults.len(),
        count(Kind::Server),
        count(Kind::Simulation),
        count(Kind::Unit),
    );
    for (letter, title, number) in KINDS {
        let head = "| | fault | what Leasehold does | shown by | the control |\n|---|---|---|---|---|";
        // Writing into a string does not fail.
        let _ = write!(page, "\n## {title}\n\n{head}\n");
        let ids = (1..=*number).map(|at| format!("{letter}{at}"));
        ids.filter_map(|id| faults.get_key_value(&id)).for_each(|(id, fault)| page.push_str(&row(id, fault)));
    }
    page
}

fn row(id: &str, fault: &Fault) -> String {
    let names =
        |tests: &[String]| tests.iter().map(|test| format!("`{test}`")).collect::<Vec<_>>().join(", ");
    let control = match fault.controls.as_slice() {
        [] => fault.control.clone(),
        tests => format!("{}: {}", fault.control, names(tests)),
    };
    let kind = match fault.kind {
        Kind::Server => "server",
        Kind::Simulation => "simulation",
        Kind::Unit => "unit",
    };
    format!("| {id} | {} | {} | {kind}: {} | {control} |\n", fault.fault, fault.answer, names(&fault.tests))
}

#[cfg(test)]
mod tests {
    use super::{super::tests::TEXT, *};

    #[test]
    fn every_fault_is_a_row_under_its_kind() {
        let faults: Faults = toml::from_str(&[TEXT, &TEXT.replace("C1", "K1")].concat()).unwrap();
        let page = write(&faults);
        assert!(page.contains(
            "| C1 | a pause | loss | server: `a::b`, `c::d` | sleeps on: `e::f` |\n\n## The network"
        ));
        assert!(page.find("## Clocks").unwrap() < page.find("| K1 |").unwrap());
    }
}
