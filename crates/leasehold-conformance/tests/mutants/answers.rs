//! The answers of broken stores.

use std::time::Duration;

use leasehold_core::{Busy, Claim, Contender, FencingToken, Grant, Intent, Mode, Queueing, Standing};

use super::{bug::Bug, store::Mutant};

impl Mutant {
    /// The answer as the broken store tells it.
    pub(super) fn retell(&self, claim: &Claim, standing: Standing) -> Standing {
        match standing {
            Standing::Granted(mut grant) => {
                let first = self.ledger().holders.insert(claim.name.clone(), claim.clone());
                grant.fence = self.retell_fence(claim, first, grant.fence);
                match self.bug {
                    Bug::ValidForOverstated => grant.valid_for *= 10,
                    Bug::TtlHalved => grant.valid_for = claim.ttl,
                    Bug::GrantForgets => grant.remembers_for = Duration::ZERO,
                    _ => {}
                }
                self.ledger().grants.entry(claim.id).or_insert(grant.fence.unwrap_or(FencingToken::MAX));
                Standing::Granted(grant)
            }
            Standing::Waiting(busy) if self.is(Bug::HeldLeavesATrace) && claim.queueing == Queueing::No => {
                Standing::Held(busy)
            }
            Standing::Held(busy) if self.is(Bug::WriterHasNoPlace) && claim.queueing != Queueing::No => {
                Standing::Waiting(busy)
            }
            Standing::Held(_) if self.is(Bug::UpgradeAmongReaders) && claim.intent == Intent::Amend => {
                let fence = self.ledger().grants.get(&claim.id).copied();
                Standing::Granted(Grant::lasting(fence, claim.ttl))
            }
            Standing::Held(busy) => Standing::Held(self.retell_busy(busy)),
            Standing::Waiting(busy) => {
                self.ledger().waiting.push(claim.id);
                Standing::Waiting(self.retell_busy(busy))
            }
            other => other,
        }
    }

    fn retell_busy(&self, mut busy: Busy) -> Busy {
        match self.bug {
            Bug::RecheckTooLate => busy.recheck_in = Duration::from_secs(3600),
            Bug::RecheckZero => busy.recheck_in = Duration::ZERO,
            Bug::WrongHolder => {
                busy.holder = busy.holder.map(|holder| Contender { tag: !holder.tag, ..holder })
            }
            _ => {}
        }
        busy
    }

    fn retell_fence(
        &self,
        claim: &Claim,
        first: Option<Claim>,
        fence: Option<FencingToken>,
    ) -> Option<FencingToken> {
        let mut ledger = self.ledger();
        let known = ledger.grants.get(&claim.id).copied();
        let own = |number: u64| FencingToken::new(number).ok();
        match self.bug {
            Bug::TokensRepeat => own(7),
            Bug::TokensMissing => None,
            Bug::ReadersShareAToken if claim.mode == Mode::Shared => {
                first.and_then(|first| ledger.grants.get(&first.id).copied()).or(fence)
            }
            Bug::FloorLowers if claim.fence_floor.is_some() => claim.fence_floor,
            Bug::TokensGrowOnRepeat | Bug::RenewGrantsAnew => {
                let counter = ledger.counters.entry(claim.name.clone()).or_default();
                *counter += u64::from(known.is_none() || self.is(Bug::TokensGrowOnRepeat));
                own(*counter)
            }
            Bug::CountersDieWithTheLock | Bug::ForceKeepsTheToken => known.or_else(|| {
                let counter = ledger.counters.entry(claim.name.clone()).or_default();
                *counter += 1;
                own(*counter)
            }),
            _ => fence,
        }
    }
}
