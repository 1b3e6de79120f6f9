//! Rungs 3 to 5: `SET NX PX`, with a bare `DEL`, with `GET` and then `DEL`, with an atomic compare-and-delete. The work, or
//! the release, outlives the expiry.

use std::time::Duration;

use anyhow::Result;

use crate::{
    ladder::{
        experiment::Experiment,
        harness::Harness,
        model::{Expectation, Rung, SOON, TOGETHER},
        result::ExperimentResult,
    },
    naive_redis::NaiveRedis,
};

/// The duration of work that outlives the lock.
const LONG: Duration = Duration::from_millis(500);

/// Work that outlives the expiry ends by deleting the lock of the next holder.
pub(super) fn bare_delete(harness: &Harness, rung: &Rung) -> Result<Vec<ExperimentResult>> {
    let key = "ladder:3";
    let client = |id| harness.client(key, id);
    let (mut first, mut next, mut third) = (client("A"), client("B"), client("C"));
    let failure = "work outlives the expiry";
    let mut experiment = Experiment::new(harness, rung, failure, Expectation::ForeignRelease);
    let read = experiment.acquire('A', || first.try_lock())?;
    let done = harness.env.now() + LONG;
    if !experiment.wait('B', SOON, || next.try_lock())? {
        return Ok(vec![experiment.finish()]);
    }
    let next_read = experiment.read();
    experiment.work(done)?;
    experiment.write_and_end('A', read);
    let deleted = experiment.observe(&mut first, &["DEL", key])?.int() == Some(1);
    experiment.result.counts.foreign_releases += u64::from(deleted);
    third_enters(harness, &mut experiment, &mut third, next_read)?;
    experiment.observe(&mut third, &["DEL", key])?;
    Ok(vec![experiment.finish()])
}

/// The release is two commands: the lock may change hands between them.
pub(super) fn get_then_delete(harness: &Harness, rung: &Rung) -> Result<Vec<ExperimentResult>> {
    let key = "ladder:4";
    let client = |id| harness.client(key, id);
    let (mut first, mut next, mut third) = (client("A"), client("B"), client("C"));
    let failure = "a pause between GET and DEL";
    let mut experiment = Experiment::new(harness, rung, failure, Expectation::ForeignRelease);
    let is_own = |experiment: &mut Experiment<'_>, client: &mut NaiveRedis| {
        let reply = experiment.observe(client, &["GET", key])?;
        anyhow::Ok(reply.text() == Some(client.id.as_str()))
    };
    let read = experiment.acquire('A', || first.try_lock())?;
    experiment.write_and_end('A', read);
    let is_first = is_own(&mut experiment, &mut first)?;
    experiment.vanish('A');
    if !experiment.wait('B', SOON, || next.try_lock())? {
        return Ok(vec![experiment.finish()]);
    }
    let next_read = experiment.read();
    let is_next = is_own(&mut experiment, &mut next)?;
    // The pause is over, and A carries out its decision.
    let deleted = is_first && experiment.observe(&mut first, &["DEL", key])?.int() == Some(1);
    experiment.end('A');
    experiment.result.counts.foreign_releases += u64::from(deleted && is_next);
    third_enters(harness, &mut experiment, &mut third, next_read)?;
    Ok(vec![experiment.finish()])
}

/// C enters while B holds, because A has deleted the lock of B.
fn third_enters(
    harness: &Harness,
    experiment: &mut Experiment<'_>,
    third: &mut NaiveRedis,
    next_read: super::super::experiment::Read,
) -> Result<()> {
    if experiment.wait('C', SOON, || third.try_lock())? {
        let third_read = experiment.read();
        experiment.work(harness.env.now() + TOGETHER)?;
        experiment.write_and_end('B', next_read);
        experiment.write_and_end('C', third_read);
    }
    Ok(())
}

/// No lock of another client is deleted; but work that outlives the lease is not alone.
pub(super) fn compare_and_delete(harness: &Harness, rung: &Rung) -> Result<Vec<ExperimentResult>> {
    let key = "ladder:5";
    let (mut first, mut next) = (harness.client(key, "A"), harness.client(key, "B"));
    let mut experiment = Experiment::new(harness, rung, "work outlives the lease", Expectation::TwoHolders);
    let read = experiment.acquire('A', || first.try_lock())?;
    let done = harness.env.now() + LONG;
    if experiment.wait('B', SOON, || next.try_lock())? {
        experiment
            .overlap(read, done, |experiment| experiment.observe(&mut next, &["GET", key]).map(drop))?;
        first.compare_and_delete();
        next.compare_and_delete();
    }
    Ok(vec![experiment.finish()])
}
