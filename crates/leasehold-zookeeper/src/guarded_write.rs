//! Writes that happen only while a claim holds its lock, in one transaction with the check.

use leasehold_core::{
    ClaimId, Error, ErrorKind, LockName, Lost, LostReason, Result, Stance, Store, store_kit::Explain,
};
use zookeeper_client::{CreateMode, MultiWriteError};

use crate::{
    client::Client, error::ServerError, lock_record::LockRecord, own_claims::NodeState,
    store::ZooKeeperStore, verbs::inspect,
};

/// A change of a node outside of the locks. Paths are absolute: the chroot of the locks is not put before them.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum NodeWrite {
    /// Creates a persistent node.
    Create {
        /// The path.
        path: String,
        /// The content.
        data: Vec<u8>,
    },
    /// Writes a present node.
    Set {
        /// The path.
        path: String,
        /// The new content.
        data: Vec<u8>,
        /// The version that the node must have, if any.
        version: Option<i32>,
    },
    /// Deletes a node.
    Delete {
        /// The path.
        path: String,
        /// The version that the node must have, if any.
        version: Option<i32>,
    },
}

impl ZooKeeperStore {
    /// Does all of the writes or none, and none unless this claim holds the lock at that moment: the check and the writes are
    /// one transaction of the servers. No pause and no delay can bring a late write past it (level **T** of SAFETY.md).
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] when the claim does not hold the lock; `Rejected` when one of the writes cannot be done. In both
    /// cases nothing was written. Other errors say whether it may have been.
    ///
    /// # Cancel safety
    /// A future that is dropped has written all or nothing.
    pub async fn write_if_held(&self, lock: &LockName, id: ClaimId, writes: &[NodeWrite]) -> Result<()> {
        write(&self.client, lock, id, writes).await.explain("write", lock, self.url())
    }
}

async fn write(client: &Client, lock: &LockName, id: ClaimId, writes: &[NodeWrite]) -> Result<()> {
    let lock = client.lock(lock).await?;
    let path = path_of(&lock, id).await?.ok_or_else(lost)?;
    let mut writer = lock.live.zk.new_multi_writer();
    writer.add_check_version(&path, -1).map_err(ServerError::writing)?;
    for write in writes {
        let added = match write {
            NodeWrite::Create { path, data } => {
                writer.add_create(path, data, &CreateMode::Persistent.with_acls(lock.live.acls))
            }
            NodeWrite::Set { path, data, version } => writer.add_set_data(path, data, *version),
            NodeWrite::Delete { path, version } => writer.add_delete(path, *version),
        };
        added.map_err(ServerError::writing)?;
    }
    match lock.live.in_time(writer.commit()).await.map_err(Error::unknown)? {
        Ok(_) => Ok(()),
        Err(MultiWriteError::OperationFailed { index: 0, .. }) => Err(lost()),
        Err(MultiWriteError::OperationFailed { index, source }) => {
            let message = format!("write number {index} cannot be done: {source}; nothing was written");
            Err(Error::new(ErrorKind::Rejected, message))
        }
        Err(MultiWriteError::RequestFailed { source }) => Err(ServerError::writing(source).into()),
    }
}

fn lost() -> Error {
    Error::from(Lost { reason: LostReason::Gone, certain: true })
}

/// The node of a hold: as granted to this client, or as the servers show it.
async fn path_of(lock: &LockRecord<'_>, id: ClaimId) -> Result<Option<String>> {
    if let Some(own) = lock.client.own_claims.known(id).await {
        return Ok(match &own.node {
            NodeState::At(node) if node.is_granted() => Some(lock.child(&node.name.name)),
            _ => None,
        });
    }
    let members = inspect::members(lock, &lock.children().await?).await?;
    let holder = members.iter().find(|(stance, it)| *stance == Stance::Holding && it.name.is_of(id));
    Ok(holder.map(|(_, member)| lock.child(&member.name.name)))
}
