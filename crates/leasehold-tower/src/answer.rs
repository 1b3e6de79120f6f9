//! [`Refusal`]: an answer instead of the handler's.

use std::time::Duration;

use http::{Response, StatusCode, header::RETRY_AFTER};
use leasehold::{Busy, Error, Lost};

use crate::LockedBody;

/// The reason why the answer is not the handler's. It is among the extensions of the response.
///
/// The text of the response says nothing about the holder, which is not the client's business.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Refusal {
    /// Another request holds the lock.
    Busy(Busy),
    /// The lease was lost while the handler ran, and the handler was dropped.
    Lost(Lost),
    /// The store failed.
    Failed(Error),
}

impl Refusal {
    /// The answer. `retry_after` replaces the time that the store has said.
    pub(crate) fn response<B>(
        self,
        busy_status: StatusCode,
        retry_after: Option<Duration>,
    ) -> Response<LockedBody<B>> {
        let (status, text, retry_after) = match &self {
            Refusal::Busy(busy) => {
                let after = retry_after.unwrap_or_else(|| busy.retry_after());
                (busy_status, "another request is at work on this: try again later", Some(after))
            }
            Refusal::Lost(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "the lock was lost: part of the work may be done", None)
            }
            Refusal::Failed(_) => (StatusCode::SERVICE_UNAVAILABLE, "the lock cannot be taken now", None),
        };
        let mut response = Response::new(LockedBody::text(text));
        *response.status_mut() = status;
        if let Some(after) = retry_after {
            response.headers_mut().insert(RETRY_AFTER, whole_seconds(after).into());
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Rounded up, and at least one.
fn whole_seconds(time: Duration) -> u64 {
    time.as_millis().div_ceil(1000).clamp(1, u64::MAX.into()) as u64
}
