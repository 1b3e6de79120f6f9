//! [`ResourceClient`]: a worker's connection to the resource.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
};

use anyhow::{Result, bail};

use crate::real_world::workload::Workload;

/// One connection, which lives as long as its thread: the runner is never paused.
#[derive(Debug)]
pub(crate) struct ResourceClient {
    stream: BufReader<TcpStream>,
    workload: Workload,
    process: u32,
}

impl ResourceClient {
    pub(crate) fn open(address: &str, workload: Workload, process: u32) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), workload, process })
    }

    /// Whether the worker is to go on.
    pub(crate) fn goes_on(&mut self) -> bool {
        self.ask("go\n").is_ok_and(|answer| answer == "go")
    }

    /// The value; `None`: the token was refused.
    pub(crate) fn read(&mut self, token: Option<u64>) -> Result<Option<u64>> {
        let (workload, process, token) = (self.workload.name(), self.process, token.unwrap_or_default());
        self.access(&format!("read {workload} {process} {token}\n"))
    }

    /// Whether the value was accepted.
    pub(crate) fn write(&mut self, token: Option<u64>, value: u64) -> Result<bool> {
        let (workload, process, token) = (self.workload.name(), self.process, token.unwrap_or_default());
        Ok(self.access(&format!("write {workload} {process} {token} {value}\n"))?.is_some())
    }

    fn access(&mut self, request: &str) -> Result<Option<u64>> {
        let answer = self.ask(request)?;
        match answer.strip_prefix("ok ").and_then(|value| value.parse().ok()) {
            None if answer != "refused" => bail!("the resource answers {answer:?}"),
            value => Ok(value),
        }
    }

    fn ask(&mut self, request: &str) -> Result<String> {
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut answer = String::new();
        self.stream.read_line(&mut answer)?;
        Ok(answer.trim_end().into())
    }
}
