//! [`LockedBody`]: a response's body that is sent under the lock.

use std::{
    error::Error as StdError,
    fmt,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use leasehold::{Error, Lost};

use crate::held::Held;

type BoxError = Box<dyn StdError + Send + Sync>;
type Polled = Option<Result<Frame<Bytes>, BoxError>>;
type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A response's body that is sent under the lock. It is not polled any more once the lease is lost, and ends with an error then; the
/// lock is released before its last frame is handed on.
pub struct LockedBody<B>(State<B>);

enum State<B> {
    /// An answer of the layer's own.
    Text(Option<Bytes>),
    Free(Pin<Box<B>>),
    Held {
        body: Pin<Box<B>>,
        guard: Held,
        lost: BoxFuture<Lost>,
    },
    /// The last frame waits for the release.
    Releasing {
        release: BoxFuture<()>,
        last: Polled,
    },
    Ended,
}

impl<B> LockedBody<B> {
    pub(crate) fn text(text: &'static str) -> Self {
        LockedBody(State::Text(Some(Bytes::from_static(text.as_bytes()))))
    }

    pub(crate) fn free(body: B) -> Self {
        LockedBody(State::Free(Box::pin(body)))
    }

    pub(crate) fn held(body: B, guard: Held) -> Self {
        let lease = guard.lease().clone();
        let lost = Box::pin(async move { lease.lost().await });
        LockedBody(State::Held { body: Box::pin(body), guard, lost })
    }
}

impl<B> LockedBody<B> {
    fn release_before(&mut self, last: Polled) {
        if let State::Held { guard, .. } = mem::replace(&mut self.0, State::Ended) {
            self.0 = State::Releasing { release: Box::pin(guard.release()), last };
        }
    }
}

impl<B> Body for LockedBody<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Polled> {
        loop {
            match &mut self.0 {
                State::Text(text) => return Poll::Ready(text.take().map(Frame::data).map(Ok)),
                State::Free(body) => return body.as_mut().poll_frame(context).map_err(Into::into),
                State::Ended => return Poll::Ready(None),
                State::Held { body, guard, lost } => {
                    let polled = match lost.as_mut().poll(context) {
                        Poll::Ready(lost) => Err(lost),
                        Poll::Pending => {
                            let polled = ready!(body.as_mut().poll_frame(context));
                            guard.lease().check().map(|()| polled)
                        }
                    };
                    let polled = match polled {
                        Ok(polled) => polled.map(|frame| frame.map_err(Into::into)),
                        Err(lost) => Some(Err(Error::from(lost).into())),
                    };
                    if matches!(polled, Some(Ok(_))) && !body.is_end_stream() {
                        return Poll::Ready(polled);
                    }
                    self.release_before(polled);
                }
                State::Releasing { release, last } => {
                    ready!(release.as_mut().poll(context));
                    let last = last.take();
                    self.0 = State::Ended;
                    return Poll::Ready(last);
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            State::Text(text) => text.is_none(),
            State::Free(body) => body.is_end_stream(),
            State::Held { .. } | State::Releasing { .. } => false,
            State::Ended => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            State::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64),
            State::Free(body) | State::Held { body, .. } => body.size_hint(),
            State::Releasing { .. } => SizeHint::new(),
            State::Ended => SizeHint::with_exact(0),
        }
    }
}

impl<B> fmt::Debug for LockedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.0 {
            State::Text(_) => "text",
            State::Free(_) => "free",
            State::Held { .. } => "held",
            State::Releasing { .. } => "releasing",
            State::Ended => "ended",
        };
        f.debug_tuple("LockedBody").field(&state).finish()
    }
}
