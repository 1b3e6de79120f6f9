//! A file. What can fail are the processes that use it.

use std::time::Duration;

use tempfile::TempDir;

use super::{Promise, Scene, ttl};
use crate::torture::{dice::Dice, failure::Result, nemesis::Strike, network::Network};

pub(super) struct Sqlite(TempDir);

impl Sqlite {
    pub(super) fn start() -> Result<Self> {
        Ok(Self(tempfile::Builder::new().prefix("leasehold-torture-sqlite-").tempdir()?))
    }
}

impl Scene for Sqlite {
    fn url(&self, _: usize) -> String {
        format!("sqlite:{}?{}", self.0.path().join("locks.db").display(), ttl())
    }

    fn servers(&self, _: usize) -> Vec<String> {
        Vec::new()
    }

    fn network(&self) -> Option<&Network> {
        None
    }

    fn promise(&self) -> Promise {
        Promise { clocks: true, memory: true, heal_bound: Duration::from_secs(8) }
    }

    fn strike(&self, _: &mut Dice) -> Result<Option<Strike<'_>>> {
        Ok(None)
    }

    fn mend(&self) -> Result<()> {
        Ok(())
    }
}
