//! From a URL to stores that vote.

use std::sync::Arc;

use leasehold_core::{Capability, Env, Error, ErrorKind, Quorum, QuorumOptions, Result, Store};

use super::{Place, StoreUrl, open_member};

/// The members of a quorum as URLs of their own.
pub(crate) fn members(url: &StoreUrl) -> Result<Vec<StoreUrl>> {
    match &url.place {
        Place::Quorum { members } => Ok(members.clone()),
        #[cfg(feature = "redis")]
        Place::Redlock { login, addresses } => Ok(super::redis_members(login, addresses, &url.settings)),
        #[cfg(not(feature = "redis"))]
        Place::Redlock { .. } => {
            Err(Error::new(ErrorKind::Unsupported, "leasehold was built without its Redis store")
                .store(url.to_string())
                .hint("enable the cargo feature `redis` of the crate `leasehold`"))
        }
        _ => Err(Error::new(ErrorKind::Unsupported, "it is no quorum: nobody votes there")
            .store(url.to_string())
            .hint("write redlock://h1,h2,h3 or quorum:URL;URL;URL")),
    }
}

fn options(url: &StoreUrl) -> QuorumOptions {
    let mut options = QuorumOptions::default();
    options.url = url.to_string();
    options.scheme = url.scheme();
    options.node_timeout = url.settings.timeout.unwrap_or(options.node_timeout);
    options.longest_lease = url.settings.longest_lease.unwrap_or(options.longest_lease);
    options
}

/// What the quorum can do.
pub(crate) fn capability(url: &StoreUrl) -> Result<Capability> {
    let each: Result<Vec<Capability>> = members(url)?.iter().map(StoreUrl::capability).collect();
    Ok(options(url).capability(&each?))
}

/// Opens the quorum. As many members may be down as it can do without.
pub(crate) async fn open(url: &StoreUrl, env: &Env) -> Result<Quorum> {
    let options = options(url);
    let members = members(url)?;
    let mut stores: Vec<Arc<dyn Store>> = Vec::new();
    for member in &members {
        stores.push(open_member(member, members.len(), options.longest_lease, env).await?);
    }
    Quorum::open(stores, options, env.clone()).await
}

/// Gives members of a quorum that have just come up, or were emptied, their vote at once: whoever calls this vouches that
/// nobody can hold anything on them, as on servers that are new. Members that do not forget have theirs anyway. Answers how
/// many were vouched for.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for a store that is no quorum; those of the members, of which the ones before it are done.
///
/// # Cancel safety
/// Dropping it leaves some done.
pub async fn promote(url: &StoreUrl) -> Result<usize> {
    let env = Env::system()?;
    let (members, longest_lease) = (members(url)?, options(url).longest_lease);
    let mut vouched = 0;
    for member in &members {
        vouched += usize::from(vouch_for(member, members.len(), longest_lease, &env).await?);
    }
    Ok(vouched)
}

#[cfg(feature = "redis")]
async fn vouch_for(
    member: &StoreUrl,
    members: usize,
    longest_lease: std::time::Duration,
    env: &Env,
) -> Result<bool> {
    if !matches!(member.place, Place::Redis { .. } | Place::RedisUnix { .. } | Place::RedisSentinel { .. }) {
        return Ok(false);
    }
    let mut options = super::redis_options(member)?;
    options.membership = Some(leasehold_redis::QuorumMembership { members: members as u32, longest_lease });
    let store = leasehold_redis::RedisStore::new(options, env.clone())?;
    let vouched = store.promote().await;
    // It holds nothing; what it watches its servers with ends.
    let _ = store.close().await;
    vouched.map(|()| true)
}

#[cfg(not(feature = "redis"))]
async fn vouch_for(_: &StoreUrl, _: usize, _: std::time::Duration, _: &Env) -> Result<bool> {
    Ok(false)
}
