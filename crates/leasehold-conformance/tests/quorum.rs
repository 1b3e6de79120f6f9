//! Stores that vote, in this process's memory: on the machine's clock, in virtual worlds, and with members that fail.

use std::{process::ExitCode, sync::Arc, time::Duration};

use leasehold_conformance::Fixture;
use leasehold_core::{
    Env, Quorum, QuorumOptions, Result, Store,
    layer::{Chaos, Fault},
    memory::Memory,
};

fn main() -> ExitCode {
    let env = Env::system().expect("this machine can start a thread");
    leasehold_conformance::main(vec![
        ("machine_3", machine(env.clone(), 3)),
        ("machine_5", machine(env, 5)),
        ("seed_1_of_3", simulated(1, 3, |_| None)),
        ("seed_2_of_5", simulated(2, 5, |_| None)),
        ("one_hangs", simulated(3, 3, |member| (member == 1).then_some(Fault::Hang))),
        ("two_hang", simulated(4, 5, |member| (member < 2).then_some(Fault::Hang))),
        ("one_is_down", simulated(5, 3, |member| (member == 2).then_some(Fault::LoseRequest))),
        ("one_is_mute", simulated(6, 3, |member| (member == 0).then_some(Fault::LoseReply))),
    ])
}

fn quorum(members: Vec<Arc<dyn Store>>, env: Env) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(Quorum::new(members, QuorumOptions::default(), env)?))
}

fn machine(env: Env, members: usize) -> Fixture {
    let servers: Vec<Memory> = (0..members).map(|_| Memory::new(env.clone())).collect();
    Fixture::new(env.clone(), move || {
        let clients = servers.iter().map(|server| Arc::new(server.client()) as Arc<dyn Store>);
        let client = quorum(clients.collect(), env.clone());
        async move { client }
    })
}

fn simulated(seed: u64, members: usize, fault: fn(usize) -> Option<Fault>) -> Fixture {
    let fixture = Fixture::simulated(seed, move |env| {
        let servers: Vec<Memory> = (0..members).map(|_| Memory::new(env.clone())).collect();
        move || {
            let client = |(at, server): (usize, &Memory)| -> Arc<dyn Store> {
                let client = Arc::new(server.client());
                match fault(at) {
                    Some(fault) => Arc::new(Chaos::new(client, env.clone(), move |_, _| fault)),
                    None => client,
                }
            };
            quorum(servers.iter().enumerate().map(client).collect(), env.clone())
        }
    });
    fixture.slack(Duration::from_secs(1))
}
