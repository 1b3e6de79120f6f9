//! The operations `inspect` and `server_info`.

use leasehold_core::{LockName, Result, ServerInfo, Snapshot};

use crate::{client::Client, keys::LockKeys};

impl Client {
    pub(crate) async fn inspect(&self, name: &LockName) -> Result<Snapshot> {
        Ok(self.record(&LockKeys::of(name)).await?.snapshot(name))
    }

    pub(crate) async fn server_info(&self) -> Result<ServerInfo> {
        let server = self.transport.refreshed_server().await?;
        Ok(ServerInfo {
            server: server.name.clone(),
            lineage: None,
            remembers_for: server.remembers_for(self.env.now()),
            wall_us: server.second.saturating_mul(1_000_000),
        })
    }
}
