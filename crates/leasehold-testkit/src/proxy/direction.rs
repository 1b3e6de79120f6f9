//! One direction of a connection: the bytes that were read and not yet written.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    sync::Arc,
    time::Instant,
};

use super::{fault::Flags, state::Mode};
use crate::wait;

/// The bytes that are read ahead; more stay in the kernel's buffers, until the sender has to wait.
const QUEUE_BYTES_MAX: usize = 16 << 20;
const READ_BYTES: usize = 64 << 10;

/// One step of the writer.
#[derive(Debug)]
pub(super) enum Item {
    Bytes {
        bytes: Vec<u8>,
        written: usize,
        read_at: Instant,
    },
    /// Nothing that follows is written before the fault is released.
    Hold(Arc<Flags>),
    /// Everything before it has been written.
    Delivered(Arc<Flags>),
    /// The connection ends here.
    Cut(Arc<Flags>),
    /// The sender has ended.
    End,
}

#[derive(Default, Debug)]
pub(super) struct Direction {
    queue: VecDeque<Item>,
    bytes: usize,
    /// The sender has ended; its bytes may still be queued.
    pub(super) read_ended: bool,
    /// Everything was written, and the receiver knows that no more comes.
    pub(super) ended: bool,
    /// The receiver is gone: bytes are dropped.
    receiver_gone: bool,
    /// The number of times that the proxy had been healed when bytes were dropped.
    pub(super) lost_at: Option<u64>,
}

impl Direction {
    pub(super) fn wants_to_read(&self) -> bool {
        !self.read_ended && self.bytes < QUEUE_BYTES_MAX
    }

    /// Reads the available bytes; `None` when there are none, or when the sender has ended, which is queued.
    pub(super) fn read(&mut self, mut from: &TcpStream) -> Option<Vec<u8>> {
        let mut buffer = vec![0; READ_BYTES];
        match from.read(&mut buffer) {
            Ok(length) if length > 0 => {
                buffer.truncate(length);
                Some(buffer)
            }
            Err(error) if is_later(&error) => None,
            _ => {
                self.read_ended = true;
                self.queue.push_back(Item::End);
                None
            }
        }
    }

    pub(super) fn push(&mut self, bytes: Vec<u8>) {
        if !self.receiver_gone {
            self.bytes += bytes.len();
            self.queue.push_back(Item::Bytes { bytes, written: 0, read_at: wait::now() });
        }
    }

    pub(super) fn then(&mut self, item: Item) {
        self.queue.push_back(item);
    }

    /// When the next piece may be written; `None` when there is none, or the time is unknown.
    pub(super) fn due(&self, mode: Mode, held: bool) -> Option<Instant> {
        if held {
            return None;
        }
        match (self.queue.front()?, mode) {
            (Item::Hold(flags), _) if !flags.is_released() => None,
            (Item::Bytes { read_at, .. }, Mode::Delay(by)) => Some(*read_at + by),
            _ => Some(wait::now()),
        }
    }

    /// Writes all that is due, until the receiver takes no more, or to the next mark of a fault, which is returned.
    pub(super) fn write(&mut self, to: &TcpStream, mode: Mode, held: bool) -> Option<Item> {
        while self.due(mode, held).is_some_and(|due| due <= wait::now()) {
            match self.queue.pop_front() {
                Some(Item::Bytes { bytes, written, read_at }) => {
                    let (now, is_later) = self.write_some(to, &bytes[written..], mode);
                    self.bytes -= now;
                    let written = written + now;
                    if written < bytes.len() && !self.receiver_gone {
                        self.queue.push_front(Item::Bytes { bytes, written, read_at });
                    }
                    if is_later {
                        return None;
                    }
                }
                mark @ Some(Item::Delivered(_) | Item::Cut(_)) => return mark,
                Some(Item::End) => {
                    // The receiver may be gone, which is the same to it.
                    let _ = to.shutdown(Shutdown::Write);
                    self.ended = true;
                }
                Some(Item::Hold(_)) | None => {}
            }
        }
        None
    }

    /// The number of bytes that were taken, and whether the receiver's buffer is full.
    fn write_some(&mut self, mut to: &TcpStream, bytes: &[u8], mode: Mode) -> (usize, bool) {
        let most = if let Mode::Split(most) = mode { most } else { bytes.len() };
        match to.write(&bytes[..most.min(bytes.len())]) {
            Ok(length) => (length, false),
            Err(error) if is_later(&error) => (0, true),
            Err(_) => {
                self.receiver_gone = true;
                (bytes.len(), false)
            }
        }
    }
}

fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
