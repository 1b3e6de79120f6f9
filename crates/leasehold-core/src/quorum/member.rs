//! [`MemberState`]: one member, and what is known of it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

use super::ordering::Pass;
use crate::{
    BoxFuture, Claim, Env, Error, ErrorKind, Member, Moment, Outcome, Release, Renewal, Result, ServerInfo,
    Standing, Store,
};

/// So many requests may be under way to one member, those that nobody waits for any more included.
const UNDER_WAY_MAX: usize = 4096;
/// A clock that was moved by more than this, and by more than the way there and back explains, has jumped.
const JUMP_MIN: Duration = Duration::from_millis(500);

/// One member.
#[derive(Debug)]
pub(super) struct MemberState {
    pub(super) number: usize,
    pub(super) store: Arc<dyn Store>,
    pub(super) url: Arc<str>,
    record: Mutex<Record>,
    pub(super) is_asked: AtomicBool,
    under_way: AtomicUsize,
    idle: Notify,
}

/// What is known of a member.
#[derive(Debug, Default)]
struct Record {
    /// Who it said it is, and when.
    vitals: Option<(ServerInfo, Moment)>,
    /// How far its calendar is ahead of our clock.
    ahead_us: i128,
    /// Why it has no vote whatever it grants: an operator's mistake.
    mistake: Option<String>,
    /// Its clock was moved forward: until when it is not trusted, and by how much.
    jump: Option<(Moment, i128)>,
    /// Why it did not answer the last time.
    failure: Option<String>,
}

