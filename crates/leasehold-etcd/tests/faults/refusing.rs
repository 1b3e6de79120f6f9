//! A member that refuses every request with one status: HTTP/2 by hand, as far as a refusal needs it.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// Lives as long as the process. Streams that have not sent all of their request, such as watches, stay open.
pub(crate) struct Refusing {
    port: u16,
    refused: Arc<AtomicU64>,
}

impl Refusing {
    pub(crate) fn with(code: &'static str, message: &'static str) -> Refusing {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let refused = Arc::new(AtomicU64::new(0));
        let counter = refused.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counter = counter.clone();
                // A client that goes away ends it.
                thread::spawn(move || drop(serve(stream, code, message, &counter)));
            }
        });
        Refusing { port, refused }
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The number of refused requests.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::SeqCst)
    }
}

fn serve(mut stream: TcpStream, code: &str, message: &str, refused: &AtomicU64) -> std::io::Result<()> {
    let mut preface = [0; 24];
    stream.read_exact(&mut preface)?;
    stream.write_all(&frame(SETTINGS, 0, 0, &[]))?;
    let refusal = refusal(code, message);
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let (kind, flags) = (head[3], head[4]);
        let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload)?;
        match kind {
            SETTINGS if flags & ACK == 0 => stream.write_all(&frame(SETTINGS, ACK, 0, &[]))?,
            PING if flags & ACK == 0 => stream.write_all(&frame(PING, ACK, 0, &payload))?,
            DATA if flags & END_STREAM != 0 => {
                stream.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, id, &refusal))?;
                refused.fetch_add(1, Ordering::SeqCst);
            }
            _ => {}
        }
    }
}

fn frame(kind: u8, flags: u8, id: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &id.to_be_bytes(), payload].concat()
}

/// The headers of an answer without a body.
fn refusal(code: &str, message: &str) -> Vec<u8> {
    // `:status: 200`, of the static table; the others are literals.
    let mut block = vec![0x88];
    for (name, value) in
        [("content-type", "application/grpc"), ("grpc-status", code), ("grpc-message", message)]
    {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend(text.bytes());
        }
    }
    block
}
