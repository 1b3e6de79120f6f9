//! `quorum:` and `redlock://`: a majority of other stores.

use std::sync::Arc;

use leasehold_core::{
    Capability, Env, Error, ErrorKind, Finding, Quorum, QuorumOptions, Result, Store,
    backend::{Backend, QuorumMembership},
    url::{Form, Hosts, Key, ParsedUrl, Scheme, UrlOptions, Value},
};

use super::BACKENDS;

const LONGEST_LEASE: Key = Key { name: "longest_lease", value: Value::Duration };

const VOTERS: Form = Form::Hosts { hosts: Hosts::Voters, login: true, path: false };
/// The last one for TLS alone.
const REDLOCK_KEYS: &[Key] = &[
    Key { name: "dialect", value: Value::Word },
    LONGEST_LEASE,
    Key { name: "server_name", value: Value::Text },
];
/// The keys that `redlock` and `redlocks` hand on to their members.
const OF_MEMBERS: [&str; 6] = ["dialect", "password_file", "ca", "cert", "key", "server_name"];

/// `quorum:URL;URL;URL`, `redlock://h1,h2,h3`, and `redlocks://` over TLS.
pub(super) static BACKEND: Backend = Backend {
    schemes: &[
        Scheme { port: 6379, keys: REDLOCK_KEYS.split_at(2).0, ..Scheme::new("redlock", VOTERS) },
        Scheme { port: 6379, tls: true, keys: REDLOCK_KEYS, ..Scheme::new("redlocks", VOTERS) },
        Scheme { keys: &[LONGEST_LEASE], ..Scheme::new("quorum", Form::Members) },
    ],
    examples: &["redlock://h1,h2,h3"],
    check: None,
    capability,
    open: |url, _, env| Box::pin(async move { Ok(Arc::new(open(url, env).await?) as Arc<dyn Store>) }),
    diagnose: |url, env| Box::pin(diagnose(url, env)),
    promote: None,
};

fn capability(url: &ParsedUrl) -> Result<Capability> {
    let each = members(url)?.into_iter().map(|(backend, member)| (backend.capability)(&member));
    Ok(options(url).capability(&each.collect::<Result<Vec<_>>>()?))
}

/// Examines every member by itself, and then all of them together.
async fn diagnose(url: &ParsedUrl, env: &Env) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (backend, member) in members(url)? {
        match (backend.diagnose)(&member, env).await {
            Ok(found) => findings.extend(found),
            Err(error) => findings.push(unreachable(&member, &error)),
        }
    }
    match open(url, env).await {
        Ok(quorum) => {
            findings.extend(quorum.diagnose().await);
            // It holds nothing.
            let _ = quorum.close().await;
        }
        Err(error) => findings.push(refused(url, &error)),
    }
    findings.sort_by_key(|finding| finding.severity);
    Ok(findings)
}

/// The members of a quorum, as URLs of their own.
fn members(url: &ParsedUrl) -> Result<Vec<(&'static Backend, ParsedUrl)>> {
    match url.scheme.form {
        Form::Members => {
            let with_backend = |url: &ParsedUrl| Ok((BACKENDS.find(url.scheme.name, true)?.0, url.clone()));
            url.members.iter().map(with_backend).collect()
        }
        Form::Hosts { hosts: Hosts::Voters, .. } => {
            let (backend, scheme) = BACKENDS.find(if url.scheme.tls { "rediss" } else { "redis" }, true)?;
            let handed_on = url.options.iter().filter(|(key, _)| OF_MEMBERS.contains(key));
            let options =
                handed_on.fold(UrlOptions::default(), |options, (key, value)| options.with(key, value));
            let member = |address: &_| ParsedUrl {
                credentials: url.credentials.clone(),
                addresses: vec![Clone::clone(address)],
                options: options.clone(),
                ..ParsedUrl::new(scheme)
            };
            Ok(url.addresses.iter().map(|address| (backend, member(address))).collect())
        }
        _ => Err(Error::new(ErrorKind::Unsupported, "it is no quorum: nobody votes there")
            .store(url.to_string())
            .hint("write redlock://h1,h2,h3 or quorum:URL;URL;URL")),
    }
}

fn options(url: &ParsedUrl) -> QuorumOptions {
    let mut options = QuorumOptions::default();
    options.url = url.to_string();
    options.scheme = url.scheme.name;
    options.node_timeout = url.options.timeout().unwrap_or(options.node_timeout);
    options.longest_lease = url.options.duration("longest_lease").unwrap_or(options.longest_lease);
    options
}

fn membership(url: &ParsedUrl, members: usize) -> QuorumMembership {
    let members = u32::try_from(members).unwrap_or(u32::MAX);
    QuorumMembership { members, longest_lease: options(url).longest_lease }
}

/// Opens the quorum. A minority of its members may be down.
async fn open(url: &ParsedUrl, env: &Env) -> Result<Quorum> {
    let members = members(url)?;
    let membership = membership(url, members.len());
    let mut stores = Vec::new();
    for (backend, member) in &members {
        stores.push(super::open(backend, member, Some(membership), env).await?);
    }
    Quorum::open(stores, options(url), env.clone()).await
}

/// Promotes every member that has no vote yet, and answers how many they were.
pub(crate) async fn promote(url: &ParsedUrl, env: &Env) -> Result<usize> {
    let members = members(url)?;
    let membership = membership(url, members.len());
    let mut promoted = 0;
    for (backend, member) in &members {
        if let Some(promote) = backend.promote {
            promoted += usize::from(promote(member, membership, env).await?);
        }
    }
    Ok(promoted)
}

fn unreachable(member: &ParsedUrl, error: &Error) -> Finding {
    Finding::critical(
        member.to_string(),
        format!("it does not answer: {error}"),
        "while it is down, one less of the others may fail",
        "bring it back, or find out why it cannot be reached",
    )
}

fn refused(url: &ParsedUrl, error: &Error) -> Finding {
    Finding::critical(
        url.scheme.name,
        error.to_string(),
        "locks on it are refused",
        error.hint_text().unwrap_or("name independent servers, each once"),
    )
}
