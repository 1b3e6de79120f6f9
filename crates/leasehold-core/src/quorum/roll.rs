//! Who the members are: asked when the quorum is first used, when one may have changed, and from time to time.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{
    Core,
    fan::{Fan, Next},
    seat::Seat,
};
use crate::{Error, ErrorKind, FencingToken, Member, Result};

/// A member is asked again who it is when that is as old as this.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(5);

impl Core {
    /// Makes sure that it is known who the members are, as far as they can be reached, and refuses what is no quorum.
    pub(super) async fn introduced(self: &Arc<Self>) -> Result<()> {
        if self.introduced.load(Ordering::Acquire) {
            self.look_at_the_stale();
            return self.refuse_mistakes();
        }
        if self.look_at_all().await > 0 {
            self.introduced.store(true, Ordering::Release);
        }
        self.refuse_mistakes()
    }

    /// Asks all members who they are, and answers how many said so in time.
    pub(super) async fn look_at_all(self: &Arc<Self>) -> usize {
        let mut alarm = self.env.sleep(self.options.node_timeout);
        let mut fan = Fan::new(&self.env);
        for seat in &self.seats {
            fan.add(seat.number, self.look(seat));
        }
        let mut known = 0;
        while let Next::Answer(_, is_known) = fan.next(&mut alarm).await {
            known += usize::from(is_known);
        }
        known
    }

    /// Looks at a member in the background, unless that is being done.
    pub(super) fn look_later(self: &Arc<Self>, seat: &Arc<Seat>) {
        if !seat.is_asked.swap(true, Ordering::AcqRel) {
            let look = self.look(seat);
            let seat = seat.clone();
            self.env.spawn(async move {
                look.await;
                seat.is_asked.store(false, Ordering::Release);
            });
        }
    }

    fn look_at_the_stale(self: &Arc<Self>) {
        let now = self.env.now();
        for seat in &self.seats {
            if seat.known_since().is_none_or(|seen| now.since(seen) > LOOK_AGAIN_AFTER) {
                self.look_later(seat);
            }
        }
    }

    /// Asks a member who it is; answers whether it said so.
    pub(super) fn look(self: &Arc<Self>, seat: &Arc<Seat>) -> crate::BoxFuture<'static, bool> {
        let (core, seat) = (self.clone(), seat.clone());
        Box::pin(async move {
            match seat.look(&core.env).await {
                Ok(look) => {
                    seat.saw(look, core.options.quarantine());
                    core.compare();
                    core.set_calendar();
                    true
                }
                Err(error) => {
                    seat.failed(&error);
                    if matches!(error.kind(), ErrorKind::Unsafe | ErrorKind::Unsupported) {
                        seat.set_mistake(Some(error.to_string()));
                    }
                    tracing::debug!(node = %seat.url, %error, "a member did not say who it is");
                    false
                }
            }
        })
    }

    /// Finds members that are the same server, or replicas of each other.
    fn compare(&self) {
        let (mut servers, mut lineages) = (HashMap::new(), HashMap::new());
        for seat in &self.seats {
            let Some(vitals) = seat.vitals() else { continue };
            let twin = servers.insert(vitals.server.clone(), seat.url.clone());
            let copy = vitals.lineage.and_then(|lineage| lineages.insert(lineage, seat.url.clone()));
            seat.set_mistake(match (twin, copy) {
                (Some(other), _) => Some(format!("it is the same server as {other}")),
                (None, Some(other)) => Some(format!("it and {other} are replicas of each other")),
                (None, None) => None,
            });
        }
    }

    fn refuse_mistakes(&self) -> Result<()> {
        for seat in &self.seats {
            if let Some(mistake) = seat.mistake() {
                let message = format!("{}: {mistake}", seat.url);
                return Err(Error::new(ErrorKind::Unsafe, message).store(&*self.options.url).hint(
                    "name independent servers, each once: what two of them share does not survive its loss",
                ));
            }
        }
        Ok(())
    }

    /// How far the calendar of the members is ahead of our clock: the median, so that one wrong clock has no say.
    fn set_calendar(&self) {
        let mut ahead_us: Vec<i128> = self.seats.iter().filter_map(|seat| seat.ahead_us()).collect();
        ahead_us.sort_unstable();
        if let Some(median) = ahead_us.get(ahead_us.len() / 2) {
            self.calendar_us.store(i64::try_from(*median).unwrap_or(0), Ordering::Release);
        }
    }

    /// The token to propose for a new grant: the calendar of the members, which our own has no part in.
    pub(super) fn proposal(&self) -> Option<FencingToken> {
        let ahead_us = self.calendar_us.load(Ordering::Acquire);
        let now_us = i128::from(self.env.now().nanos() / 1000) + i128::from(ahead_us);
        u64::try_from(now_us).ok().and_then(|now_us| FencingToken::new(now_us).ok())
    }

    pub(super) fn members(&self) -> Vec<Member> {
        let (quarantine, now) = (self.options.quarantine(), self.env.now());
        self.seats.iter().map(|seat| seat.member(quarantine, now)).collect()
    }
}
