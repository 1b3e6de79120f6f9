//! Metrics and traces of the engine: a contract with users, `docs/book/observability.md`. Lock names go to traces only, as
//! labels they would be unbounded; a rule of the user may group them ([`Engine::group_by`](super::Engine::group_by)).

use std::{borrow::Cow, time::Duration};

use metrics::{Key, Label, Level, Metadata, counter, gauge, histogram, with_recorder};
use tracing::{Span, debug_span, field::Empty};

use super::core::Core;
use crate::{FencingToken, Lease, LockName, Lost, Mode};

static METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// The keys that nearly every hold has, made once: to make a key takes longer than to record a value.
pub(super) struct UsualKeys {
    acquired: Key,
    held: Key,
    released: Key,
}

impl UsualKeys {
    pub(super) fn new(scheme: &'static str) -> Self {
        UsualKeys {
            acquired: acquire_key(scheme, Mode::Exclusive, "acquired", String::new()),
            held: held_key(scheme, String::new()),
            released: hold_key(scheme, "released", String::new()),
        }
    }
}

/// `usual` where it is the key, and locks have no groups; otherwise the one that is made of the group.
fn key<'a>(
    core: &Core,
    name: &LockName,
    usual: Option<&'a Key>,
    make: impl FnOnce(String) -> Key,
) -> Cow<'a, Key> {
    match usual.filter(|_| core.groups.get().is_none()) {
        Some(usual) => Cow::Borrowed(usual),
        None => Cow::Owned(make(core.group(name))),
    }
}

fn acquire_key(scheme: &'static str, mode: Mode, outcome: &'static str, group: String) -> Key {
    let mode = mode_label(mode);
    histogram_key(
        "lock.acquire.duration",
        &[("lock.backend", scheme), ("lock.mode", mode), ("lock.outcome", outcome)],
        group,
    )
}

fn held_key(scheme: &'static str, group: String) -> Key {
    gauge_key("lock.held", &[("lock.backend", scheme)], group)
}

fn hold_key(scheme: &'static str, end: &'static str, group: String) -> Key {
    histogram_key("lock.hold.duration", &[("lock.backend", scheme), ("lock.end", end)], group)
}

fn histogram_key(name: &'static str, labels: &[(&'static str, &'static str)], group: String) -> Key {
    grouped_key(name, labels, group)
}

fn gauge_key(name: &'static str, labels: &[(&'static str, &'static str)], group: String) -> Key {
    grouped_key(name, labels, group)
}

fn grouped_key(name: &'static str, labels: &[(&'static str, &'static str)], group: String) -> Key {
    let labels = labels.iter().map(|&(label, value)| Label::from_static_parts(label, value));
    Key::from_parts(name, labels.chain([Label::new("lock.group", group)]).collect::<Vec<_>>())
}

fn mode_label(mode: Mode) -> &'static str {
    match mode {
        Mode::Exclusive => "exclusive",
        Mode::Shared => "shared",
        Mode::Permits { .. } => "permits",
    }
}

/// The call that acquires a lock, to its answer.
pub(super) fn acquiring(core: &Core, name: &LockName, mode: Mode) -> Span {
    debug_span!("lock.acquire", lock.name = %name, lock.backend = core.scheme(), lock.mode = mode_label(mode), lock.outcome = Empty)
}

/// A hold, to its end. It is no part of the call that acquired it.
pub(super) fn holding(core: &Core, lease: &Lease) -> Span {
    let token = lease.fencing_token().map(FencingToken::get);
    debug_span!("lock.hold", lock.name = %lease.name(), lock.backend = core.scheme(), lock.token = token, lock.end = Empty)
}

/// A renewal of several holds.
pub(super) fn renewing(core: &Core, holds: usize) -> Span {
    debug_span!("lock.renew", lock.backend = core.scheme(), holds)
}

/// `lock.waiting`: calls of this process that wait for a lock. One as long as the value lives.
pub(super) struct Waiting {
    scheme: &'static str,
    group: String,
}

impl Waiting {
    pub(super) fn new(core: &Core, name: &LockName) -> Self {
        let waiting = Waiting { scheme: core.scheme(), group: core.group(name) };
        waiting.add(1.0);
        waiting
    }

