//! [`MemberState`]: one member and its known state.

use std::{
    fmt,
    sync::{
        Arc, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

use super::ordering::ClaimOrder;
use crate::{
    BoxFuture, Claim, Env, Error, ErrorKind, Member, Moment, Outcome, Release, Renewal, Result, ServerInfo,
    Standing, Store, env::show, store_kit::Locked,
};

/// The number of requests that may be under way to one member, including those without a waiter.
const UNDER_WAY_MAX: usize = 4096;
/// A clock that was moved by more than this, and by more than the way there and back explains, has jumped.
const JUMP_MIN: Duration = Duration::from_millis(500);

/// One member.
#[derive(Debug)]
pub(super) struct MemberState {
    pub(super) number: usize,
    pub(super) store: Arc<dyn Store>,
    pub(super) url: Arc<str>,
    record: Locked<Record>,
    pub(super) is_asked: AtomicBool,
    /// Whether it was waited for in vain: it is not again until it answers.
    pub(super) is_late: AtomicBool,
    under_way: AtomicUsize,
    idle: Notify,
}

/// The known state of a member.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// Its last server info, and when it was read.
    pub(super) info: Option<(ServerInfo, Moment)>,
    /// How far its calendar is ahead of our clock.
    ahead_us: i128,
    /// The configuration error that takes its vote.
    pub(super) mistake: Option<String>,
    /// Its clock was moved forward: until when it is not trusted, and by how much.
    jump: Option<(Moment, i128)>,
    /// Why it did not answer the last time.
    pub(super) failure: Option<String>,
}

/// The result of reading a member's server info.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    pub(super) info: ServerInfo,
    pub(super) sent: Moment,
    pub(super) received: Moment,
}

impl MemberState {
    pub(super) fn new(number: usize, store: Arc<dyn Store>) -> Arc<MemberState> {
        let url = store.url().into();
        Arc::new(MemberState {
            number,
            store,
            url,
            record: Locked::default(),
            is_asked: AtomicBool::new(false),
            is_late: AtomicBool::new(false),
            under_way: AtomicUsize::new(0),
            idle: Notify::new(),
        })
    }

