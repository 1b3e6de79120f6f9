//! A fuzz target: the one that the program is called.
#![no_main]

#[path = "../crates/leasehold-cli/src/tests/fuzz.rs"]
mod cli;
#[allow(dead_code)]
#[path = "../crates/leasehold-cli/src/duration.rs"]
mod duration;

const ALL: &[&[cli::Target]] = &[
    cli::TARGETS,
    leasehold::fuzz::TARGETS,
    leasehold_core::fuzz::TARGETS,
    leasehold_etcd::fuzz::TARGETS,
    leasehold_memcached::fuzz::TARGETS,
    leasehold_redis::fuzz::TARGETS,
    leasehold_lab::fuzz::TARGETS,
    leasehold_sqlite::fuzz::TARGETS,
    leasehold_zookeeper::fuzz::TARGETS,
];

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let name = env!("CARGO_BIN_NAME");
    let (_, target) =
        ALL.iter().copied().flatten().find(|(known, _)| *known == name).expect("a target of this name");
    target(bytes);
});
