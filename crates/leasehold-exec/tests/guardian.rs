//! The start of a command that a guardian ends.

use std::{
    io::{Read, pipe},
    process::Command,
};

use leasehold_exec::{Tie, spawn};

/// There is no moment in which the pipe has ended, and the guardian does not know the command.
#[test]
fn a_guardian_is_told_the_command_before_its_program_runs() {
    let (mut reader, writer) = pipe().unwrap();
    let mut command = Command::new("sleep");
    command.arg("1000");
    let mut child = spawn(&mut command, None, Tie::Guardian(writer.into(), 7)).unwrap();
    // The last other writer.
    drop(command);
    let mut told = Vec::new();
    reader.read_to_end(&mut told).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(told, [u64::from(child.id()).to_le_bytes(), 7u64.to_le_bytes()].concat());
}