    pub(super) fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock()
    }

    /// Whether a grant of this member counts: its identity is known, and it has kept its data for the longest lease.
    pub(super) fn counts(&self, remembers_for: Duration, quarantine: Duration, now: Moment) -> bool {
        let record = self.record();
        record.info.is_some()
            && record.mistake.is_none()
            && record.jump.is_none_or(|(until, _)| until <= now)
            && remembers_for >= quarantine
    }

    /// The time until its grants count, if nothing but time keeps it from voting.
    pub(super) fn votes_in(&self, quarantine: Duration, now: Moment) -> Option<Duration> {
        let record = self.record();
        let (info, seen) = record.info.as_ref().filter(|_| record.mistake.is_none())?;
        let trusted_in = record.jump.map_or(Duration::ZERO, |(until, _)| until.since(now));
        Some(trusted_in.max(quarantine.saturating_sub(info.remembers_for.saturating_add(now.since(*seen)))))
    }

    /// The last server info.
    pub(super) fn server_info(&self) -> Option<ServerInfo> {
        self.record().info.as_ref().map(|(info, _)| info.clone())
    }

    /// How far its calendar is ahead of our clock.
    pub(super) fn ahead_us(&self) -> Option<i128> {
        let record = self.record();
        record.info.as_ref().map(|_| record.ahead_us)
    }

    /// A line about it for errors.
    pub(super) fn says(&self, what: impl fmt::Display) -> String {
        format!("{}: {what:#}", self.url)
    }

    /// Records a probe. A calendar that was moved forward ends holds early, so the member has no vote until the longest
    /// lease is over.
    pub(super) fn probed(&self, probe: Probe, quarantine: Duration) {
        let way = probe.received.since(probe.sent);
        let middle_us = i128::from((probe.sent + way / 2).nanos() / 1000);
        let ahead_us = i128::from(probe.info.wall_us) - middle_us;
        let mut record = self.record();
        if let Some((before, seen)) = record.info.clone() {
            let moved_us = ahead_us - record.ahead_us;
            let is_jump = moved_us.unsigned_abs() > JUMP_MIN.max(way).as_micros();
            if before.server == probe.info.server && is_jump {
                let moved_ms = (moved_us / 1000) as i64;
                tracing::warn!(node = %self.url, moved_ms, "the clock of a member has jumped: holds may end early there");
                if moved_us > 0 {
                    record.jump = Some((probe.received + quarantine, moved_us));
                }
            }
            let voted = before.remembers_for.saturating_add(probe.sent.since(seen)) >= quarantine;
            if voted && probe.info.remembers_for < quarantine {
                tracing::warn!(node = %self.url, "a member may have forgotten who holds: it has no vote for a while");
            }
        }
        record.ahead_us = ahead_us;
        record.info = Some((probe.info, probe.received));
        record.failure = None;
    }

    /// The member as `inspect` shows it.
    pub(super) fn member(&self, quarantine: Duration, now: Moment) -> Member {
        let record = self.record();
        let (votes, state) = match (&record.info, &record.mistake, &record.jump, &record.failure) {
            (_, Some(mistake), _, _) => (false, format!("no vote: {mistake}")),
            (_, _, _, Some(failure)) => (false, failure.clone()),
            (_, _, Some((until, by_us)), _) if *until > now => {
                let (by, left) = (Duration::from_micros(*by_us as u64), until.since(now));
                (false, format!("no vote for {}: its clock jumped {} forward", show(left), show(by)))
            }
            (Some((info, seen)), ..) => {
                let remembers = info.remembers_for.saturating_add(now.since(*seen));
                match quarantine.checked_sub(remembers) {
                    Some(left) if !left.is_zero() => (
                        false,
                        format!(
                            "no vote for {}: it came up or was emptied {} ago and may have forgotten who holds",
                            show(left),
                            show(remembers)
                        ),
                    ),
                    _ => (true, "votes".to_string()),
                }
            }
            (None, ..) => (false, "not reached yet".to_string()),
        };
        Member { url: self.url.clone(), votes, state }
    }

    /// Counts one more request under way.
    pub(super) fn enter(self: &Arc<Self>) -> Result<UnderWay> {
        let under_way = UnderWay(self.clone());
        if self.under_way.fetch_add(1, Ordering::AcqRel) >= UNDER_WAY_MAX {
            let message = format!("{UNDER_WAY_MAX} requests are under way");
            return Err(Error::new(ErrorKind::Exhausted, message)
                .store(&*self.url)
                .hint("does the member hang?"));
        }
        Ok(under_way)
    }

    /// Completes when nothing is under way.
    pub(super) async fn idle(&self) {
        loop {
            let idle = self.idle.notified();
            if self.under_way.load(Ordering::Acquire) == 0 {
                return;
            }
            idle.await;
        }
    }

    fn answered<T>(&self, answer: Result<T>) -> Result<T> {
        if answer.is_ok() {
            self.is_late.store(false, Ordering::Release);
        }
        answer
    }

    /// Sends a claim, after its earlier requests.
    pub(super) fn claim(
        self: &Arc<Self>,
        order: &Arc<ClaimOrder>,
        claim: Arc<Claim>,
    ) -> BoxFuture<'static, Result<Standing>> {
        let (member, order, entered) = (self.clone(), order.clone(), self.enter());
        Box::pin(async move {
            let _under_way = entered?;
            let _turn = order.turn(member.number).await;
            if order.is_in_doubt_at(member.number) {
                let message = "an earlier release of this claim may still arrive";
                return Err(Error::new(ErrorKind::TimedOut, message).store(&*member.url));
            }
            member.answered(member.store.claim(&claim).await)
        })
    }

    /// Makes a lost hold again, unless the claim is being released.
    pub(super) fn repair(
        self: &Arc<Self>,
        order: &Arc<ClaimOrder>,
        claim: Arc<Claim>,
    ) -> BoxFuture<'static, Result<Option<Standing>>> {
        let (member, order, entered) = (self.clone(), order.clone(), self.enter());
        Box::pin(async move {
            let _under_way = entered?;
            let _turn = order.turn(member.number).await;
            if order.is_ended() || order.is_in_doubt_at(member.number) {
                return Ok(None);
            }
            member.store.claim(&claim).await.map(Some)
        })
    }

    /// Releases a claim, after its earlier requests.
    pub(super) async fn release(
        &self,
        entered: Result<UnderWay>,
        order: &ClaimOrder,
        claim: &Claim,
    ) -> Result<Release> {
        let _under_way = entered?;
        let _turn = order.turn(self.number).await;
        self.answered(self.store.release(claim).await)
    }

    /// Releases the grant of a round, unless another round has begun, which then owns it.
    pub(super) fn give_back(
        self: &Arc<Self>,
        order: &Arc<ClaimOrder>,
        claim: Arc<Claim>,
        round: u64,
    ) -> BoxFuture<'static, Result<()>> {
        let (member, order, entered) = (self.clone(), order.clone(), self.enter());
        Box::pin(async move {
            let _under_way = entered?;
            let _turn = order.turn(member.number).await;
            if order.round() != round {
                return Ok(());
            }
            let answer = member.store.release(&claim).await;
            // Before the next request of the claim: it must know of the doubt.
            if matches!(&answer, Err(error) if error.outcome() == Outcome::Unknown) {
                order.doubt(member.number);
            }
            answer.map(drop)
        })
    }

    /// Renews. It makes no hold, so it needs no order.
    pub(super) fn renew(self: &Arc<Self>, claims: Arc<[Claim]>) -> BoxFuture<'static, Vec<Result<Renewal>>> {
        let member = self.clone();
        Box::pin(async move {
            match member.enter() {
                Ok(_under_way) => member.store.renew(&claims).await,
                Err(error) => claims.iter().map(|_| Err(error.clone())).collect(),
            }
        })
    }

    /// Reads the server info.
    pub(super) fn probe(self: &Arc<Self>, env: &Env) -> BoxFuture<'static, Result<Probe>> {
        let (member, env) = (self.clone(), env.clone());
        Box::pin(async move {
            let sent = env.now();
            let info = member.store.server_info().await?;
            Ok(Probe { info, sent, received: env.now() })
        })
    }
}

/// One request under way.
pub(super) struct UnderWay(Arc<MemberState>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.0.under_way.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}