/// What a look at a member showed.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) vitals: ServerInfo,
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
            record: Mutex::default(),
            is_asked: AtomicBool::new(false),
            under_way: AtomicUsize::new(0),
            idle: Notify::new(),
        })
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a grant of this member counts: it is known who it is, and it has forgotten nothing for as long as anybody
    /// may hold.
    pub(super) fn counts(&self, remembers_for: Duration, quarantine: Duration, now: Moment) -> bool {
        let record = self.record();
        record.vitals.is_some()
            && record.mistake.is_none()
            && record.jump.is_none_or(|(until, _)| until <= now)
            && remembers_for >= quarantine
    }

    /// When it was last known who it is.
    pub(super) fn known_since(&self) -> Option<Moment> {
        self.record().vitals.as_ref().map(|(_, seen)| *seen)
    }

    pub(super) fn server_info(&self) -> Option<ServerInfo> {
        self.record().vitals.as_ref().map(|(vitals, _)| vitals.clone())
    }

    /// How far its calendar is ahead of our clock.
    pub(super) fn ahead_us(&self) -> Option<i128> {
        let record = self.record();
        record.vitals.as_ref().map(|_| record.ahead_us)
    }

    pub(super) fn mistake(&self) -> Option<String> {
        self.record().mistake.clone()
    }

    pub(super) fn set_mistake(&self, mistake: Option<String>) {
        self.record().mistake = mistake;
    }

    /// Takes over what a look showed. A calendar that was moved forward lets holds end early, so the member loses its
    /// vote for as long as one of them may have been forgotten.
    pub(super) fn saw(&self, look: Look, quarantine: Duration) {
        let way = look.received.since(look.sent);
        let middle_us = i128::from((look.sent + way / 2).nanos() / 1000);
        let ahead_us = i128::from(look.vitals.wall_us) - middle_us;
        let mut record = self.record();
        if let Some((before, seen)) = record.vitals.clone() {
            let moved_us = ahead_us - record.ahead_us;
            let is_jump = moved_us.unsigned_abs() > JUMP_MIN.max(way).as_micros();
            if before.server == look.vitals.server && is_jump {
                let moved_ms = (moved_us / 1000) as i64;
                tracing::warn!(node = %self.url, moved_ms, "the clock of a member has jumped: holds may end early there");
                if moved_us > 0 {
                    record.jump = Some((look.received + quarantine, moved_us));
                }
            }
            let voted = before.remembers_for.saturating_add(look.sent.since(seen)) >= quarantine;
            if voted && look.vitals.remembers_for < quarantine {
                tracing::warn!(node = %self.url, "a member may have forgotten who holds: it has no vote for a while");
            }
        }
        record.ahead_us = ahead_us;
        record.vitals = Some((look.vitals, look.received));
        record.failure = None;
    }

    pub(super) fn failed(&self, error: &Error) {
        self.record().failure = Some(error.to_string());
    }

    /// For people.
    pub(super) fn member(&self, quarantine: Duration, now: Moment) -> Member {
        let record = self.record();
        let (votes, state) = match (&record.vitals, &record.mistake, &record.jump, &record.failure) {
            (_, Some(mistake), _, _) => (false, format!("no vote: {mistake}")),
            (_, _, _, Some(failure)) => (false, failure.clone()),
            (_, _, Some((until, by_us)), _) if *until > now => {
                let (by, left) = (*by_us as f64 / 1e6, until.since(now).as_secs_f64());
                (false, format!("no vote for {left:.1} s: its clock jumped {by:.1} s forward"))
            }
            (Some((vitals, seen)), ..) => {
                let remembers = vitals.remembers_for.saturating_add(now.since(*seen));
                match quarantine.checked_sub(remembers) {
                    Some(left) if !left.is_zero() => (
                        false,
                        format!(
                            "no vote for {:.1} s: it came up or was emptied {:.1} s ago and may have forgotten who holds",
                            left.as_secs_f64(),
                            remembers.as_secs_f64()
                        ),
                    ),
                    _ => (true, "votes".to_string()),
                }
            }
            (None, ..) => (false, "not reached yet".to_string()),
        };
        Member { url: self.url.clone(), votes, state }
    }

    /// The right to send one more request.
    fn enter(self: &Arc<Self>) -> Result<UnderWay> {
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

    /// Asks for a claim, after what was asked of it before.
    pub(super) fn claim(self: &Arc<Self>, pass: &Pass, claim: Claim) -> BoxFuture<'static, Result<Standing>> {
        let (member, pass, entered) = (self.clone(), pass.clone(), self.enter());
        Box::pin(async move {
            let _under_way = entered?;
            let _turn = pass.turn(member.number).await;
            if pass.is_in_doubt_at(member.number) {
                let message = "an earlier release of this claim may still arrive";
                return Err(Error::new(ErrorKind::TimedOut, message).store(&*member.url));
            }
            member.store.claim(&claim).await
        })
    }

    /// Makes again what the member has lost, unless it is being released.
    pub(super) fn repair(
        self: &Arc<Self>,
        pass: &Pass,
        claim: Claim,
    ) -> BoxFuture<'static, Result<Option<Standing>>> {
        let (member, pass, entered) = (self.clone(), pass.clone(), self.enter());
        Box::pin(async move {
            let _under_way = entered?;
            let _turn = pass.turn(member.number).await;
            if pass.is_ended() || pass.is_in_doubt_at(member.number) {
                return Ok(None);
            }
            member.store.claim(&claim).await.map(Some)
        })
    }

    /// Releases, after what was asked of the claim before.
    pub(super) fn release(
        self: &Arc<Self>,
        pass: &Pass,
        claim: Claim,
    ) -> BoxFuture<'static, Result<Release>> {
        let (member, pass, entered) = (self.clone(), pass.clone(), self.enter());
        Box::pin(async move {
            let _under_way = entered?;
            let _turn = pass.turn(member.number).await;
            member.store.release(&claim).await
        })
    }

    /// Gives back what a round of asking left behind, unless another round has begun: then that is its own to keep or to
    /// give back.
    pub(super) fn give_back(
        self: &Arc<Self>,
        pass: &Pass,
        claim: Claim,
        round: u64,
        doubts: bool,
    ) -> BoxFuture<'static, Result<()>> {
        let (member, pass, entered) = (self.clone(), pass.clone(), self.enter());
        Box::pin(async move {
            let _under_way = entered?;
            let _turn = pass.turn(member.number).await;
            match pass.round() == round {
                true => {
                    let answer = member.store.release(&claim).await;
                    // Said before the turn ends: whoever is next knows it.
                    if matches!(&answer, Err(error) if error.outcome() == Outcome::Unknown) && doubts {
                        pass.doubt(member.number);
                    }
                    answer.map(drop)
                }
                false => Ok(()),
            }
        })
    }

    /// Prolongs. Nothing is made by it, so it needs no turn.
    pub(super) fn renew(self: &Arc<Self>, claims: Arc<[Claim]>) -> BoxFuture<'static, Vec<Result<Renewal>>> {
        let member = self.clone();
        Box::pin(async move {
            match member.enter() {
                Ok(_under_way) => member.store.renew(&claims).await,
                Err(error) => claims.iter().map(|_| Err(error.clone())).collect(),
            }
        })
    }

    /// Asks who it is.
    pub(super) fn look(self: &Arc<Self>, env: &Env) -> BoxFuture<'static, Result<Look>> {
        let (member, env) = (self.clone(), env.clone());
        Box::pin(async move {
            let sent = env.now();
            let vitals = member.store.server_info().await?;
            Ok(Look { vitals, sent, received: env.now() })
        })
    }
}

/// One request that is under way.
struct UnderWay(Arc<MemberState>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.0.under_way.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}
