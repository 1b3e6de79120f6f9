//! Wake-ups of broken stores.

use leasehold_core::{BoxFuture, ClaimId, Interest, LockName, Result, Store, Wake, memory::Memory};

use super::{bug::Bug, names::distort, store::Mutant};

pub(crate) async fn watch(mutant: &Mutant, name: &LockName, interest: Interest) -> Result<Box<dyn Wake>> {
    let name = distort(mutant.bug, name);
    let interest = match (mutant.bug, interest) {
        (Bug::WakeHerd, _) => Interest::Changes,
        (Bug::ChangesUnheard, Interest::Changes) => Interest::Turn(ClaimId::from_bits(0)),
        (_, other) => other,
    };
    let wake = mutant.inner.watch(&name, interest).await?;
    Ok(match mutant.bug {
        Bug::WakeNever => Box::new(Deaf),
        Bug::WakeSubscribesLate => Box::new(Late { inner: mutant.inner.clone(), name, interest, wake: None }),
        Bug::WakeForgetsOnDrop => Box::new(Forgetful { wake, inner: mutant.inner.clone(), name, interest }),
        Bug::ArrivalsUnheard if interest == Interest::Changes => {
            let tags = tags(&mutant.inner, &name).await?;
            Box::new(Narrow { wake, inner: mutant.inner.clone(), name, tags })
        }
        _ => wake,
    })
}

async fn tags(memory: &Memory, name: &LockName) -> Result<Vec<u32>> {
    Ok(memory.inspect(name).await?.holders.iter().map(|holder| holder.tag).collect())
}

/// Wakes when others hold, and for nothing else.
struct Narrow {
    wake: Box<dyn Wake>,
    inner: Memory,
    name: LockName,
    tags: Vec<u32>,
}

impl Wake for Narrow {
    fn wait(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            loop {
                self.wake.wait().await?;
                let now = tags(&self.inner, &self.name).await?;
                if std::mem::replace(&mut self.tags, now.clone()) != now {
                    return Ok(());
                }
            }
        })
    }
}

/// Never wakes.
struct Deaf;

impl Wake for Deaf {
    fn wait(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(std::future::pending())
    }
}

/// Subscribes when it is first waited for.
struct Late {
    inner: Memory,
    name: LockName,
    interest: Interest,
    wake: Option<Box<dyn Wake>>,
}

impl Wake for Late {
    fn wait(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            if self.wake.is_none() {
                self.wake = Some(self.inner.watch(&self.name, self.interest).await?);
            }
            match &mut self.wake {
                Some(wake) => wake.wait().await,
                None => std::future::pending().await,
            }
        })
    }
}

/// Subscribes anew at every wait: news in between is lost.
struct Forgetful {
    wake: Box<dyn Wake>,
    inner: Memory,
    name: LockName,
    interest: Interest,
}

impl Wake for Forgetful {
    fn wait(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.wake = self.inner.watch(&self.name, self.interest).await?;
            self.wake.wait().await
        })
    }
}
