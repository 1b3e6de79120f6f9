//! Raw Redis commands: `SET NX PX`, and at the end `DEL` with or without a comparison. On several servers a majority
//! decides, as in Redlock; the elapsed time is not subtracted from the time to live.

use std::time::Duration;

use super::{Acquired, HoldState, Lock};
use crate::{
    naive_redis::NaiveRedis,
    real_world::{model::TTL, workload::Workload},
    rng::Rng,
    sync::StopFlag,
};

pub(super) struct RawRedis {
    client: NaiveRedis,
    is_bare: bool,
    rng: Rng,
    never: StopFlag,
}

impl RawRedis {
    pub(super) fn new(servers: &[String], workload: Workload, seed: u64) -> Self {
        let client = NaiveRedis::new(servers, &format!("raw-{}", workload.name()), "", TTL);
        let (is_bare, rng) = (workload == Workload::Bare, Rng::new(seed).split(workload as u64));
        Self { client, is_bare, rng, never: StopFlag::default() }
    }

    fn vote(&mut self) -> Acquired {
        self.client.id = format!("{:016x}", self.rng.next_u64());
        let votes = self.client.set();
        if votes.won() {
            return Acquired::Granted(None);
        }
        if votes.granted > 0 {
            self.release();
        }
        if votes.answered == 0 { Acquired::Failed { unknown: true } } else { Acquired::Busy }
    }
}

impl Lock for RawRedis {
    fn acquire(&mut self, wait: Duration) -> Acquired {
        let mut left = wait;
        loop {
            let answer = self.vote();
            let pause = self.rng.span_ms(10, 40);
            left = left.saturating_sub(pause);
            if !matches!(answer, Acquired::Busy) || left.is_zero() {
                return answer;
            }
            self.never.wait(pause);
        }
    }

    fn hold(&self) -> HoldState {
        HoldState::default()
    }

    fn release(&mut self) -> bool {
        if self.is_bare { self.client.delete() } else { self.client.compare_and_delete() }
    }
}
