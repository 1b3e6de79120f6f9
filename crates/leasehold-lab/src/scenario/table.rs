//! All scenarios, each by its differences from the calm one.

use super::{
    Scenario,
    plans::{self, ms},
};
use crate::{faults::Kind, model::Strategy};

const CALM: Scenario = Scenario::CALM;

/// A claim may have to wait for the end of a fault: nothing is promised about the wait.
const FAULTY: Scenario = Scenario { wait_bound: None, ..CALM };

/// Leases of ten seconds, so that a hold that is left behind delays the others longer than anything else.
const LONG_LEASE: Scenario = Scenario { ttl: ms(10_000), wait_bound: Some(ms(7000)), ..CALM };

/// Three servers that vote.
const QUORUM: Scenario = Scenario { nodes: 3, long_percent: 15, control: Some(Strategy::Redlock), ..FAULTY };

/// All scenarios.
pub static ALL: [Scenario; 27] = [
    CALM,
    Scenario {
        name: "delay",
        about: "every message takes up to 200 ms more",
        long_percent: 15,
        control: Some(Strategy::BareDelete),
        faults: plans::delay,
        ..FAULTY
    },
    Scenario {
        name: "loss",
        about: "up to 40 of 100 messages are lost",
        long_percent: 15,
        control: Some(Strategy::BareDelete),
        faults: plans::loss,
        ..FAULTY
    },
    Scenario {
        name: "disorder",
        about: "messages come twice and overtake each other",
        long_percent: 15,
        control: Some(Strategy::BareDelete),
        faults: plans::disorder,
        ..FAULTY
    },
    Scenario {
        name: "one-way-cut",
        about: "requests or replies of one client are lost for a while",
        control: Some(Strategy::BareDelete),
        long_percent: 30,
        faults: plans::one_way_cut,
        ..FAULTY
    },
    Scenario {
        name: "partition",
        about: "clients are cut off while they hold, for longer than the lease, and replies are slow",
        long_percent: 60,
        control: Some(Strategy::OwnerChecked),
        faults: plans::partition,
        ..FAULTY
    },
    Scenario {
        name: "pause",
        about: "clients stand still, also between reading and writing, for longer than the lease",
        control: Some(Strategy::OwnerChecked),
        faults: plans::pause,
        ..FAULTY
    },
    Scenario {
        name: "pause-asking",
        about: "clients stand still while the answer to their claim is under way",
        control: Some(Strategy::OwnerChecked),
        faults: |it| it.on_clients(Kind::PauseAsking, (90, 250)),
        ..FAULTY
    },
    Scenario {
        name: "suspend",
        about: "the machines of clients sleep while they hold",
        long_percent: 50,
        control: Some(Strategy::Watchdog),
        faults: plans::suspend,
        ..FAULTY
    },
    Scenario {
        name: "crash",
        about: "clients are killed and started again",
        control: Some(Strategy::BareDelete),
        long_percent: 20,
        faults: |it| it.on_clients(Kind::Crash, (1, 150)),
        ..FAULTY
    },
    Scenario {
        name: "server-restart",
        about: "the server is killed and started again with what it had",
        long_percent: 20,
        control: Some(Strategy::OwnerChecked),
        faults: |it| it.on_nodes(Kind::Crash, (1, 150)),
        ..FAULTY
    },
    Scenario {
        name: "server-forgets",
        about: "the server is killed and started again with nothing: two may hold, and the resource stays exact",
        long_percent: 20,
        memory: false,
        control: Some(Strategy::Watchdog),
        faults: |it| it.on_nodes(Kind::Forget, (1, 40)),
        ..FAULTY
    },
    Scenario {
        name: "server-clock-jumps",
        about: "the server's clock is moved by up to 90 s, both ways: two may hold, and the resource stays exact",
        // A hold may last for as long as the clock was set back.
        wait: ms(1000),
        clocks: false,
        long_percent: 20,
        control: Some(Strategy::Watchdog),
        faults: plans::jump,
        ..FAULTY
    },
    Scenario {
        name: "clock-rate",
        about: "a clock runs up to three times too fast or too slow: two may hold, and the resource stays exact",
        long_percent: 60,
        clocks: false,
        control: Some(Strategy::OwnerChecked),
        faults: plans::rate,
        ..FAULTY
    },
    Scenario {
        name: "clock-drift",
        about: "the server's clock runs up to 1 % too fast, and holders are cut off to the end of their leases",
        clients: 2,
        rounds: 2,
        ttl: ms(10_000),
        long: (ms(12_000), ms(18_000)),
        long_percent: 80,
        wait: ms(60_000),
        control: Some(Strategy::OwnerChecked),
        faults: plans::drift,
        ..FAULTY
    },
    Scenario {
        name: "lost-replies",
        about: "answers are lost for moments: nobody waits for a lease that nobody has",
        control: Some(Strategy::OwnerChecked),
        faults: plans::lost_replies,
        ..LONG_LEASE
    },
    Scenario {
        name: "given-up",
        about: "claims are dropped in the middle while messages overtake each other: none is left behind",
        gives_up: true,
        control: Some(Strategy::OwnerChecked),
        rounds: 8,
        faults: plans::overtaken,
        ..LONG_LEASE
    },
    Scenario {
        name: "late-renewal",
        about: "locks are given back while their renewal is under way and overtaken: none is left behind",
        // It finds the lock free, or held by no client.
        clients: 1,
        work: (ms(3250), ms(3450)),
        faults: plans::overtaken,
        ..LONG_LEASE
    },
    Scenario {
        name: "quorum-calm",
        about: "three servers vote, and nothing goes wrong",
        control: None,
        long_percent: 0,
        ..QUORUM
    },
    Scenario {
        name: "quorum-minority-hangs",
        about: "one of three servers stands still",
        faults: |it| plans::minority(it, Kind::Pause),
        ..QUORUM
    },
    Scenario {
        name: "quorum-5-minority-dies",
        about: "two of five servers are killed, and come back with what they had",
        nodes: 5,
        faults: |it| plans::minority(it, Kind::Crash),
        ..QUORUM
    },
    Scenario {
        name: "quorum-forgets-in-turn",
        about: "three servers forget everything one after the other, and clients reach different majorities",
        long_percent: 50,
        faults: plans::forget_in_turn,
        ..QUORUM
    },
    Scenario {
        name: "quorum-calendars-apart",
        about: "the calendars of three servers are far apart, and clients reach different majorities",
        rounds: 6,
        faults: plans::calendars_apart,
        ..QUORUM
    },
    Scenario {
        name: "quorum-pause",
        about: "clients of three servers stand still for longer than the lease, and reach different majorities",
        faults: plans::quorum_pause,
        ..QUORUM
    },
    Scenario {
        name: "quorum-late",
        about: "messages to three servers arrive after nobody waits for them any more, and servers stand still",
        rounds: 8,
        faults: plans::quorum_late,
        ..QUORUM
    },
    Scenario {
        name: "storm",
        about: "pauses, crashes, sleep, cuts, loss, disorder and a server that hangs, all in one long run",
        clients: 4,
        rounds: 12,
        long_percent: 10,
        control: Some(Strategy::Watchdog),
        faults: plans::storm,
        ..FAULTY
    },
    Scenario {
        name: "quorum-storm",
        about: "the same with three servers that vote",
        rounds: 8,
        long_percent: 10,
        faults: plans::storm,
        ..QUORUM
    },
];
