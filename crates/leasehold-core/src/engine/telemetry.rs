//! Metrics and traces of the engine. Lock names go to traces only: as labels they would be unbounded.

use metrics::{counter, gauge, histogram};

use super::core::Core;
use crate::{Lease, Lost, Mode, Moment};

fn mode_label(mode: Mode) -> &'static str {
    match mode {
        Mode::Exclusive => "exclusive",
        Mode::Shared => "shared",
        Mode::Permits { .. } => "permits",
    }
}

/// `lock.acquire.duration`: seconds from the call to its answer. `outcome` is acquired, busy, timeout or error.
pub(super) fn acquired(core: &Core, mode: Mode, begin: Moment, failures: u32, outcome: &'static str) {
    let seconds = core.env.now().since(begin).as_secs_f64();
    let scheme = core.scheme();
    histogram!("lock.acquire.duration", "lock.backend" => scheme, "lock.mode" => mode_label(mode), "lock.outcome" => outcome)
        .record(seconds);
    if failures > 0 {
        counter!("lock.acquire.failures", "lock.backend" => scheme).increment(u64::from(failures));
    }
}

/// `lock.held`: how many this process holds.
pub(super) fn holds(core: &Core, change: f64) {
    gauge!("lock.held", "lock.backend" => core.scheme()).increment(change);
}

/// `lock.hold.duration`: seconds from the grant to the end, which is released, dropped, detached or lost.
pub(super) fn held(core: &Core, lease: &Lease, end: &'static str) {
    holds(core, -1.0);
    let how = if lease.check().is_err() { "lost" } else { end };
    histogram!("lock.hold.duration", "lock.backend" => core.scheme(), "lock.end" => how)
        .record(lease.age().as_secs_f64());
}

/// `lock.renew.slack`: seconds of validity that were left when a renewal was confirmed, the early warning.
pub(super) fn renewed(core: &Core, lease: &Lease) {
    histogram!("lock.renew.slack", "lock.backend" => core.scheme()).record(lease.remaining().as_secs_f64());
}

/// A renewal is overdue.
pub(super) fn jeopardy(core: &Core, lease: &Lease) {
    tracing::warn!(lock = %lease.name(), store = core.store.url(), remaining_ms = lease.remaining().as_millis() as u64,
        "lease in jeopardy: a renewal is overdue");
}

/// `lock.lost`: leases that ended without their holder's will.
pub(super) fn lost(core: &Core, lease: &Lease, lost: Lost) {
    counter!("lock.lost", "lock.backend" => core.scheme(), "reason" => reason_label(lost)).increment(1);
    tracing::error!(lock = %lease.name(), store = core.store.url(), held_ms = lease.age().as_millis() as u64, reason = %lost.reason,
        certain = lost.certain, "lease lost: the work under it must stop");
}

fn reason_label(lost: Lost) -> &'static str {
    use crate::LostReason::{Closed, Expired, ForceReleased, Forked, Gone, MaxHold, NoQuorum, SessionEnded};
    match lost.reason {
        Expired => "expired",
        Gone => "gone",
        ForceReleased => "force_released",
        SessionEnded => "session_ended",
        NoQuorum => "no_quorum",
        MaxHold => "hold_max",
        Closed => "closed",
        Forked => "forked",
    }
}
