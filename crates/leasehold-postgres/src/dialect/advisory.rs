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
    Busy, Capability, Claim, ClaimId, Contender, Drift, Env, Error, ErrorKind, Exclusion, Finding, Grant,
    Intent, Liveness, LockName, LostReason, Mode, Moment, Release, Renewal, Result, ServerInfo, Snapshot,
    Standing,
    store_kit::{ClientState, Locked, Verbs},
};
use tokio::sync::Mutex as AsyncMutex;

use super::RECHECK_MAX;
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
use sessions::{Session, Sessions, behind_a_pooler};

const GONE: Renewal = Renewal::Gone(LostReason::Gone);

/// The features that sessions can keep, of those that a format of others can.
pub(super) fn capability(bare: Capability) -> Capability {
    Capability {
        exclusion: Exclusion::Efficiency,
        liveness: Liveness::Process,
        detach: false,
        lists: false,
        ttl_min: Duration::from_millis(500),
        // The setting is a number of milliseconds in 31 bits.
        ttl_max: Duration::from_secs(3600 * 24 * 24),
        // The server process whose time is over has to be given a processor.
        drift: Drift { per_mille: 10, fixed: Duration::from_millis(100) },
        ..bare
    }
}

/// A client of a database whose advisory locks it takes.
pub(crate) struct AdvisoryStore {
    /// The connection for questions; it has no lock.
    transport: Arc<Transport>,
    sessions: Sessions,
    claims: Locked<HashMap<ClaimId, Arc<AsyncMutex<Slot>>>>,
}

/// The session of a claim.
#[derive(Default)]
struct Slot {
    session: Option<Arc<Session>>,
    /// The mode in which it holds; `None` while that is in doubt.
    mode: Option<Mode>,
    /// When the server ends it, at the earliest.
    until: Moment,
}

impl Slot {
    fn open_session(&self) -> Option<Arc<Session>> {
        self.session.clone().filter(|session| session.is_open())
    }

    fn held(&self) -> Option<(Arc<Session>, Mode)> {
        self.open_session().zip(self.mode)
    }
}

/// A span in whole milliseconds, as the setting wants it; longer rather than shorter.
fn milliseconds(span: Duration) -> String {
    span.as_micros().div_ceil(1000).to_string()
}

impl AdvisoryStore {
    pub(crate) fn new(options: PostgresOptions, env: Env) -> Result<AdvisoryStore> {
        if options.is_pooled {
            return Err(behind_a_pooler());
        }
        let transport = Arc::new(Transport::new(options, env)?);
        let sessions = Sessions::new(transport.clone());
        Ok(AdvisoryStore { transport, sessions, claims: Locked::default() })
    }

    /// Fails if one server process serves two of our connections: then a pooler gives sessions from hand to hand.
    pub(crate) async fn check_sessions(&self) -> Result<()> {
        let session = self.sessions.take().await?;
        let rows = self.transport.query(&ADVISORY_SESSION, &[]).await?;
        if column::<i32>(&rows[0], 0)? == session.process {
            session.end();
            return Err(behind_a_pooler());
        }
        self.sessions.give_back(session);
        Ok(())
    }

    pub(crate) async fn diagnose(&self) -> Result<Vec<Finding>> {
        self.check_sessions().await?;
        doctor::of_table(&self.transport, None).await
    }

    fn slot(&self, id: ClaimId) -> Option<Arc<AsyncMutex<Slot>>> {
        self.claims.lock().get(&id).cloned()
    }