    fn add(&self, change: f64) {
        let group = self.group.clone();
        gauge!("lock.waiting", "lock.backend" => self.scheme, "lock.group" => group).increment(change);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.add(-1.0);
    }
}

/// `lock.acquire.duration`: seconds from the call to its answer. `outcome` is acquired, busy, timeout or error.
pub(super) fn acquired(
    core: &Core,
    name: &LockName,
    mode: Mode,
    waited: Duration,
    failures: u32,
    outcome: &'static str,
) {
    let scheme = core.scheme();
    let is_usual = mode == Mode::Exclusive && outcome == "acquired";
    let usual = is_usual.then_some(&core.usual_keys.acquired);
    let key = key(core, name, usual, |group| acquire_key(scheme, mode, outcome, group));
    with_recorder(|recorder| recorder.register_histogram(&key, &METADATA)).record(waited.as_secs_f64());
    if failures > 0 {
        counter!("lock.acquire.failures", "lock.backend" => scheme).increment(u64::from(failures));
    }
}

/// `lock.held`: how many this process holds.
pub(super) fn holds(core: &Core, name: &LockName, change: f64) {
    let key = key(core, name, Some(&core.usual_keys.held), |group| held_key(core.scheme(), group));
    with_recorder(|recorder| recorder.register_gauge(&key, &METADATA)).increment(change);
}

/// `lock.hold.duration`: seconds from the grant to the end, which is released, dropped, detached or lost.
pub(super) fn held(core: &Core, lease: &Lease, end: &'static str) -> &'static str {
    holds(core, lease.name(), -1.0);
    let (age, is_lost) = lease.age_and_loss();
    let how = if is_lost { "lost" } else { end };
    let usual = (how == "released").then_some(&core.usual_keys.released);
    let key = key(core, lease.name(), usual, |group| hold_key(core.scheme(), how, group));
    with_recorder(|recorder| recorder.register_histogram(&key, &METADATA)).record(age.as_secs_f64());
    how
}

/// `lock.renew.duration`: seconds that a batch of renewals took.
pub(super) fn renewal(core: &Core, took: Duration) {
    histogram!("lock.renew.duration", "lock.backend" => core.scheme()).record(took.as_secs_f64());
}

/// `lock.renew.slack`: seconds of validity that were left when a renewal was confirmed, the early warning.
pub(super) fn renewed(core: &Core, lease: &Lease) {
    histogram!("lock.renew.slack", "lock.backend" => core.scheme()).record(lease.remaining().as_secs_f64());
}

/// `lock.jeopardy`: a renewal is overdue.
pub(super) fn jeopardy(core: &Core, lease: &Lease) {
    counter!("lock.jeopardy", "lock.backend" => core.scheme(), "lock.group" => core.group(lease.name()))
        .increment(1);
    tracing::warn!(lock = %lease.name(), store = core.store.url(), remaining_ms = lease.remaining().as_millis() as u64,
        "lease in jeopardy: a renewal is overdue");
}

/// `lock.lost`: leases that ended without their holder's will.
pub(super) fn lost(core: &Core, lease: &Lease, lost: Lost) {
    counter!("lock.lost", "lock.backend" => core.scheme(), "reason" => reason_label(lost), "lock.group" => core.group(lease.name()))
        .increment(1);
    tracing::error!(lock = %lease.name(), store = core.store.url(), held_ms = lease.age().as_millis() as u64, reason = %lost.reason,
        certain = lost.certain, "lease lost: the work under it must stop");
}

fn reason_label(lost: Lost) -> &'static str {
    use crate::LostReason::{
        Closed, Expired, ForceReleased, Forked, Gone, MaxHold, NoQuorum, Released, SessionEnded,
    };
    match lost.reason {
        Expired => "expired",
        Gone => "gone",
        ForceReleased => "force_released",
        SessionEnded => "session_ended",
        NoQuorum => "no_quorum",
        MaxHold => "hold_max",
        Closed => "closed",
        Forked => "forked",
        Released => "released",
    }
}
