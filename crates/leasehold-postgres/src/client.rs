//! [`Client`]: the state that all verbs of one store share.

use std::{sync::Arc, time::SystemTime};

use leasehold_core::{
    Env, Result,
    store_kit::{InDoubt, Locked},
};

use crate::{listener::Listener, options::PostgresOptions, transport::Transport};

/// The number of claims in doubt that are remembered.
const IN_DOUBT_MAX: usize = 4096;

pub(crate) struct Client {
    /// Names this client in the database.
    pub(crate) number: i64,
    pub(crate) transport: Arc<Transport>,
    pub(crate) listener: Listener,
    pub(crate) in_doubt: InDoubt,
    /// When the server that answered last was started.
    server_start: Locked<Option<SystemTime>>,
}

impl Client {
    pub(crate) fn new(options: PostgresOptions, env: Env) -> Result<Client> {
        let number = (env.random() as i64) & i64::MAX;
        let transport = Arc::new(Transport::new(options, env)?);
        let listener = Listener::new(transport.clone(), number);
        let (in_doubt, server_start) = (InDoubt::new(IN_DOUBT_MAX), Locked::default());
        Ok(Client { number, transport, listener, in_doubt, server_start })
    }

    /// Has all holds renewed when the server that answers was started at another time than the last one: a pooler keeps its
    /// connections with clients when a standby is promoted behind it, which may not have every grant.
    pub(crate) fn answered_by(&self, server_start: SystemTime) {
        let before = self.server_start.lock().replace(server_start);
        if before.is_some_and(|before| before != server_start) {
            self.transport.state.revalidations.raise_sparingly(&self.transport.env);
        }
    }
}