    /// Grants a claim to a session without a lock, or says who has it.
    async fn take(&self, claim: &Claim, slot: &mut Slot) -> Result<Standing> {
        let session = match slot.open_session() {
            // An earlier request of this claim may have been granted.
            Some(session) => {
                self.sessions.unlock(&session).await?;
                session
            }
            None => self.sessions.take().await?,
        };
        (slot.session, slot.mode) = (Some(session.clone()), None);
        let (key, sent) = (Key::of(&claim.name), self.transport.env.now());
        let arguments: [Argument<'_>; 5] = [
            &key.number,
            &key.space,
            &(claim.mode == Mode::Shared),
            &session_name(claim.id),
            &milliseconds(claim.ttl),
        ];
        let rows = self.sessions.query(&session, &ADVISORY_CLAIM, &arguments).await?;
        if column(&rows[0], 1)? {
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
    async fn convert(&self, claim: &Claim, slot: &mut Slot, session: &Session) -> Result<Standing> {
        let (key, sent) = (Key::of(&claim.name), self.transport.env.now());
        let ttl = claim.ttl.max(slot.until.since(sent));
        let shared = claim.mode == Mode::Shared;
        let arguments: [Argument<'_>; 4] = [&key.number, &key.space, &shared, &milliseconds(ttl)];
        // Until the answer it may be either.
        let before = slot.mode.take();
        let rows = self.sessions.query(session, &ADVISORY_CONVERT, &arguments).await?;
        slot.until = sent + ttl;
        if column(&rows[0], 1)? {
            slot.mode = Some(claim.mode);
            return Ok(Standing::Granted(Grant::lasting(None, ttl)));
        }
        slot.mode = before;
        Ok(Standing::Held(Busy { holder: None, ahead: None, recheck_in: RECHECK_MAX }))
    }

    /// Lets the session of a hold live on.
    async fn renew_slot(&self, claim: &Claim, slot: &mut Slot) -> Result<Renewal> {
        let Some((session, _)) = slot.held() else { return Ok(GONE) };
        let sent = self.transport.env.now();
        let ttl = claim.ttl.max(slot.until.since(sent));
        match self.sessions.query(&session, &ADVISORY_RENEW, &[&milliseconds(ttl)]).await {
            Ok(_) => {
                slot.until = sent + ttl;
                Ok(Renewal::Renewed { valid_for: ttl })
            }
            Err(error) if !session.is_open() && error.kind() != ErrorKind::Unsafe => Ok(GONE),
            Err(error) => Err(error),
        }
    }

    async fn holders(&self, name: &LockName) -> Result<Vec<Contender>> {
        let key = Key::of(name);
        let rows = self.transport.query(&ADVISORY_HOLDERS, &[&key.number, &key.space]).await?;
        rows.iter().filter_map(|row| holder(row, 0).transpose()).collect()
    }

    /// Ends the session of a claim of another client, or of all who have the lock.
    async fn terminate(&self, name: &LockName, session: Option<&str>) -> Result<Vec<Contender>> {
        let (key, limit) = (Key::of(name), (self.transport.options.timeout / 2).as_millis() as i64);
        let arguments: [Argument<'_>; 4] = [&key.number, &key.space, &session, &limit];
        let rows = self.transport.query(&ADVISORY_TERMINATE, &arguments).await;
        let rows = rows.map_err(|error| match error.to_string().contains("(42501)") {
            true => error.hint("the session is another user's: GRANT pg_signal_backend TO this one"),
            false => error,
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
        let mut held = slot.held().is_some();
        if let Some(session) = slot.open_session() {
            session.holds.store(false, Ordering::Release);
            match self.sessions.unlock(&session).await {
                Ok(()) => self.sessions.give_back(session),
                Err(error) if session.is_open() => return Err(error),
                Err(_) => held = false,
            }
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
    fn state(&self) -> &ClientState {
        &self.transport.state
    }

    async fn server_info(&self) -> Result<ServerInfo> {
        server_info::server_info(&self.transport).await
    }

    async fn claim(&self, claim: &Claim) -> Result<Standing> {
        let slot = match claim.intent {
            Intent::Hold => Some(self.claims.lock().entry(claim.id).or_default().clone()),
            Intent::Amend => self.slot(claim.id),
        };
        let Some(slot) = slot else { return Ok(Standing::Gone(LostReason::Gone)) };
        let mut slot = slot.lock().await;
        let kept = match slot.held() {
            Some((_, mode)) if mode == claim.mode => match self.renew_slot(claim, &mut slot).await? {
                Renewal::Renewed { valid_for } => Ok(Standing::Granted(Grant::lasting(None, valid_for))),
                Renewal::Gone(reason) => Ok(Standing::Gone(reason)),
            },
            Some((session, _)) => match self.convert(claim, &mut slot, &session).await {
                Err(_) if !session.is_open() => Ok(Standing::Gone(LostReason::Gone)),
                answer => answer,
            },
            None => Ok(Standing::Gone(LostReason::Gone)),
        };
        let standing = match kept {
            Ok(Standing::Gone(_)) if claim.intent == Intent::Hold => {
                Box::pin(self.take(claim, &mut slot)).await
            }
            answer => answer,
        };
        // A refused claim leaves nothing; one in doubt is undone by its release.
        if slot.open_session().is_none() {
            self.forget(claim.id, &mut slot);
        }
        standing
    }

    async fn renew(&self, claims: &[Claim]) -> Vec<Result<Renewal>> {
        let renew = async |claim: &Claim| match self.slot(claim.id) {
            Some(slot) => self.renew_slot(claim, &mut *slot.lock().await).await,
            None => Ok(GONE),
        };
        join_all(claims.iter().map(renew)).await
    }

    async fn release(&self, claim: &Claim) -> Result<Release> {
        let released = match self.slot(claim.id) {
            Some(slot) => self.release_own(claim.id, &slot).await?,
            None => !self.terminate(&claim.name, Some(&session_name(claim.id))).await?.is_empty(),
        };
        Ok(if released { Release::Released } else { Release::NotHeld })
    }

    async fn inspect(&self, name: &LockName) -> Result<Snapshot> {
        Ok(Snapshot::of(name.clone(), self.holders(name).await?))
    }

    async fn list(&self, _: &str, _: usize) -> Result<Vec<Snapshot>> {
        let message = "PostgreSQL has the numbers of advisory locks, not their names";
        Err(Error::new(ErrorKind::Unsupported, message)
            .hint("inspect a lock by its name; the view pg_locks has the numbers"))
    }

    async fn force_release(&self, name: &LockName) -> Result<Vec<Contender>> {
        self.terminate(name, None).await
    }

    async fn close(&self) -> Result<()> {
        if self.transport.close() {
            let claims = std::mem::take(&mut *self.claims.lock());
            // Given up in order, so that they are free when this returns; what does not answer ends with its connection.
            join_all(claims.iter().map(|(id, slot)| self.release_own(*id, slot))).await;
            self.sessions.close();
        }
        Ok(())
    }
}

impl fmt::Debug for AdvisoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AdvisoryStore").field(&self.transport.state.url).finish()
    }
}
