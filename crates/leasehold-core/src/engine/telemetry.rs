//! Metrics and traces of the engine. Lock names go to traces only: as labels they would be unbounded.

use metrics::{counter, gauge, histogram};

use super::Core;
use crate::{Lease, Lost, Mode, Moment};

/// How an acquisition ended.
#[derive(Clone, Copy)]
pub(super) enum Ending {
    Acquired,
    Busy,
    TimedOut,
    Failed,
}

impl Ending {
    fn label(self) -> &'static str {
        match self {
            Ending::Acquired => "acquired",
            Ending::Busy => "busy",
            Ending::TimedOut => "timeout",
            Ending::Failed => "error",
        }
    }
}

/// How a hold ended.
#[derive(Clone, Copy)]
pub(super) enum End {
    Released,
    Dropped,
    Detached,
}

fn mode_label(mode: Mode) -> &'static str {
    match mode {
        Mode::Exclusive => "exclusive",
        Mode::Shared => "shared",
        Mode::Permits { .. } => "permits",
    }
}

/// `lock.acquire.duration`: seconds from the call to its answer.
pub(super) fn acquired(core: &Core, mode: Mode, begin: Moment, failures: u32, ending: Ending) {
    let seconds = core.env.now().since(begin).as_secs_f64();
    let scheme = core.store.capability().scheme;
    histogram!("lock.acquire.duration", "lock.backend" => scheme, "lock.mode" => mode_label(mode), "lock.outcome" => ending.label())
        .record(seconds);
    if failures > 0 {
        counter!("lock.acquire.failures", "lock.backend" => scheme).increment(u64::from(failures));
    }
}

/// `lock.held`: how many this process holds.
pub(super) fn holds(core: &Core, change: f64) {
    gauge!("lock.held", "lock.backend" => core.store.capability().scheme).increment(change);
}

/// `lock.hold.duration`: seconds from the grant to the end.
pub(super) fn held(core: &Core, lease: &Lease, end: End) {
    holds(core, -1.0);
    let how = match (lease.check(), end) {
        (Err(_), _) => "lost",
        (Ok(()), End::Released) => "released",
        (Ok(()), End::Dropped) => "dropped",
        (Ok(()), End::Detached) => "detached",
    };
    histogram!("lock.hold.duration", "lock.backend" => core.store.capability().scheme, "lock.end" => how)
        .record(lease.age().as_secs_f64());
}

/// `lock.renew.slack`: seconds of validity that were left when a renewal was confirmed, the early warning.
pub(super) fn renewed(scheme: &'static str, lease: &Lease) {
    histogram!("lock.renew.slack", "lock.backend" => scheme).record(lease.remaining().as_secs_f64());
}

/// A renewal is overdue.
pub(super) fn jeopardy(url: &str, lease: &Lease) {
    tracing::warn!(lock = %lease.name(), store = url, remaining_ms = lease.remaining().as_millis() as u64,
        "lease in jeopardy: a renewal is overdue");
}

/// `lock.lost`: leases that ended without their holder's will.
pub(super) fn lost(scheme: &'static str, url: &str, lease: &Lease, lost: Lost) {
    counter!("lock.lost", "lock.backend" => scheme, "reason" => reason_label(lost)).increment(1);
    tracing::error!(lock = %lease.name(), store = url, held_ms = lease.age().as_millis() as u64, reason = %lost.reason,
        certain = lost.certain, "lease lost: the work under it must stop");
}

fn reason_label(lost: Lost) -> &'static str {
    use crate::LostReason::{Closed, Expired, ForceReleased, Gone, MaxHold, NoQuorum, SessionEnded};
    match lost.reason {
        Expired => "expired",
        Gone => "gone",
        ForceReleased => "force_released",
        SessionEnded => "session_ended",
        NoQuorum => "no_quorum",
        MaxHold => "hold_max",
        Closed => "closed",
    }
}
