//! [`Client`]: the state that all verbs of one store share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use leasehold_core::{
    Capability, ClaimId, Env, Result, Revalidations,
    store_kit::{ClientState, InDoubt},
};

use crate::{listener::Listener, options::PostgresOptions, transport::Transport};

/// The number of claims in doubt that are remembered.
const IN_DOUBT_MAX: usize = 4096;
/// The longest time after which a request may still be carried out.
pub(crate) const DELIVERY_MAX: Duration = Duration::from_secs(60);

/// The state that all verbs of one store share.
pub(crate) struct Client {
    pub(crate) env: Env,
    pub(crate) capability: Capability,
    /// Names this client in the database.
    pub(crate) number: i64,
    pub(crate) state: ClientState,
    pub(crate) transport: Arc<Transport>,
    pub(crate) listener: Listener,
    pub(crate) revalidations: Revalidations,
    pub(crate) in_doubt: InDoubt,
    /// When the server that answered last was started; zero before the first answer.
    server_start: AtomicI64,
}

impl Client {
    pub(crate) fn new(options: PostgresOptions, env: Env) -> Result<Client> {
        options.check()?;
        let (capability, revalidations) = (options.capability(), Revalidations::default());
        let number = (env.random() as i64) & i64::MAX;
        let transport = Arc::new(Transport::new(options, env.clone(), revalidations.clone()));
        Ok(Client {
            listener: Listener::new(transport.clone(), number),
            capability,
            number,
            state: ClientState::default(),
            transport,
            revalidations,
            in_doubt: InDoubt::new(IN_DOUBT_MAX),
            server_start: AtomicI64::default(),
            env,
        })
    }

    /// Marks a claim as in doubt when the outcome of its request is unknown.
    pub(crate) fn mark_in_doubt<T>(&self, id: ClaimId, result: &Result<T>) {
        let now = self.env.now();
        self.in_doubt.mark_unknown(id, result, now + DELIVERY_MAX, now);
    }

    /// Has all holds renewed when the server that answers was started at another time than the last one: a pooler keeps its
    /// connections with clients when a standby is promoted behind it, which may not have every grant.
    pub(crate) fn answered_by(&self, server_start: i64) {
        let before = self.server_start.swap(server_start, Ordering::AcqRel);
        if before != 0 && before != server_start {
            self.revalidations.raise_sparingly(&self.env);
        }
    }

    /// Ends its connections. Its holds end with their time to live.
    pub(crate) fn close(&self) {
        if self.state.close() {
            self.listener.close();
            self.transport.close();
        }
    }
}
