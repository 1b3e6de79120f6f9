//! The worker: the one thread of a store that may wait for the gate.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use leasehold_core::{Error, ErrorKind, Result};
use rusqlite::Connection;

use crate::{
    desk::Calls,
    gate::doze,
    queue::{Job, Task},
    refusal::of_sqlite,
    schema,
    shared::{Shared, lock},
    transaction::Attempt,
};

/// How long the gate is kept for those of this process before others are let in.
const TURN: Duration = Duration::from_millis(2);

/// Starts the worker if it does not run yet.
pub(crate) fn ensure(shared: &Arc<Shared>) -> Result<()> {
    let mut started = lock(&shared.worker);
    if started.is_some() {
        return Ok(());
    }
    let mine = shared.clone();
    // A thread of its own because it sleeps in flock(2), which would stop a task's whole runtime.
    let spawned = std::thread::Builder::new().name("leasehold-sqlite".into()).spawn(move || {
        run(&mine);
        mine.ended[1].notify_one();
    });
    let thread = spawned.map_err(|source| {
        Error::new(ErrorKind::Exhausted, format!("the worker thread cannot be started: {source}"))
            .hint("raise the limit on threads (ulimit -u)")
    })?;
    *started = Some(thread);
    Ok(())
}

fn run(shared: &Arc<Shared>) {
    let mut checkpointer = None;
    loop {
        match shared.queue.next() {
            Task::Jobs => serve(shared),
            Task::Checkpoint => checkpoint(shared, &mut checkpointer),
            Task::Stop => return,
        }
    }
}

/// Waits for the gate and runs what has come together in the meantime.
fn serve(shared: &Arc<Shared>) {
    let mut gate = lock(&shared.gate);
    let pass = match gate.enter() {
        Ok(pass) => pass,
        Err(error) => {
            tracing::error!(%error, "requests are dropped");
            // Dropped unanswered: their callers are told so.
            while shared.queue.pop().is_some() {}
            return;
        }
    };
    let turn_ends = shared.env.now() + TURN;
    let mut calls = Vec::new();
    while let Some(job) = shared.queue.pop() {
        match attempt(shared, job) {
            Some(called) => calls.push(called),
            None => break,
        }
        if shared.env.now() >= turn_ends {
            break;
        }
    }
    drop(pass);
    drop(gate);
    calls.into_iter().for_each(|called| shared.deliver(called));
}

/// Runs one request; `None` when a foreign program keeps the database locked, and we have waited a little.
fn attempt(shared: &Shared, mut job: Job) -> Option<Calls> {
    let attempt = match lock(&shared.connection).as_ref() {
        Some(connection) => (job.run)(shared, connection),
        None => return Some(Calls::default()),
    };
    match attempt {
        Attempt::Done((), calls) => Some(calls),
        Attempt::Busy => {
            if shared.env.now() < job.deadline {
                shared.queue.put_back(job);
            }
            doze();
            None
        }
    }
}

/// Moves the log into the database. Most of it while others write; the rest under the gate when it never comes to
/// its end, because only a log that is wholly moved starts anew.
fn checkpoint(shared: &Shared, checkpointer: &mut Option<Connection>) {
    shared.commits.store(0, Ordering::Relaxed);
    let moved = (|| {
        let connection = match checkpointer {
            Some(connection) => connection,
            None => checkpointer.insert(schema::connect(&shared.place)?),
        };
        let log_pages = move_log(connection)?;
        if log_pages > LOG_PAGES_MAX {
            let mut gate = lock(&shared.gate);
            let _pass = gate.enter()?;
            move_log(connection)?;
        }
        Ok::<_, Error>(())
    })();
    if let Err(error) = moved {
        tracing::warn!(%error, "the log of the database could not be moved; it goes on growing");
        *checkpointer = None;
    }
}

const LOG_PAGES_MAX: i64 = 4000;

/// Moves what can be moved without waiting for anybody; answers how long the log is.
pub(crate) fn move_log(connection: &Connection) -> Result<i64> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1)).map_err(of_sqlite)
}
