//! The sentences: one for each event that matters.

use super::{Paint, Stage};
use crate::cmd::demo::{
    event::{Event, Kind},
    plan::Lane,
};

/// What to say about an event, if anything. `stage` has taken it in already.
pub(crate) fn of(event: &Event, stage: &mut Stage, paint: Paint) -> Option<String> {
    let worker = event.worker;
    let text = match event.kind {
        Kind::Paused => {
            let text =
                format!("worker {worker} has read the stock and is stopped before it writes (SIGSTOP)");
            paint.red(&text)
        }
        Kind::Entered { fence } => entered(worker, fence, stage)?,
        Kind::Woken => paint.bold(&format!("worker {worker} goes on (SIGCONT)")),
        Kind::LeaseLost { deadline_ns, writes_anyway } => {
            lost(worker, event.at_ns.saturating_sub(deadline_ns), writes_anyway)
        }
        Kind::Sold { read, found } if Some(worker) == stage.victim && stage.woken => {
            woken_write(worker, read, found, paint)
        }
        Kind::Refused { fence, mark } => {
            let (low, high) = (stage.rank(fence), stage.rank(mark));
            paint.green(&format!("the shop refuses the write of worker {worker}: token {low} < {high}"))
        }
        _ => return None,
    };
    let seconds = event.at_ns.saturating_sub(stage.began_ns) as f64 / 1e9;
    Some(format!("  {} {text}", paint.dim(&format!("{seconds:5.2} s"))))
}

/// Only the first one in after a worker was stopped is worth a line.
fn entered(worker: u32, fence: Option<u64>, stage: &mut Stage) -> Option<String> {
    let victim = stage.victim.filter(|&victim| victim != worker && !stage.woken && !stage.overtaken)?;
    stage.overtaken = true;
    Some(match (stage.lane, fence) {
        (Lane::Leasehold, Some(fence)) => {
            let rank = stage.rank(fence);
            format!("worker {worker} enters with token {rank}: the lease of worker {victim} has ended")
        }
        (Lane::NaiveLock, _) => format!("worker {worker} enters: the lock of worker {victim} has expired"),
        _ => format!("worker {worker} goes on selling"),
    })
}

fn lost(worker: u32, ago_ns: u64, writes_anyway: bool) -> String {
    let ago_ms = ago_ns / 1_000_000;
    let end = if writes_anyway {
        "that would have stopped it already; we let it write anyway, as a worker that does not look"
    } else {
        "so it does not write"
    };
    format!("worker {worker} is told by its own lease that it ended {ago_ms} ms ago: {end}")
}

fn woken_write(worker: u32, read: i64, found: i64, paint: Paint) -> String {
    let wrote = read - 1;
    if read == found {
        return format!("worker {worker} writes a stock of {wrote}");
    }
    let text = format!(
        "worker {worker} writes a stock of {wrote} over {found}: {} sales are forgotten",
        read - found
    );
    paint.red(&text)
}

#[cfg(test)]
mod tests;
