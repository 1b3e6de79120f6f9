//! The dialect of advisory locks: `pg_try_advisory_lock`, one session a hold.
//!
//! The session is the hold: it ends when the process does, and the server ends it when nothing is heard of it for the ttl
//! (`idle_session_timeout`). A renewal is a statement. What else ends a session (a restart, a failover, an operator, a
//! cut connection) frees the lock at once, and the holder is told as soon as it can hear of it.

mod key;
mod sessions;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::future::join_all;
use leasehold_core::{
    Busy, Capability, Claim, ClaimId, Contender, Drift, Env, Error, ErrorKind, Exclusion, Fencing, Finding,
    Grant, Intent, Interest, Liveness, LockName, LostReason, Mode, Moment, Release, Renewal, Result,
    Revalidations, ServerInfo, Snapshot, Standing, Wake,
    store_kit::{ClientState, Locked, NeverWakes, Verbs},
};
use tokio::sync::Mutex as AsyncMutex;

use crate::{
    doctor,
    error::column,
    options::PostgresOptions,
    server_info,
    sql::{
        ADVISORY_CLAIM, ADVISORY_CONVERT, ADVISORY_HOLDERS, ADVISORY_RENEW, ADVISORY_SESSION,
        ADVISORY_TERMINATE,
    },
    transport::{Argument, Transport},
};
use key::{Key, holder, session_name};
use sessions::{Broken, Session, Sessions, behind_a_pooler};

const GONE: Renewal = Renewal::Gone(LostReason::Gone);
/// The longest sleep of a waiter: nobody wakes it.
const RECHECK_MAX: Duration = Duration::from_millis(500);

/// The features that sessions can keep.
pub(super) fn capability(native: Capability) -> Capability {
    Capability {
        exclusion: Exclusion::Efficiency,
        commits: false,
        permits: 0,
        fifo: false,
        fencing: Fencing::None,
        liveness: Liveness::Process,
        waiters: false,
        wakes: false,
        detach: false,
        notes: false,
        lists: false,
        lock_delay: false,
        votes: false,
        ttl_min: Duration::from_millis(500),
        // The setting is a number of milliseconds in 31 bits.
        ttl_max: Duration::from_secs(3600 * 24 * 24),
        // The server process whose time is over has to be given a processor.
        drift: Drift { per_mille: 10, fixed: Duration::from_millis(100) },
        ..native
    }
}

/// A client of a database whose advisory locks it takes.
pub(crate) struct AdvisoryStore {
    capability: Capability,
    env: Env,
    state: ClientState,
    /// The connection for questions; it has no lock.
    transport: Transport,
    sessions: Sessions,
    claims: Locked<HashMap<ClaimId, Arc<AsyncMutex<Slot>>>>,
    revalidations: Revalidations,
}

/// The session of a claim.
struct Slot {
    session: Option<Arc<Session>>,
    /// The mode in which it holds; `None` while that is in doubt.
    mode: Option<Mode>,
    /// When the server ends it, at the earliest.
    until: Moment,
}

impl Default for Slot {
    fn default() -> Slot {
        Slot { session: None, mode: None, until: Moment::from_nanos(0) }
    }
}

impl Slot {
    /// Its session, if that lives and holds.
    fn held(&self) -> Option<(Arc<Session>, Mode)> {
        self.session.clone().filter(|session| session.is_open()).zip(self.mode)
    }
}

/// A span in whole milliseconds, as the setting wants it; longer rather than shorter.
fn milliseconds(span: Duration) -> String {
    span.as_micros().div_ceil(1000).to_string()
}

impl AdvisoryStore {
    /// Without a connection yet.
    pub(crate) fn new(options: PostgresOptions, env: Env) -> Result<AdvisoryStore> {
        options.check()?;
        if options.is_pooled {
            return Err(behind_a_pooler());
        }
        let (capability, revalidations) = (options.capability(), Revalidations::default());
        Ok(AdvisoryStore {
            capability,
            sessions: Sessions::new(options.clone(), env.clone(), revalidations.clone()),
            // The end of that connection is no sign of lost holds.
            transport: Transport::new(options, env.clone(), Revalidations::default()),
            state: ClientState::default(),
            claims: Locked::default(),
            revalidations,
            env,
        })
    }

    /// Fails if one server process serves two of our connections: then a pooler gives sessions from hand to hand.
    pub(crate) async fn check_sessions(&self) -> Result<()> {
        let session = self.sessions.take().await?;
        let rows = self.transport.query(&ADVISORY_SESSION, &[]).await?;
        if column::<i32>(&rows[0], 0)? == session.process() {
            session.end();
            return Err(behind_a_pooler());
        }
        self.sessions.give_back(session);
        Ok(())
    }

    /// As the diagnosis of our own format. It closes the store.
    pub(crate) async fn diagnose(&self) -> Result<Vec<Finding>> {
        let findings = match self.check_sessions().await {
            Ok(()) => doctor::of_table(&self.transport, None).await,
            Err(error) => Err(error),
        };
        Verbs::close(self).await?;
        findings
    }

