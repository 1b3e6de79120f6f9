//! The project's own tasks, run as `cargo xtask TASK`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

mod check;
mod faults;
mod files;
mod mutations;
mod packages;
mod soak;
mod test;
mod tidy;

use std::process::ExitCode;

/// The tasks; documents are checked against this list.
pub(crate) const TASKS: &[(&str, &str)] = &[
    (
        "test",
        "install what the tests need, run them all, and end with one line of counts; `test quick` runs those of the inner loop",
    ),
    (
        "torture",
        "real processes and servers under faults; --store, --seconds, --seed, --workers, --json, --keep",
    ),
    (
        "soak",
        "a million seeds of the simulation and half an hour of torture; --seeds and --seconds shorten it",
    ),
    ("check", "formatting, lints and the rules of the tree"),
    ("wire", "compare the statements with WIRE.md; with --write, update their hashes there"),
    (
        "faults",
        "compare docs/faults.toml with the tests and with docs/faults.md; with --write, write the page",
    ),
    (
        "mutations",
        "switch each mechanism of xtask/mutations.toml off in a copy and see its test fail; or those that are named",
    ),
];

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let task = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let outcome = match task.as_str() {
        "test" => test::run(&rest),
        "torture" => soak::torture(&rest),
        "soak" => soak::run(&rest),
        "check" => check::run(),
        "wire" => tidy::wire::run(&rest),
        "faults" => faults::run(&rest),
        "mutations" => mutations::run(&rest),
        _ => Err(usage(&task)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            if !message.is_empty() {
                eprintln!("{message}");
            }
            ExitCode::FAILURE
        }
    }
}

fn usage(task: &str) -> String {
    let mut text = String::new();
    if !matches!(task, "" | "help" | "--help" | "-h") {
        text.push_str(&format!("there is no task `{task}`\n"));
    }
    text.push_str("usage: cargo xtask TASK [ARGUMENTS]\n");
    for (name, description) in TASKS {
        text.push_str(&format!("\n  {name:<14} {description}"));
    }
    text
}
