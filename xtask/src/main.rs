//! The project's own tasks, run as `cargo xtask TASK`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

mod api;
mod bench;
mod check;
mod faults;
mod files;
mod mutations;
mod package;
mod packages;
mod soak;
mod test;
mod tidy;

use std::process::ExitCode;

/// A task: its name, its function and its description.
type Task = (&'static str, fn(&[String]) -> Result<(), String>, &'static str);

/// The tasks; documents are checked against this list.
pub(crate) const TASKS: &[Task] = &[
    (
        "test",
        test::run,
        "install what the tests need, run them all, and end with one line of counts; `test quick` runs those of the inner loop",
    ),
    (
        "package",
        package::run,
        "pack the crates, build the program from them, and install and run the Debian package and the image",
    ),
    (
        "torture",
        soak::torture,
        "real processes and servers under faults; --store, --seconds, --seed, --workers, --json, --keep",
    ),
    (
        "soak",
        soak::run,
        "a million seeds of the simulation and half an hour of torture; --seeds and --seconds shorten it",
    ),
    ("check", check::run, "formatting, lints, the rules of the tree and the public API"),
    (
        "api",
        api::run,
        "compare the public API with docs/api, and refuse warnings of rustdoc; with --write, write the lists",
    ),
    (
        "bench",
        bench::run,
        "make the tables of docs/benchmarks.md, a quarter of an hour on a machine that does nothing else; or those that are named",
    ),
    ("wire", tidy::wire::run, "compare the statements with WIRE.md; with --write, update their hashes there"),
    (
        "faults",
        faults::run,
        "compare docs/faults.toml with the tests and with docs/faults.md; with --write, write the page",
    ),
    (
        "mutations",
        mutations::run,
        "switch each mechanism of xtask/mutations.toml off in a copy and see its test fail; or those that are named",
    ),
];

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let outcome = match TASKS.iter().find(|(task, ..)| *task == name) {
        Some((_, run, _)) => run(&rest),
        None => Err(usage(&name)),
    };
    let Err(message) = outcome else { return ExitCode::SUCCESS };
    if !message.is_empty() {
        eprintln!("{message}");
    }
    ExitCode::FAILURE
}

/// The result of a check that found this.
pub(crate) fn verdict(findings: &[String]) -> Result<(), String> {
    if findings.is_empty() { Ok(()) } else { Err(findings.join("\n")) }
}

/// Compares something that is checked in, or with `--write` writes it; all that is wrong is the error.
pub(crate) fn compare_or_write(
    args: &[String],
    task: &str,
    findings: impl FnOnce() -> Vec<String>,
    write: impl FnOnce() -> Result<(), String>,
) -> Result<(), String> {
    match args {
        [] => verdict(&findings()),
        [word] if word == "--write" => write(),
        _ => Err(format!("usage: cargo xtask {task} [--write]")),
    }
}

fn usage(task: &str) -> String {
    let mut text = String::new();
    if !matches!(task, "" | "help" | "--help" | "-h") {
        text.push_str(&format!("there is no task `{task}`\n"));
    }
    text.push_str("usage: cargo xtask TASK [ARGUMENTS]\n");
    for (name, _, description) in TASKS {
        text.push_str(&format!("\n  {name:<14} {description}"));
    }
    text
}