    fn slot(&self, id: ClaimId) -> Option<Arc<AsyncMutex<Slot>>> {
        self.claims.lock().get(&id).cloned()
    }

    /// Grants a claim to a session without a lock, or says who has it.
    async fn take(&self, claim: &Claim, slot: &mut Slot) -> Result<Standing> {
        let session = match slot.session.take().filter(|session| session.is_open()) {
            // An earlier request of this claim may have been granted.
            Some(session) => {
                slot.session = Some(session.clone());
                self.sessions.unlock(&session).await?;
                session
            }
            None => self.sessions.take().await?,
        };
        (slot.session, slot.mode) = (Some(session.clone()), None);
        let (key, sent) = (Key::of(&claim.name), self.env.now());
        let arguments: [Argument<'_>; 5] = [
            &key.number,
            &key.space,
            &(claim.mode == Mode::Shared),
            &session_name(claim.id),
            &milliseconds(claim.ttl),
        ];
        let rows = self.sessions.query(&session, &ADVISORY_CLAIM, &arguments, Some(3)).await?;
        if column(&rows[0], 2)? {
            session.holds.store(true, Ordering::Release);
            (slot.mode, slot.until) = (Some(claim.mode), sent + claim.ttl);
            return Ok(Standing::Granted(Grant::lasting(None, claim.ttl)));
        }
        slot.session = None;
        self.sessions.give_back(session);
        // Another statement: to look for the holder costs the server more than the lock.
        let holder = self.holders(&claim.name).await?.into_iter().next();
        Ok(Standing::Held(Busy { holder, ahead: None, recheck_in: RECHECK_MAX }))
    }

