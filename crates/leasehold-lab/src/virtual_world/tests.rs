use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use super::*;
use crate::sync::lock;

const SECOND: Duration = Duration::from_secs(1);

fn sleeper(process: &Process, span: Duration, log: &Arc<Mutex<Vec<(u32, u64)>>>) {
    let (env, number, world, log) = (process.env(), process.number(), process.world().clone(), log.clone());
    process.env().spawn(async move {
        env.sleep(span).await;
        lock(&log).push((number, world.age().as_millis() as u64));
    });
}

#[test]
fn each_process_sleeps_by_its_own_clock_and_a_pause_is_counted() {
    let world = World::new(1);
    let (one, two, three) = (world.process(1, 0), world.process(2, 500), world.process(3, 0));
    let log = Arc::default();
    two.set_rate(2000);
    for process in [&one, &two, &three] {
        sleeper(process, SECOND, &log);
    }
    let paused = three.clone();
    world.at(SECOND / 4, move || paused.pause(SECOND * 2));
    world.run(SECOND * 10, || false);
    assert_eq!(*lock(&log), [(1, 500), (0, 1000), (2, 2250)]);
    assert_eq!(three.env().now().nanos(), world.now_ns());
}

#[test]
fn what_is_killed_runs_nothing_more() {
    let world = World::new(1);
    let process = world.process(1, 0);
    let log = Arc::default();
    sleeper(&process, SECOND, &log);
    let killed = process.clone();
    world.at(SECOND / 2, move || killed.kill());
    world.run(SECOND * 10, || false);
    assert!(lock(&log).is_empty());
    process.revive();
    sleeper(&process, SECOND, &log);
    world.run(SECOND * 10, || false);
    assert_eq!(lock(&log).len(), 1);
}

#[test]
fn a_machine_that_sleeps_has_a_clock_that_counts_it() {
    let world = World::new(1);
    let process = world.process(1, 0);
    process.suspend(SECOND);
    world.run(SECOND * 2, || false);
    assert_eq!(process.env().now().nanos(), 1_000_000_000);
}

#[test]
fn messages_are_lost_doubled_cut_and_kept_for_the_paused() {
    let world = World::new(1);
    let (one, two) = (world.process(1, 0), world.process(2, 0));
    let way = Way { from: one.number(), to: two.number() };
    let count = Arc::new(AtomicU32::new(0));
    let send = || {
        let arrived = count.clone();
        world.send(way, move |is_alive| {
            arrived.fetch_add(u32::from(is_alive), Ordering::AcqRel);
        });
        world.run(world.age() + SECOND, || false);
        count.swap(0, Ordering::AcqRel)
    };
    assert_eq!(send(), 1);
    world.set_conditions(way, |conditions| conditions.duplicates = 100);
    assert_eq!(send(), 2);
    world.set_cut(way, true);
    assert_eq!(send(), 0);
    world.set_cut(way, false);
    two.pause(SECOND / 2);
    assert_eq!(send(), 2);
    world.set_conditions(way, |conditions| conditions.loss = 100);
    assert_eq!(send(), 0);
    world.set_conditions(way, |conditions| conditions.loss = 0);
    two.kill();
    assert_eq!(send(), 0);
}
