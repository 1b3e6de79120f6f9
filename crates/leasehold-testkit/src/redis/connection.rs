//! A connection of the test itself, apart from the client under test.

use std::{
    io::{BufReader, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

use super::reply::Reply;
use crate::{Error, Result, error::Context};

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const REPLY_LIMIT: Duration = Duration::from_secs(10);

/// A connection that speaks RESP2 and stays open.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Connects to `host:port`.
    pub fn open(address: &str) -> Result<Self> {
        let resolved = address.to_socket_addrs().context(|| format!("{address} is no address"))?.next();
        let resolved = resolved.ok_or_else(|| Error(format!("{address} is no address")))?;
        let stream = TcpStream::connect_timeout(&resolved, CONNECT_LIMIT);
        let stream = stream.context(|| format!("no connection to {address}"))?;
        stream.set_nodelay(true).context(|| "TCP_NODELAY".into())?;
        let connection = Self { stream: BufReader::new(stream) };
        connection.set_read_timeout(REPLY_LIMIT)?;
        Ok(connection)
    }

    /// How long [`Self::reply`] waits; 10 s at first.
    pub fn set_read_timeout(&self, limit: Duration) -> Result<()> {
        self.stream.get_ref().set_read_timeout(Some(limit)).context(|| "no read timeout".into())
    }

    /// Sends a command and does not wait for its reply.
    pub fn send<T: AsRef<[u8]>>(&mut self, command: &[T]) -> Result<()> {
        let bytes = encode(command);
        self.stream.get_mut().write_all(&bytes).context(|| "the command was not sent".into())
    }

    /// Waits for the next reply, or for the next message when subscribed.
    pub fn reply(&mut self) -> Result<Reply> {
        Reply::read(&mut self.stream)
    }

    /// Sends a command and waits for its reply. A refusal is a reply.
    pub fn call<T: AsRef<[u8]>>(&mut self, command: &[T]) -> Result<Reply> {
        self.send(command)?;
        self.reply()
    }
}

/// A command as it stands on the wire.
fn encode<T: AsRef<[u8]>>(command: &[T]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", command.len()).into_bytes();
    for argument in command {
        let argument = argument.as_ref();
        bytes.extend(format!("${}\r\n", argument.len()).into_bytes());
        bytes.extend(argument);
        bytes.extend(b"\r\n");
    }
    bytes
}
