//! What an operator should know of an ensemble: probe are gathered here, and judged in [`rules`].

mod probe;
mod rules;

use std::net::IpAddr;

use futures_util::future::join_all;
use leasehold_core::{Env, Error, ErrorKind, Finding, Moment, Result};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
};
use zookeeper_client::{Acl, Permission};

use self::probe::{Answer, Probe, Reading};
use crate::{
    ZooKeeperStore,
    client::ClientState,
    error::{Effect, ServerError},
    session::LiveSession,
};

/// More than any answer to these questions has.
const ANSWER_BYTES_MAX: u64 = 1 << 16;

impl ZooKeeperStore {
    /// Looks at every member that is named and at the ensemble that they make, and says what matters for locks, the worst
    /// first. Nothing is written. What members do not show (`4lw.commands.whitelist`) is a finding, and so is one of
    /// several members that does not answer.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`] when no member serves, [`ErrorKind::Rejected`] for a login that is not accepted.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn diagnose(&self) -> Result<Vec<Finding>> {
        let looked = look(&self.shared).await;
        let probe = looked.map_err(|error| self.named(error, "doctor"))?;
        let mut findings = rules::findings(&probe);
        findings.sort_by_key(|finding| finding.severity);
        Ok(findings)
    }
}

async fn look(shared: &ClientState) -> Result<Probe> {
    let (options, env) = (&shared.link.options, &shared.env);
    let live = shared.link.ready().await?;
    let until = env.now() + options.timeout;
    let looks = join_all(options.servers.iter().map(|server| look_at(env, server, until))).await;
    let config = shared.link.ask(Effect::Reads, live.client.get_config()).await;
    Ok(Probe {
        looks,
        session_asked: options.session,
        session_lasts: live.lasts,
        config: config.ok().map(|(data, _)| String::from_utf8_lossy(&data).into_owned()),
        is_open: is_open(shared, &live).await?,
        has_login: !options.user.is_empty(),
        chroot: shared.paths.root().to_string(),
    })
}

/// Whether anybody may change what is under the node whose children are the locks; `None` where there is none yet, or it
/// does not show that.
async fn is_open(shared: &ClientState, live: &LiveSession) -> Result<Option<bool>> {
    let changes = |acl: &Acl| {
        let rights = [Permission::CREATE, Permission::DELETE, Permission::ADMIN];
        acl.scheme() == "world" && rights.iter().any(|right| acl.permission().has(*right))
    };
    match shared.link.ask(Effect::Reads, live.client.get_acl(shared.paths.root())).await {
        Ok((acls, _)) => Ok(Some(acls.iter().any(changes))),
        Err(ServerError::Failed(error)) if error.kind() != ErrorKind::Rejected => Err(error),
        Err(_) => Ok(None),
    }
}

/// What a member says of itself, as its operators ask for it.
async fn look_at(env: &Env, server: &str, until: Moment) -> Reading {
    let srvr = ask(env, server, "srvr", until).await;
    let conf = match &srvr {
        Answer::Seen(_) => ask(env, server, "conf", until).await,
        _ => Answer::Silent(String::new()),
    };
    Reading { node: server.to_string(), is_remote: is_remote(server), srvr, conf }
}

async fn ask(env: &Env, server: &str, word: &'static str, until: Moment) -> Answer {
    let (answer, asked) = oneshot::channel();
    let address = server.to_string();
    // In the background, whose runtime has I/O.
    env.spawn(async move {
        // Who asked may have gone.
        let _ = answer.send(exchange(&address, word).await);
    });
    match env.until(until, asked).await {
        Some(Ok(Ok(text))) => Answer::of(word, &text),
        Some(Ok(Err(error))) => Answer::Silent(error.to_string()),
        Some(Err(_)) => Answer::Silent("the background thread has ended".into()),
        None => Answer::Silent("no answer in time".into()),
    }
}

async fn exchange(address: &str, word: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(with_port(address)).await?;
    stream.write_all(word.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Who names no port means the usual one.
fn with_port(address: &str) -> String {
    match address.rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_ok() => address.to_string(),
        _ => format!("{address}:2181"),
    }
}

/// Whether others than this machine can see what is said on the way there.
fn is_remote(address: &str) -> bool {
    let address = with_port(address);
    let host = address.rsplit_once(':').map_or("", |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(number) => !number.is_loopback(),
        Err(_) => !host.eq_ignore_ascii_case("localhost"),
    }
}

impl ZooKeeperStore {
    fn named(&self, error: Error, verb: &'static str) -> Error {
        error.verb(verb).store(&*self.shared.link.options.url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_not_remote() {
        for (address, remote) in [
            ("127.0.0.1:2181", false),
            ("[::1]:2181", false),
            ("localhost", false),
            ("10.0.0.1", true),
            ("zk1:2181", true),
        ] {
            assert_eq!(is_remote(address), remote, "{address}");
        }
        assert_eq!((&*with_port("zk1"), &*with_port("zk1:9")), ("zk1:2181", "zk1:9"));
        assert_eq!(with_port("[::1]"), "[::1]:2181");
    }
}
