//! The operation `server_info`.

use std::time::Duration;

use leasehold_core::{Error, ErrorKind, Result, ServerInfo};
use zookeeper_client::{Acl, Acls, CreateMode};

use crate::{client::Client, error::ServerError, txn::LiveSession};

/// The identity of the store: a random number that the first client ever has written, for all clients under any chroot.
pub(crate) async fn server_info(client: &Client) -> Result<ServerInfo> {
    let live = client.session.ready().await?;
    let [ensemble, chroot] = client.paths.identities();
    let server = match identity(&live, &ensemble).await {
        // A user without access outside of the chroot gets the identity of the chroot.
        Err(error) if error.kind() == ErrorKind::Rejected => identity(&live, &chroot).await?,
        other => other?,
    };
    let wall_us = client.env.wall_us();
    Ok(ServerInfo { server: server.into(), lineage: None, remembers_for: Duration::MAX, wall_us })
}

async fn identity(live: &LiveSession, path: &str) -> Result<String> {
    // Everybody may read it, and only its creator may change it.
    let acls: Vec<Acl> = live.acls.iter().chain(&*Acls::anyone_read()).cloned().collect();
    let persistent = CreateMode::Persistent.with_acls(Acls::new(&acls));
    for _ in 0..3 {
        if let Some((data, _)) = live.get(path).await? {
            return Ok(String::from_utf8_lossy(&data).into_owned());
        }
        let above = path.rsplit_once('/').map_or("/", |(above, _)| above);
        live.write(live.zk.mkdir(above, &persistent)).await?;
        let number = format!("zookeeper {:032x}", live.env.random());
        match live.write(live.zk.create(path, number.as_bytes(), &persistent)).await {
            Ok(_) | Err(ServerError::NodeExists) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Err(Error::new(ErrorKind::Corrupt, "the node with the identity of this store comes and goes"))
}
