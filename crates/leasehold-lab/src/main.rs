//! The program of the lab: `cargo lab simulate …`, `leasehold-lab torture …`.

use std::process::ExitCode;

fn main() -> ExitCode {
    leasehold_lab::command::main()
}
