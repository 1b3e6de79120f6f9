//! The requests of a session. Each is sent at most once, and has to be answered within the time limit of the client.

use std::{future::Future, time::Duration};

use futures_util::future::join;
use leasehold_core::{Env, Error, Result, store_kit::in_time};
use zookeeper_client::{
    Acls, Client, CreateMode, Error as ClientError, MultiReadResult, MultiReader, MultiWriter, Stat,
};

use crate::error::{ServerError, unless_gone};

/// A session that was alive when it was asked for. It is closed when its last user drops it.
#[derive(Debug)]
pub(crate) struct LiveSession {
    pub(crate) zk: Client,
    /// The owner of its ephemeral nodes.
    pub(crate) id: i64,
    /// The silence after which the servers end it.
    pub(crate) timeout: Duration,
    /// The access list of the nodes that it creates.
    pub(crate) acls: Acls<'static>,
    /// The time limit of a request.
    pub(crate) limit: Duration,
    pub(crate) env: Env,
}

impl LiveSession {
    /// Waits for the answer to a request that changes nothing.
    pub(crate) async fn read<T>(
        &self,
        answer: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ServerError> {
        self.in_time(answer).await?.map_err(ServerError::reading)
    }

    /// Waits for the answer to a request that may change something.
    pub(crate) async fn write<T>(
        &self,
        answer: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ServerError> {
        self.in_time(answer).await.map_err(Error::unknown)?.map_err(ServerError::writing)
    }

    /// Waits for answers to requests that change nothing.
    pub(crate) async fn in_time<T>(&self, answer: impl Future<Output = T>) -> Result<T> {
        let answer = in_time(&self.env, self.limit, "answer", answer).await;
        answer.map_err(|error| error.hint("is a majority of the members running?"))
    }

    /// The content of a node, if it exists.
    pub(crate) async fn get(&self, path: &str) -> Result<Option<(Vec<u8>, Stat)>> {
        unless_gone(self.read(self.zk.get_data(path)).await)
    }

    /// The children of a node after all earlier writes of any client; none without the node. Both are below `root`.
    pub(crate) async fn children(&self, root: &str, path: &str) -> Result<Vec<String>> {
        let both = join(self.zk.sync(root), self.zk.list_children(path));
        let (synced, listed) = self.in_time(both).await?;
        unless_gone(synced.map_err(ServerError::reading))?;
        Ok(unless_gone(listed.map_err(ServerError::reading))?.unwrap_or_default())
    }

    /// Reads several nodes with one request.
    pub(crate) async fn read_all<'s>(
        &'s self,
        paths: &[String],
        add: fn(&mut MultiReader<'s>, &str) -> Result<(), ClientError>,
    ) -> Result<Vec<MultiReadResult>, ServerError> {
        let mut reader = self.zk.new_multi_reader();
        for path in paths {
            add(&mut reader, path).map_err(ServerError::reading)?;
        }
        self.read(reader.commit()).await
    }

    /// Creates a node; whether it was not there.
    pub(crate) async fn create(
        &self,
        path: &str,
        data: &[u8],
        mode: CreateMode,
    ) -> Result<bool, ServerError> {
        match self.write(self.zk.create(path, data, &mode.with_acls(self.acls))).await {
            Ok(_) => Ok(true),
            Err(ServerError::NodeExists) => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// Writes a node; `None` when it does not exist.
    pub(crate) async fn set(&self, path: &str, data: &[u8]) -> Result<Option<Stat>> {
        unless_gone(self.write(self.zk.set_data(path, data, None)).await)
    }

    /// Deletes a node; whether it was there, in this version.
    pub(crate) async fn delete(&self, path: &str, version: Option<i32>) -> Result<bool> {
        match self.write(self.zk.delete(path, version)).await {
            Ok(()) => Ok(true),
            Err(ServerError::NoNode | ServerError::BadVersion) => Ok(false),
            Err(other) => Err(other.into()),
        }
    }

    /// Does all writes or none.
    pub(crate) async fn transact(
        &self,
        fill: impl FnOnce(&mut MultiWriter<'_>) -> Result<(), ClientError>,
    ) -> Result<(), ServerError> {
        let mut writer = self.zk.new_multi_writer();
        fill(&mut writer).map_err(ServerError::writing)?;
        let done = self.in_time(writer.commit()).await.map_err(Error::unknown)?;
        done.map(drop).map_err(|failure| ServerError::writing(failure.into()))
    }
}
