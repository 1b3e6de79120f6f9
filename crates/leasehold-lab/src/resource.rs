//! [`Resource`]: what the lock protects: a number that holders read, raise by one and write back.

use std::{
    fmt,
    str::FromStr,
    sync::{Arc, Mutex},
};

use leasehold_core::{Env, FencingToken};
use tokio::sync::oneshot;

use crate::world::{Process, Way, lock};

/// What a resource does with tokens.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Fence {
    /// Nothing.
    None,
    /// It refuses a write with an older token than it has seen in a write.
    OnWrite,
    /// It is shown the token by whoever reads, and refuses older ones from then on.
    ByClaim,
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fence::None => "none",
            Fence::OnWrite => "on-write",
            Fence::ByClaim => "by-claim",
        })
    }
}

impl FromStr for Fence {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Fence::None, Fence::OnWrite, Fence::ByClaim];
        all.into_iter()
            .find(|fence| fence.to_string() == text)
            .ok_or_else(|| format!("there is no fence `{text}`"))
    }
}

/// A number behind the network.
#[derive(Clone)]
pub struct Resource(Arc<Shared>);

struct Shared {
    process: Process,
    fence: Fence,
    cell: Mutex<Cell>,
}

#[derive(Clone, Copy, Default)]
struct Cell {
    value: u64,
    mark: Option<FencingToken>,
}

impl Resource {
    /// A resource in a process of its own.
    pub fn new(process: Process, fence: Fence) -> Resource {
        Resource(Arc::new(Shared { process, fence, cell: Mutex::default() }))
    }

    /// The process that it is.
    pub fn process(&self) -> &Process {
        &self.0.process
    }

    /// Its value.
    pub fn value(&self) -> u64 {
        lock(&self.0.cell).value
    }

    fn admits(&self, cell: &mut Cell, token: Option<FencingToken>) -> bool {
        let is_new = token >= cell.mark;
        if is_new {
            cell.mark = token;
        }
        is_new
    }

    fn look(&self, token: Option<FencingToken>) -> Option<u64> {
        let mut cell = lock(&self.0.cell);
        let may = self.0.fence != Fence::ByClaim || self.admits(&mut cell, token);
        may.then_some(cell.value)
    }

    fn put(&self, token: Option<FencingToken>, value: u64) -> bool {
        let mut cell = lock(&self.0.cell);
        let may = self.0.fence == Fence::None || self.admits(&mut cell, token);
        if may {
            cell.value = value;
        }
        may
    }

    /// Reads it from another process; `None` when no answer came in time, `Some(None)` when the token was refused.
    ///
    /// # Cancel safety
    /// Cancel safe; the token may have been shown.
    pub async fn read(&self, from: &Process, env: &Env, token: Option<FencingToken>) -> Option<Option<u64>> {
        self.ask(from, env, move |resource| resource.look(token)).await
    }

    /// Writes it from another process, and answers whether it was accepted; `None` when no answer came in time.
    ///
    /// # Cancel safety
    /// Dropping the future leaves it written or not.
    pub async fn write(
        &self,
        from: &Process,
        env: &Env,
        token: Option<FencingToken>,
        value: u64,
    ) -> Option<bool> {
        self.ask(from, env, move |resource| resource.put(token, value)).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        from: &Process,
        env: &Env,
        question: impl Fn(&Resource) -> T + Send + Sync + 'static,
    ) -> Option<T> {
        let way = Way { from: from.number(), to: self.0.process.number() };
        let back = Way { from: way.to, to: way.from };
        let (answer, reply) = oneshot::channel();
        let answer = Arc::new(Mutex::new(Some(answer)));
        let (resource, world) = (self.clone(), from.world().clone());
        from.world().send(way, move |_| {
            let (answer, answered) = (answer.clone(), Mutex::new(Some(question(&resource))));
            world.send(back, move |_| {
                if let (Some(answer), Some(answered)) = (lock(&answer).take(), lock(&answered).take()) {
                    // Who does not wait any more is not told.
                    let _ = answer.send(answered);
                }
            });
        });
        let heard =
            async { if let Ok(answered) = reply.await { answered } else { std::future::pending().await } };
        env.until(env.now() + crate::stage::PATIENCE, heard).await
    }
}
