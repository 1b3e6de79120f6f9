//! Writes that happen only while a claim holds its lock, in one transaction with the check.

use leasehold_core::{ClaimId, Error, ErrorKind, LockName, Lost, LostReason, Result};
use zookeeper_client::{CreateMode, MultiWriteError};

use crate::{
    client::ClientState,
    error::{Effect, ServerError},
    node_name::NodeKind,
    own_claims::NodeState,
    session::LiveSession,
    store::ZooKeeperStore,
};

/// A change of a node outside of the locks. Paths are absolute: the chroot of the locks is not put before them.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Write {
    /// Makes a node that stays.
    Create {
        /// Where.
        path: String,
        /// What is in it.
        data: Vec<u8>,
    },
    /// Writes a node that is there.
    Set {
        /// Which.
        path: String,
        /// What is in it from now on.
        data: Vec<u8>,
        /// Only when the node has this version.
        version: Option<i32>,
    },
    /// Deletes a node.
    Delete {
        /// Which.
        path: String,
        /// Only when the node has this version.
        version: Option<i32>,
    },
}

impl ZooKeeperStore {
    /// Does all of the writes, or none, and none unless this claim holds the lock at that very moment: the check and the
    /// writes are one transaction of the servers. No pause and no delay can bring a late write past it (level **T** of
    /// SAFETY.md).
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] when the claim does not hold the lock; `Rejected` when one of the writes cannot be done. In both
    /// cases nothing was written. Those of the connection write_phase whether it may have been.
    ///
    /// # Cancel safety
    /// A future that is dropped has written all or nothing.
    pub async fn write_if_held(&self, lock: &LockName, id: ClaimId, writes: &[Write]) -> Result<()> {
        self.explain(write(&self.shared, lock, id, writes).await, "write", lock)
    }
}

async fn write(shared: &ClientState, lock: &LockName, id: ClaimId, writes: &[Write]) -> Result<()> {
    shared.link.refuse_closed()?;
    let live = shared.link.ready().await?;
    let path = path_of(shared, &live, lock, id).await?.ok_or_else(lost)?;
    let mut writer = live.client.new_multi_writer();
    let fail = |foreign| ServerError::of(foreign, Effect::Writes).into_error();
    writer.add_check_version(&path, -1).map_err(fail)?;
    for write in writes {
        let added = match write {
            Write::Create { path, data } => {
                writer.add_create(path, data, &CreateMode::Persistent.with_acls(shared.link.acls()))
            }
            Write::Set { path, data, version } => writer.add_set_data(path, data, *version),
            Write::Delete { path, version } => writer.add_delete(path, *version),
        };
        added.map_err(fail)?;
    }
    match shared.link.in_time(Effect::Writes, writer.commit()).await? {
        Ok(_) => Ok(()),
        Err(MultiWriteError::OperationFailed { index: 0, .. }) => Err(lost()),
        Err(MultiWriteError::OperationFailed { index, source }) => {
            let message = format!("write number {index} cannot be done: {source}; nothing was written");
            Err(Error::new(ErrorKind::Rejected, message))
        }
        Err(MultiWriteError::RequestFailed { source }) => Err(fail(source)),
    }
}

fn lost() -> Error {
    Error::from(Lost { reason: LostReason::Gone, certain: true })
}

/// The node of a hold: as this client was granted it, or as the servers show it.
async fn path_of(
    shared: &ClientState,
    live: &LiveSession,
    lock: &LockName,
    id: ClaimId,
) -> Result<Option<String>> {
    if let Some(turn) = shared.registry.known(id).await {
        return Ok(match &turn.place {
            NodeState::At(node) if node.is_granted() => Some(node.path.clone()),
            _ => None,
        });
    }
    let snapshot =
        crate::verbs::inspect::holding(shared, live, lock).await.map_err(ServerError::into_error)?;
    let mut holders = snapshot.into_iter();
    let found =
        holders.find(|member| member.sibling.id == Some(id) && member.sibling.kind == NodeKind::Contender);
    Ok(found.map(|member| member.path))
}
