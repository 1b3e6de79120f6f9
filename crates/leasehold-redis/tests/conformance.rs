//! The conformance suite on a real server: native over RESP3 and RESP2, and the plain dialect.

use std::{
    net::{TcpListener, TcpStream},
    process::{Child, Command, ExitCode, Stdio},
    sync::Arc,
};

use leasehold_conformance::{Fixture, process};
use leasehold_core::{Env, Error, ErrorKind, Result, Store};
use leasehold_redis::{Dialect, Endpoint, Protocol, RedisOptions, RedisStore, Servers};

/// A server that dies with this process.
struct Server {
    child: Child,
    port: u16,
    _directory: tempfile::TempDir,
}

impl Server {
    fn start() -> std::io::Result<Server> {
        let directory = tempfile::tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "redis-server", "--bind", "127.0.0.1", "--save", "", "--port"]);
        command.arg(port.to_string()).arg("--dir").arg(directory.path());
        let child = command.stdout(Stdio::null()).spawn()?;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::yield_now();
        }
        Ok(Server { child, port, _directory: directory })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn options(address: &str) -> Result<RedisOptions> {
    let invalid = || Error::new(ErrorKind::Invalid, "KIND:PORT");
    let (kind, port) = address.split_once(':').ok_or_else(invalid)?;
    let port = port.parse().map_err(|_| invalid())?;
    let mut options = RedisOptions::new(Servers::Single(Endpoint::tcp("127.0.0.1", port)));
    match kind {
        "plain" => options.dialect = Dialect::Plain { template: "plain:*".into() },
        "resp2" => options.protocol = Protocol::Resp2,
        _ => {}
    }
    Ok(options)
}

async fn open(env: Env, address: String) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(RedisStore::open(options(&address)?, env).await?))
}

fn main() -> ExitCode {
    let env = Env::system().expect("this machine can start a thread");
    if let Ok(address) = std::env::var(process::TAKER) {
        return process::taker(&env, open(env.clone(), address));
    }
    let server = Server::start().expect("redis-server is installed: cargo xtask test does it");
    let fixture = |kind: &'static str| {
        let address = format!("{kind}:{}", server.port);
        let (taken, env) = (address.clone(), env.clone());
        let fixture = Fixture::new(env.clone(), move || open(env.clone(), address.clone()));
        (kind, fixture.taker(move || process::this_program(&taken)))
    };
    leasehold_conformance::main(vec![fixture("native"), fixture("resp2"), fixture("plain")])
}
