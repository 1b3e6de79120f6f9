//! [`LockService`]: a service whose requests run under locks.

use std::{
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use leasehold::{Busy, LockName};
use tower_service::Service;

use crate::{LockLayer, LockedBody, Refusal, held::Held};

/// A service whose requests run under locks. Made by a [`LockLayer`].
#[derive(Clone, Debug)]
pub struct LockService<S> {
    pub(crate) inner: S,
    pub(crate) layer: LockLayer,
}

impl<S, B, R> Service<Request<B>> for LockService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
{
    type Response = Response<LockedBody<R>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The clone may not be ready yet: the request goes to the one that is.
        let next = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, next);
        let (parts, body) = request.into_parts();
        let (name, shares) = ((self.layer.naming)(&parts), (self.layer.sharing)(&parts));
        let request = Request::from_parts(parts, body);
        let layer = self.layer.clone();
        Box::pin(async move {
            match name {
                None => Ok(inner.call(request).await?.map(LockedBody::free)),
                Some(name) => layer.run(name, shares, inner, request).await,
            }
        })
    }
}

impl LockLayer {
    async fn run<S, B, R>(
        &self,
        name: LockName,
        shares: bool,
        mut inner: S,
        mut request: Request<B>,
    ) -> Result<Response<LockedBody<R>>, S::Error>
    where
        S: Service<Request<B>, Response = Response<R>>,
        R: Body<Data = Bytes>,
    {
        let guard = match self.acquire(name.clone(), shares).await {
            Ok(Ok(guard)) => guard,
            Ok(Err(busy)) => return Ok(self.refuse(Refusal::Busy(busy))),
            Err(error) => {
                tracing::error!(lock = %name, %error, "a request is refused for want of its lock");
                return Ok(self.refuse(Refusal::Failed(error)));
            }
        };
        request.extensions_mut().insert(guard.lease().clone());
        let answer = match guard.lease().run(async { inner.call(request).await }).await {
            Ok(answer) => answer,
            Err(lost) => {
                tracing::warn!(lock = %name, %lost, "the lock of a request was lost, and its handler dropped");
                return Ok(self.refuse(Refusal::Lost(lost)));
            }
        };
        match answer {
            Ok(response) if !response.body().is_end_stream() => {
                Ok(response.map(|body| LockedBody::held(body, guard)))
            }
            ended => {
                guard.release().await;
                ended.map(|response| response.map(LockedBody::free))
            }
        }
    }

    fn refuse<B>(&self, refusal: Refusal) -> Response<LockedBody<B>> {
        refusal.response(self.busy_status, self.retry_after)
    }

    async fn acquire(&self, name: LockName, shares: bool) -> leasehold::Result<Result<Held, Busy>> {
        if shares {
            let lock = self.client.rw_lock(name)?;
            if !self.wait.is_zero()
                && let Some(guard) = lock.try_read_for(self.wait).await?
            {
                return Ok(Ok(Held::Together(guard)));
            }
            return Ok(lock.try_read_or_busy().await?.map(Held::Together));
        }
        let mutex = self.client.mutex(name)?;
        if !self.wait.is_zero()
            && let Some(guard) = mutex.try_lock_for(self.wait).await?
        {
            return Ok(Ok(Held::Alone(guard)));
        }
        // Also after the wait: it says who is in the way.
        Ok(mutex.try_lock_or_busy().await?.map(Held::Alone))
    }
}
