//! The operation `server_info`.

use std::time::Duration;

use leasehold_core::{Error, ErrorKind, Result, ServerInfo};
use zookeeper_client::{Acls, CreateMode};

use crate::{
    client::Client,
    error::{Effect, ServerError},
    session::LiveSession,
};

/// The identity of the store: a random number that the first client ever has written, for all clients under any chroot.
pub(crate) async fn server_info(client: &Client) -> Result<ServerInfo> {
    let live = client.session.ready().await?;
    let [ensemble, chroot] = client.paths.identities();
    let server = match identity(client, &live, &ensemble).await.map_err(ServerError::into_error) {
        // A user without access outside of the chroot gets the identity of the chroot.
        Err(error) if error.kind() == ErrorKind::Rejected => identity(client, &live, &chroot).await,
        other => other.map_err(ServerError::from),
    };
    Ok(ServerInfo {
        server: server.map_err(ServerError::into_error)?.into(),
        lineage: None,
        remembers_for: Duration::MAX,
        wall_us: client.env.wall_us(),
    })
}

async fn identity(client: &Client, live: &LiveSession, path: &str) -> Result<String, ServerError> {
    let session = &client.session;
    for _ in 0..3 {
        match session.ask(Effect::Reads, live.zk.get_data(path)).await {
            Ok((data, _)) => return Ok(String::from_utf8_lossy(&data).into_owned()),
            Err(ServerError::NoNode) => {}
            Err(other) => return Err(other),
        }
        // Everybody may read it, and only its creator may change it.
        let acls = session.acls_to_read();
        let persistent = CreateMode::Persistent.with_acls(Acls::new(&acls));
        let above = path.rsplit_once('/').map_or("/", |(above, _)| above);
        session.ask(Effect::Writes, live.zk.mkdir(above, &persistent)).await?;
        let number = format!("zookeeper {:032x}", client.env.random());
        match session.ask(Effect::Writes, live.zk.create(path, number.as_bytes(), &persistent)).await {
            Ok(_) | Err(ServerError::NodeExists) => {}
            Err(other) => return Err(other),
        }
    }
    Err(Error::new(ErrorKind::Corrupt, "the node with the identity of this store comes and goes").into())
}