    /// Changes the mode of a hold.
    async fn convert(&self, claim: &Claim, slot: &mut Slot, session: &Session) -> Result<Standing, Broken> {
        let (key, sent) = (Key::of(&claim.name), self.env.now());
        let ttl = claim.ttl.max(slot.until.since(sent));
        let shared = claim.mode == Mode::Shared;
        let arguments: [Argument<'_>; 4] = [&key.number, &key.space, &shared, &milliseconds(ttl)];
        // Until the answer it may be either.
        let before = slot.mode.take();
        let rows = self.sessions.query(session, &ADVISORY_CONVERT, &arguments, Some(1)).await?;
        slot.until = sent + ttl;
        if column(&rows[0], 0).map_err(Broken::Error)? {
            slot.mode = Some(claim.mode);
            return Ok(Standing::Granted(Grant::lasting(None, ttl)));
        }
        slot.mode = before;
        Ok(Standing::Held(Busy { holder: None, ahead: None, recheck_in: RECHECK_MAX }))
    }

    async fn renew_one(&self, claim: &Claim) -> Result<Renewal> {
        let Some(slot) = self.slot(claim.id) else { return Ok(GONE) };
        let mut slot = slot.lock().await;
        self.renew_slot(claim, &mut slot).await
    }

    /// Lets the session of a hold live on.
    async fn renew_slot(&self, claim: &Claim, slot: &mut Slot) -> Result<Renewal> {
        let Some((session, _)) = slot.held() else { return Ok(GONE) };
        self.capability.admits(claim)?;
        let sent = self.env.now();
        let ttl = claim.ttl.max(slot.until.since(sent));
        match self.sessions.query(&session, &ADVISORY_RENEW, &[&milliseconds(ttl)], Some(1)).await {
            Ok(_) => {
                slot.until = sent + ttl;
                Ok(Renewal::Renewed { valid_for: ttl })
            }
            Err(Broken::Ended(error)) if error.kind() != ErrorKind::Unsafe => Ok(GONE),
            Err(broken) => Err(broken.into()),
        }
    }

    /// The sessions that have a lock.
    async fn holders(&self, name: &LockName) -> Result<Vec<Contender>> {
        let key = Key::of(name);
        let rows = self.transport.query(&ADVISORY_HOLDERS, &[&key.number, &key.space]).await?;
        rows.iter().filter_map(|row| holder(row, 0).transpose()).collect()
    }

    /// Ends the session of a claim of another client, or of all who have the lock.
    async fn terminate(&self, name: &LockName, session: Option<&str>) -> Result<Vec<Contender>> {
        let (key, limit) = (Key::of(name), (self.sessions.options.timeout / 2).as_millis() as i64);
        let arguments: [Argument<'_>; 4] = [&key.number, &key.space, &session, &limit];
        let rows =
            self.transport.query(&ADVISORY_TERMINATE, &arguments).await.map_err(|error| {
                match error.to_string().contains("(42501)") {
                    true => error.hint("the session is another user's: GRANT pg_signal_backend TO this one"),
                    false => error,
                }
            })?;
        let mut ended = Vec::new();
        for row in &rows {
            if !column::<bool>(row, 4)? {
                return Err(
                    Error::new(ErrorKind::TimedOut, "a session that was ended does not end").unknown()
                );
            }
            ended.extend(holder(row, 0)?);
        }
        Ok(ended)
    }

    /// Gives up what a claim of this client has; whether it had anything.
    async fn release_own(&self, id: ClaimId, slot: &AsyncMutex<Slot>) -> Result<bool> {
        let mut slot = slot.lock().await;
        let mut held = slot.mode.is_some();
        match slot.session.clone().filter(|session| session.is_open()) {
            Some(session) => {
                session.holds.store(false, Ordering::Release);
                match self.sessions.unlock(&session).await {
                    Ok(()) => self.sessions.give_back(session),
                    Err(Broken::Ended(_)) => held = false,
                    Err(Broken::Error(error)) => return Err(error),
                }
            }
            None => held = false,
        }
        self.forget(id, &mut slot);
        Ok(held)
    }

    fn forget(&self, id: ClaimId, slot: &mut Slot) {
        *slot = Slot::default();
        self.claims.lock().remove(&id);
    }
}

impl Verbs for AdvisoryStore {
    fn capability(&self) -> &Capability {
        &self.capability
    }

    fn url(&self) -> &str {
        &self.sessions.options.url
    }

    fn check_open(&self) -> Result<()> {
        self.state.check_open()
    }

    async fn server_info(&self) -> Result<ServerInfo> {
        server_info::server_info(&self.transport).await
    }

    async fn revalidation(&self, seen: &mut u64) {
        self.revalidations.after(seen).await;
    }

    async fn claim(&self, claim: &Claim) -> Result<Standing> {
        let slot = match claim.intent {
            Intent::Hold => Some(self.claims.lock().entry(claim.id).or_default().clone()),
            Intent::Amend => self.slot(claim.id),
        };
        let Some(slot) = slot else { return Ok(Standing::Gone(LostReason::Gone)) };
        let mut slot = slot.lock().await;
        let held = match slot.held() {
            Some((_, mode)) if mode == claim.mode => match self.renew_slot(claim, &mut slot).await? {
                Renewal::Renewed { valid_for } => {
                    Some(Ok(Standing::Granted(Grant::lasting(None, valid_for))))
                }
                Renewal::Gone(_) => None,
            },
            Some((session, _)) => match self.convert(claim, &mut slot, &session).await {
                Err(Broken::Ended(_)) => None,
                answer => Some(answer.map_err(Error::from)),
            },
            None => None,
        };
        let standing = match held {
            Some(standing) => standing,
            None if claim.intent == Intent::Amend => Ok(Standing::Gone(LostReason::Gone)),
            None => Box::pin(self.take(claim, &mut slot)).await,
        };
        // A refused claim leaves nothing; one in doubt is undone by its release.
        if slot.session.as_ref().is_none_or(|session| !session.is_open()) {
            self.forget(claim.id, &mut slot);
        }
        standing
    }

    async fn renew(&self, claims: &[Claim]) -> Vec<Result<Renewal>> {
        join_all(claims.iter().map(|claim| self.renew_one(claim))).await
    }

    async fn release(&self, claim: &Claim) -> Result<Release> {
        let released = match self.slot(claim.id) {
            Some(slot) => self.release_own(claim.id, &slot).await?,
            None => !self.terminate(&claim.name, Some(&session_name(claim.id))).await?.is_empty(),
        };
        Ok(if released { Release::Released } else { Release::NotHeld })
    }

    async fn watch(&self, _: &LockName, _: Interest) -> Result<Box<dyn Wake>> {
        Ok(Box::new(NeverWakes))
    }

    async fn inspect(&self, name: &LockName) -> Result<Snapshot> {
        let (holders, (waiters, members)) = (self.holders(name).await?, Default::default());
        Ok(Snapshot { name: name.clone(), holders, waiters, fence: None, members })
    }

    async fn list(&self, _: &str, _: usize) -> Result<Vec<Snapshot>> {
        Err(Error::new(
            ErrorKind::Unsupported,
            "PostgreSQL has the numbers of advisory locks, not their names",
        )
        .hint("inspect a lock by its name; the view pg_locks has the numbers"))
    }

    async fn force_release(&self, name: &LockName) -> Result<Vec<Contender>> {
        self.terminate(name, None).await
    }

    async fn close(&self) -> Result<()> {
        if self.state.close() {
            let claims = std::mem::take(&mut *self.claims.lock());
            // Given up in order, so that they are free when this returns; what does not answer ends with its connection.
            join_all(claims.iter().map(|(id, slot)| self.release_own(*id, slot))).await;
            self.sessions.close();
            self.transport.close();
        }
        Ok(())
    }
}

impl fmt::Debug for AdvisoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AdvisoryStore").field(&self.sessions.options.url).finish()
    }
}
