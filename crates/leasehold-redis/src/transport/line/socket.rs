//! The two halves of a socket: [`Input`] for the parser, and [`Writing`].

use std::{
    future::Future,
    io::{self, Read},
    os::fd::{AsFd, BorrowedFd},
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use rustix::net::{RecvFlags, recv};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream, tcp, unix},
    task::unconstrained,
};

/// The half of a socket that is read.
pub(super) trait Source: AsyncRead + Send + Unpin {
    fn socket(&self) -> BorrowedFd<'_>;

    /// Whether a byte is there, without taking it: 0 for the end.
    fn peek(&self) -> io::Result<usize> {
        Ok(recv(self.socket(), &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT)?.1)
    }
}

impl Source for tcp::OwnedReadHalf {
    fn socket(&self) -> BorrowedFd<'_> {
        AsRef::<TcpStream>::as_ref(self).as_fd()
    }
}

impl Source for unix::OwnedReadHalf {
    fn socket(&self) -> BorrowedFd<'_> {
        AsRef::<UnixStream>::as_ref(self).as_fd()
    }
}

/// A socket of either kind.
pub(crate) struct Halves {
    pub(super) source: Box<dyn Source>,
    pub(super) sink: Box<dyn AsyncWrite + Send + Unpin>,
}

impl From<TcpStream> for Halves {
    fn from(stream: TcpStream) -> Halves {
        let (source, sink) = stream.into_split();
        Halves { source: Box::new(source), sink: Box::new(sink) }
    }
}

impl From<UnixStream> for Halves {
    fn from(stream: UnixStream) -> Halves {
        let (source, sink) = stream.into_split();
        Halves { source: Box::new(source), sink: Box::new(sink) }
    }
}

/// The bytes that are there, for a parser that blocks: their end is an error, and `is_blocked` is set.
pub(super) struct Input<'a> {
    source: &'a mut dyn Source,
    /// The waker of the next bytes. Without one the runtime is passed by.
    context: Option<Context<'a>>,
    reads_left: u32,
    pub(super) is_blocked: bool,
}

impl<'a> Input<'a> {
    /// A few reads, until there is nothing; then the next bytes wake the waker.
    pub(super) fn waking(source: &'a mut dyn Source, context: Context<'a>, reads: u32) -> Input<'a> {
        Input { source, context: Some(context), reads_left: reads, is_blocked: false }
    }

    /// One read.
    pub(super) fn once(source: &'a mut dyn Source) -> Input<'a> {
        Input { source, context: None, reads_left: 1, is_blocked: false }
    }

    /// Whether there may be more, of which the waker will not hear.
    pub(super) fn is_exhausted(&self) -> bool {
        self.context.is_some() && self.reads_left == 0
    }

    fn read_now(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.reads_left == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.reads_left -= 1;
        let Some(context) = &mut self.context else {
            return Ok(recv(self.source.socket(), buffer, RecvFlags::DONTWAIT)?.1);
        };
        let mut buffer = ReadBuf::new(buffer);
        match unbudgeted(context, |context| Pin::new(&mut *self.source).poll_read(context, &mut buffer)) {
            Poll::Ready(read) => read.map(|()| buffer.filled().len()),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl Read for Input<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.read_now(buffer);
        self.is_blocked = read.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        read
    }
}

/// Polls outside of the budget of the task that happens to run: out of budget, tokio calls the waker at once, and ours
/// takes the lock that its caller has.
fn unbudgeted<T>(context: &mut Context<'_>, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    pin!(unconstrained(std::future::poll_fn(|context| poll(context)))).poll(context)
}

/// The half of a socket that is written, and what is to be written.
pub(super) struct Writing {
    sink: Box<dyn AsyncWrite + Send + Unpin>,
    buffer: Vec<u8>,
    at: usize,
    /// The number of bytes that the socket has taken so far.
    written: u64,
}

impl Writing {
    pub(super) fn new(sink: Box<dyn AsyncWrite + Send + Unpin>) -> Writing {
        Writing { sink, buffer: Vec::new(), at: 0, written: 0 }
    }

    pub(super) fn is_done(&self) -> bool {
        self.at == self.buffer.len()
    }

    /// Exchanges what is written for what is to be; false if that is nothing.
    pub(super) fn refill(&mut self, unsent: &mut Vec<u8>) -> bool {
        self.buffer.clear();
        self.at = 0;
        std::mem::swap(&mut self.buffer, unsent);
        !self.buffer.is_empty()
    }

    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Writing { sink, buffer, at, written } = self;
        let taken =
            ready!(unbudgeted(context, |context| Pin::new(&mut *sink).poll_write(context, &buffer[*at..])))?;
        *at += taken;
        *written += taken as u64;
        Poll::Ready(if taken == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(()) })
    }

    /// Throws away what is to be written; the number of bytes that were.
    pub(super) fn end(&mut self) -> u64 {
        self.buffer = Vec::new();
        self.at = 0;
        self.written
    }
}
