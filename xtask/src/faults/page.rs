//! The page that people read.

use std::fmt::Write;

use super::{KINDS, TABLE, table::Fault};

/// The whole page.
pub(super) fn write(faults: &[Fault]) -> String {
    let count = |kind: &str| faults.iter().filter(|fault| fault.kind == kind).count();
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
        count("server"),
        count("simulation"),
        count("unit"),
    );
    for (letter, title, _) in KINDS {
        let rows = faults.iter().filter(|fault| fault.id.starts_with(*letter));
        let head = "| | fault | what Leasehold does | shown by | the control |\n|---|---|---|---|---|";
        // Writing into a string does not fail.
        let _ = write!(page, "\n## {title}\n\n{head}\n");
        rows.for_each(|fault| page.push_str(&row(fault)));
    }
    page
}

fn row(fault: &Fault) -> String {
    let names =
        |tests: &[String]| tests.iter().map(|test| format!("`{test}`")).collect::<Vec<_>>().join(", ");
    let control = match fault.controls.as_slice() {
        [] => fault.control.clone(),
        tests => format!("{}: {}", fault.control, names(tests)),
    };
    let (id, kind) = (&fault.id, &fault.kind);
    format!("| {id} | {} | {} | {kind}: {} | {control} |\n", fault.fault, fault.answer, names(&fault.tests))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_a_row_under_its_kind() {
        let fault = |id: &str| Fault {
            id: id.into(),
            fault: "a pause".into(),
            answer: "loss".into(),
            kind: "unit".into(),
            tests: vec!["a::b".into(), "c::d".into()],
            control: "sleeps on".into(),
            controls: vec!["e::f".into()],
        };
        let page = write(&[fault("C1"), fault("K1")]);
        assert!(page.contains(
            "| C1 | a pause | loss | unit: `a::b`, `c::d` | sleeps on: `e::f` |\n\n## The network"
        ));
        assert!(page.find("## Clocks").unwrap() < page.find("| K1 |").unwrap());
    }
}
