//! Diagnosis of an ensemble: this module and [`probe`] collect its state, [`rules`] judges it.

mod probe;
mod rules;

use futures_util::future::{join, join_all};
use leasehold_core::{ErrorKind, Finding, Moment, Result, Store, store_kit::Explain, url::Address};
use zookeeper_client::{Acl, Permission};

use self::probe::{Answer, Probe, Reading};
use crate::{ZooKeeperStore, client::Client, error::ServerError, session::SessionManager, txn::LiveSession};

impl ZooKeeperStore {
    /// Diagnoses every member that the URL names and their ensemble as far as locks are concerned, the worst finding first.
    /// Nothing is written. Hidden settings (`4lw.commands.whitelist`) are a finding, and so is one of several members that
    /// does not answer.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`] when no member serves, [`ErrorKind::Rejected`] for a login that is not accepted.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn diagnose(&self) -> Result<Vec<Finding>> {
        let probe = probe(&self.client).await.explain_store("doctor", self.url())?;
        let mut findings = rules::findings(&probe);
        findings.sort_by_key(|finding| finding.severity);
        Ok(findings)
    }
}

async fn probe(client: &Client) -> Result<Probe> {
    let (options, env) = (&client.session.options, &client.env);
    let live = client.session.ready().await?;
    let until = env.now() + options.timeout;
    let readings = options.servers.iter().map(|server| read_member(&client.session, server, until));
    let readings = join_all(readings).await;
    let config = live.read(live.zk.get_config()).await;
    Ok(Probe {
        readings,
        session_asked: options.session,
        session_timeout: live.timeout,
        config: config.ok().map(|(data, _)| String::from_utf8_lossy(&data).into_owned()),
        is_open: is_open(client, &live).await?,
        has_login: !options.access.user.is_empty(),
        chroot: client.paths.root().to_string(),
    })
}

/// Whether everybody may change the children of the chroot; `None` when it does not exist yet or hides its access list.
async fn is_open(client: &Client, live: &LiveSession) -> Result<Option<bool>> {
    let changes = |acl: &Acl| {
        let rights = [Permission::CREATE, Permission::DELETE, Permission::ADMIN];
        acl.scheme() == "world" && rights.iter().any(|right| acl.permission().has(*right))
    };
    match live.read(live.zk.get_acl(client.paths.root())).await {
        Ok((acls, _)) => Ok(Some(acls.iter().any(changes))),
        Err(ServerError::Failed(error)) if error.kind() != ErrorKind::Rejected => Err(error),
        Err(_) => Ok(None),
    }
}

/// The answers of a member to its four-letter commands.
async fn read_member(session: &SessionManager, server: &Address, until: Moment) -> Reading {
    let ask = async |word| match session.env.until(until, session.ask(server, word)).await {
        Some(Ok(text)) => Answer::of(word, &text),
        Some(Err(error)) => Answer::None(error.to_string()),
        None => Answer::None("no answer in time".into()),
    };
    let (srvr, conf) = join(ask("srvr"), ask("conf")).await;
    let is_remote = !server.is_local() && !session.options.access.tls;
    Reading { node: server.to_string(), is_remote, srvr, conf }
}
