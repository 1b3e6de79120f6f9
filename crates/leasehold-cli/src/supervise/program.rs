//! The program file of a command.

use std::{
    env,
    ffi::OsStr,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::PathBuf,
};

use anyhow::Result;
use rustix::process::geteuid;

use crate::exit::CliError;

const SET_USER_ID: u32 = 0o4000;

/// The file that `exec` would run.
pub(crate) fn find(program: &OsStr) -> Option<PathBuf> {
    let is_program =
        |path: &PathBuf| path.metadata().is_ok_and(|data| data.is_file() && data.mode() & 0o111 != 0);
    if program.as_bytes().contains(&b'/') {
        return Some(PathBuf::from(program)).filter(is_program);
    }
    env::split_paths(&env::var_os("PATH")?).map(|directory| directory.join(program)).find(is_program)
}

/// Refuses a program that runs as another user, such as `sudo`: this process may not signal it.
pub(crate) fn check_killable(program: &OsStr) -> Result<()> {
    let data = find(program).and_then(|path| path.metadata().ok());
    let owner = data.filter(|data| data.mode() & SET_USER_ID != 0).map(|data| data.uid());
    match owner {
        Some(owner) if !geteuid().is_root() && owner != geteuid().as_raw() => {
            let program = program.to_string_lossy();
            let message =
                format!("`{program}` runs as another user: it could not be killed when its lease ends");
            let hint =
                "run leasehold as that user (`sudo leasehold run …`), or accept it with --on-lost ignore";
            Err(CliError::usage(message, hint))
        }
        _ => Ok(()),
    }
}
