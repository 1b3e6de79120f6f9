//! The one server behind a name, the same for the life of a client.
//!
//! A name may lead to several addresses. Those that answer have to be one server: two servers would both grant the lock.

use std::{collections::HashMap, net::SocketAddr};

use futures_util::future::join_all;
use leasehold_core::{Error, ErrorKind, Result, store_kit::Locked, url::Address};
use tokio::net::TcpStream;

use super::connection::Connector;
use crate::{
    format::{info, info_field, next, text},
    options::Endpoint,
};

/// The addresses that were chosen, by name.
#[derive(Default)]
pub(super) struct ChosenAddresses(Locked<HashMap<Address, SocketAddr>>);

/// A resolver that knows one answer.
#[cfg(feature = "redis-1")]
pub(super) struct Resolved(pub(super) SocketAddr);

#[cfg(feature = "redis-1")]
impl redis::io::AsyncDNSResolver for Resolved {
    fn resolve<'a, 'b: 'a>(
        &'a self,
        _host: &'b str,
        _port: u16,
    ) -> redis::RedisFuture<'a, Box<dyn Iterator<Item = SocketAddr> + Send + 'a>> {
        let only = Box::new(std::iter::once(self.0)) as Box<dyn Iterator<Item = SocketAddr> + Send>;
        Box::pin(async { Ok(only) })
    }
}

impl Connector {
    /// The address of an endpoint; `None` for a Unix socket. An address that was chosen before is kept, also when it does
    /// not answer, for as long as the name leads there.
    ///
    /// # Errors
    /// [`ErrorKind::Unsafe`] for a name that leads to several servers.
    pub(super) async fn resolve(&self, endpoint: &Endpoint) -> Result<Option<SocketAddr>> {
        let Endpoint::Tcp(name) = endpoint else { return Ok(None) };
        let found = tokio::net::lookup_host((name.host.as_str(), name.port)).await;
        let mut found: Vec<SocketAddr> = found.map_err(|error| self.explain(&error.into()))?.collect();
        found.sort_unstable();
        found.dedup();
        let before = self.chosen.0.lock().get(name).copied().filter(|before| found.contains(before));
        let chosen = match (before, &found[..]) {
            (Some(before), _) => before,
            (None, [only]) => *only,
            _ => self.only_server(name, &found).await?,
        };
        self.chosen.0.lock().insert(name.clone(), chosen);
        Ok(Some(chosen))
    }

    /// The address that was chosen last.
    pub(super) fn address_of(&self, endpoint: &Endpoint) -> Option<SocketAddr> {
        let Endpoint::Tcp(name) = endpoint else { return None };
        self.chosen.0.lock().get(name).copied()
    }

    /// The first address at which somebody listens, if all of those lead to the same run of a server.
    async fn only_server(&self, name: &Address, found: &[SocketAddr]) -> Result<SocketAddr> {
        let asked =
            found.iter().map(|at| async move { Ok::<_, Error>((*at, self.run_at(name, *at).await?)) });
        let asked = join_all(asked).await.into_iter().collect::<Result<Vec<_>>>()?;
        let answers: Vec<_> = asked.into_iter().filter_map(|(at, run)| Some((at, run?))).collect();
        match &answers[..] {
            [] => Err(Error::new(ErrorKind::Unreachable, format!("nobody listens at any address of {name}"))
                .hint("is the server running, and is the address right?")),
            [(first, run), others @ ..] => match others.iter().find(|(_, other)| other != run) {
                None => Ok(*first),
                Some((other, _)) => {
                    let message = format!(
                        "{name} leads to {first} and {other}, which do not show that they are one server: two would \
                         both grant a lock"
                    );
                    Err(Error::new(ErrorKind::Unsafe, message)
                        .hint("name one of them, or use redis+sentinel:// or redis+cluster://"))
                }
            },
        }
    }

    /// The run id of the server at an address; `None` if nobody listens there.
    async fn run_at(&self, name: &Address, at: SocketAddr) -> Result<Option<String>> {
        if TcpStream::connect(at).await.is_err() {
            return Ok(None);
        }
        let link = self.link_to(&Endpoint::Tcp(name.clone()), Some(at)).await?;
        let text = match link.exchange(&[info("server")]).await?.pop() {
            // A server that does not tell is another one than any.
            Some(Err(error)) if error.withholds_command() => String::new(),
            reply => text(&next(&mut reply.into_iter())?)?,
        };
        Ok(Some(info_field(&text, "run_id").map_or_else(|| at.to_string(), str::to_string)))
    }
}
