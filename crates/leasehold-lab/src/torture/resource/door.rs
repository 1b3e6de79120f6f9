//! [`Door`]: a worker's connection to the resource.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
};

use crate::torture::{
    failure::{Failure, Result},
    lane::Lane,
};

/// One connection, which lives as long as its thread: the director is never paused.
#[derive(Debug)]
pub(crate) struct Door {
    stream: BufReader<TcpStream>,
    lane: Lane,
    process: u32,
}

/// What the resource says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    /// It did, and this is the value.
    Ok(u64),
    /// A higher token was here.
    Refused,
}

impl Door {
    pub(crate) fn open(address: &str, lane: Lane, process: u32) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), lane, process })
    }

    /// Whether to go on.
    pub(crate) fn goes_on(&mut self) -> bool {
        self.ask("go\n".into()).is_ok_and(|answer| answer == "go")
    }

    pub(crate) fn read(&mut self, token: Option<u64>) -> Result<Answer> {
        let (lane, process, token) = (self.lane.name(), self.process, token.unwrap_or_default());
        self.counter(format!("read {lane} {process} {token}\n"))
    }

    pub(crate) fn write(&mut self, token: Option<u64>, value: u64) -> Result<Answer> {
        let (lane, process, token) = (self.lane.name(), self.process, token.unwrap_or_default());
        self.counter(format!("write {lane} {process} {token} {value}\n"))
    }

    fn counter(&mut self, question: String) -> Result<Answer> {
        let answer = self.ask(question)?;
        let value = answer.strip_prefix("ok ").and_then(|value| value.parse().ok());
        match value {
            Some(value) => Ok(Answer::Ok(value)),
            None if answer == "refused" => Ok(Answer::Refused),
            None => Err(Failure(format!("the resource says {answer:?}"))),
        }
    }

    fn ask(&mut self, question: String) -> Result<String> {
        self.stream.get_mut().write_all(question.as_bytes())?;
        let mut answer = String::new();
        self.stream.read_line(&mut answer)?;
        Ok(answer.trim_end().into())
    }
}
