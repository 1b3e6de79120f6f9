//! The reference store, on the machine's clock and in three virtual worlds.

use std::{process::ExitCode, sync::Arc, time::Duration};

use leasehold_conformance::Fixture;
use leasehold_core::{Env, Store, memory::Memory};

fn main() -> ExitCode {
    let env = Env::system().expect("this machine can start a thread");
    let memory = Memory::new(env.clone());
    let machine = Fixture::new(env, move || {
        let client: Arc<dyn Store> = Arc::new(memory.client());
        async move { Ok(client) }
    });
    leasehold_conformance::main(vec![
        ("machine", machine),
        ("seed_1", simulated(1)),
        ("seed_2", simulated(2)),
        ("seed_3", simulated(3)),
    ])
}

fn simulated(seed: u64) -> Fixture {
    let fixture = Fixture::simulated(seed, |env| {
        let memory = Memory::new(env);
        move || Ok(Arc::new(memory.client()) as Arc<dyn Store>)
    });
    fixture.slack(Duration::from_millis(20))
}
