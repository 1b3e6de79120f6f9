//! [`RequestLease`]: the lease of a request, as an argument of a handler of axum.

use std::{convert::Infallible, ops::Deref};

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use http::{StatusCode, request::Parts};
use leasehold::Lease;

/// The lease of the lock that the [`LockLayer`](crate::LockLayer) holds for a request: an extractor of axum. A handler
/// whose requests may be without a lock takes `Option<RequestLease>`; otherwise such a request is answered by 500.
#[derive(Clone, Debug)]
pub struct RequestLease(pub Lease);

impl Deref for RequestLease {
    type Target = Lease;

    fn deref(&self) -> &Lease {
        &self.0
    }
}

impl<S: Sync> FromRequestParts<S> for RequestLease {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        let lease = parts.extensions.get().cloned().map(RequestLease);
        lease.ok_or((StatusCode::INTERNAL_SERVER_ERROR, "this request has no lock"))
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for RequestLease {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get().cloned().map(RequestLease))
    }
}
