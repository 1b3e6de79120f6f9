//! [`Prefix`]: all names of one tenant under one prefix.

use std::sync::Arc;

use crate::{
    BoxFuture, Capability, Claim, Contender, Interest, LockName, Release, Renewal, Result, ServerInfo,
    Snapshot, Standing, Store, Wake,
};

/// Puts a prefix before every name, so that tenants of one store do not meet.
#[derive(Debug)]
pub struct Prefix {
    inner: Arc<dyn Store>,
    prefix: String,
}

impl Prefix {
    /// Wraps `inner`. The prefix counts towards the length of names.
    pub fn new(inner: Arc<dyn Store>, prefix: impl Into<String>) -> Self {
        Prefix { inner, prefix: prefix.into() }
    }

    fn outer(&self, name: &LockName) -> Result<LockName> {
        LockName::new(format!("{}{}", self.prefix, name.as_str()))
    }

    fn outer_claim(&self, claim: &Claim) -> Result<Claim> {
        Ok(Claim { name: self.outer(&claim.name)?, ..claim.clone() })
    }

    fn inner_snapshot(&self, snapshot: Snapshot) -> Option<Snapshot> {
        let name = LockName::new(snapshot.name.as_str().strip_prefix(&self.prefix)?).ok()?;
        Some(Snapshot { name, ..snapshot })
    }
}

impl Store for Prefix {
    forward_unchanged!();

    fn claim<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Standing>> {
        Box::pin(async move { self.inner.claim(&self.outer_claim(claim)?).await })
    }

    fn renew<'a>(&'a self, claims: &'a [Claim]) -> BoxFuture<'a, Vec<Result<Renewal>>> {
        Box::pin(async move {
            let outer: Result<Vec<Claim>> = claims.iter().map(|claim| self.outer_claim(claim)).collect();
            match outer {
                Ok(outer) => self.inner.renew(&outer).await,
                // A name that is too long was refused when it was claimed, so nothing of it can be held.
                Err(_) => claims
                    .iter()
                    .map(|claim| Err(self.outer(&claim.name).err().unwrap_or_else(never)))
                    .collect(),
            }
        })
    }

    fn release<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Release>> {
        Box::pin(async move { self.inner.release(&self.outer_claim(claim)?).await })
    }

    fn watch<'a>(&'a self, name: &'a LockName, interest: Interest) -> BoxFuture<'a, Result<Box<dyn Wake>>> {
        Box::pin(async move { self.inner.watch(&self.outer(name)?, interest).await })
    }

    fn inspect<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Snapshot>> {
        Box::pin(async move {
            let snapshot = self.inner.inspect(&self.outer(name)?).await?;
            Ok(Snapshot { name: name.clone(), ..snapshot })
        })
    }

    fn list<'a>(&'a self, prefix: &'a str, limit: usize) -> BoxFuture<'a, Result<Vec<Snapshot>>> {
        Box::pin(async move {
            let snapshots = self.inner.list(&format!("{}{prefix}", self.prefix), limit).await?;
            Ok(snapshots.into_iter().filter_map(|snapshot| self.inner_snapshot(snapshot)).collect())
        })
    }

    fn force_release<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Vec<Contender>>> {
        Box::pin(async move { self.inner.force_release(&self.outer(name)?).await })
    }
}

fn never() -> crate::Error {
    crate::Error::new(crate::ErrorKind::Invalid, "another claim of the batch has a name that is too long")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{ClaimId, ErrorKind, env::Virtual, memory::Memory};

    #[test]
    fn tenants_do_not_meet_and_names_come_back_as_they_were() {
        let world = Virtual::new(1);
        let memory = Memory::new(world.env());
        let tenant = |prefix: &str| Prefix::new(Arc::new(memory.clone()), prefix);
        let (a, b) = (tenant("a/"), tenant("b/"));
        let claim =
            |id| Claim::new(LockName::new("x").unwrap(), ClaimId::from_bits(id), Duration::from_secs(1));
        world.block_on(async {
            assert!(matches!(a.claim(&claim(1)).await.unwrap(), Standing::Granted(_)));
            assert!(matches!(b.claim(&claim(2)).await.unwrap(), Standing::Granted(_)));
            let listed = a.list("", 10).await.unwrap();
            assert_eq!(listed.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["x"]);
            assert_eq!(memory.list("a/", 10).await.unwrap()[0].name.as_str(), "a/x");
            let long = Claim { name: LockName::new("x".repeat(512)).unwrap(), ..claim(3) };
            assert_eq!(a.claim(&long).await.unwrap_err().kind(), ErrorKind::Invalid);
        });
    }
}
