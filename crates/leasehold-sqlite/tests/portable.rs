//! The conformance suite with the twin that other systems than Linux use.

mod suite;

use std::{
    env, fs,
    process::{Command, ExitCode},
    sync::Arc,
};

use leasehold_conformance::Fixture;
use leasehold_core::{Env, Store, memory::Memory};

/// Chooses the twin, for this process and those that the suite starts.
const VARIABLE: &str = "LEASEHOLD_PLATFORM";

fn main() -> ExitCode {
    if env::var_os(VARIABLE).is_some() {
        let env = Env::system().expect("this machine can start a thread");
        assert!(!has_a_timer_of_the_kernel(), "this is not the twin");
        let memory = Memory::new(env.clone());
        let memory = Fixture::new(env, move || {
            let client: Arc<dyn Store> = Arc::new(memory.client());
            async move { Ok(client) }
        });
        return suite::run("portable", vec![("portable_memory", memory)]);
    }
    let program = env::current_exe().expect("a program that runs has a path");
    let status = Command::new(program).args(env::args_os().skip(1)).env(VARIABLE, "portable").status();
    if status.is_ok_and(|status| status.success()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn has_a_timer_of_the_kernel() -> bool {
    let mut descriptors = fs::read_dir("/proc/self/fd").expect("Linux shows descriptors").flatten();
    descriptors
        .any(|entry| fs::read_link(entry.path()).is_ok_and(|file| file.ends_with("anon_inode:[timerfd]")))
}
