//! [`Verbs`]: a store written as plain asynchronous functions.

use std::{fmt, future::Future};

use super::{ClientState, Explain, NeverWakes};
use crate::{
    BoxFuture, Capability, Claim, Contender, Interest, LockName, Release, Renewal, Result, ServerInfo,
    Snapshot, Standing, Store, Wake,
};

/// The verbs of a store, each as [`Store`] documents it. Every type that has them is a [`Store`]: it refuses requests of
/// a closed client and claims beyond its [`Capability`], and names verb, lock and store in errors.
///
/// A verb may be written as `async fn`.
pub trait Verbs: fmt::Debug + Send + Sync + 'static {
    /// The state of this client.
    fn state(&self) -> &ClientState;

    /// [`Store::server_info`].
    fn server_info(&self) -> impl Future<Output = Result<ServerInfo>> + Send;

    /// [`Store::revalidation`].
    fn revalidation(&self, seen: &mut u64) -> impl Future<Output = ()> + Send {
        self.state().revalidations.after(seen)
    }

    /// [`Store::claim`], of a claim that the capability admits.
    fn claim(&self, claim: &Claim) -> impl Future<Output = Result<Standing>> + Send;

    /// [`Store::renew`], of claims that the capability admits.
    fn renew(&self, claims: &[Claim]) -> impl Future<Output = Vec<Result<Renewal>>> + Send;

    /// [`Store::release`].
    fn release(&self, claim: &Claim) -> impl Future<Output = Result<Release>> + Send;

    /// [`Store::watch`]; nobody is woken unless it is written.
    fn watch(
        &self,
        _name: &LockName,
        _interest: Interest,
    ) -> impl Future<Output = Result<Box<dyn Wake>>> + Send {
        async { Ok(Box::new(NeverWakes) as Box<dyn Wake>) }
    }

    /// [`Store::inspect`].
    fn inspect(&self, name: &LockName) -> impl Future<Output = Result<Snapshot>> + Send;

    /// [`Store::list`].
    fn list(&self, prefix: &str, limit: usize) -> impl Future<Output = Result<Vec<Snapshot>>> + Send;

    /// [`Store::force_release`].
    fn force_release(&self, name: &LockName) -> impl Future<Output = Result<Vec<Contender>>> + Send;

    /// [`Store::close`], also of a client that is closed already.
    fn close(&self) -> impl Future<Output = Result<()>> + Send;
}

/// Runs a verb of an open client, and names verb, lock and store in its error. The verb's future is made in its place: a
/// copy of it would double what is allocated for each call.
async fn run<T, F: Future<Output = Result<T>>>(
    store: &impl Verbs,
    verb: &'static str,
    name: Option<&LockName>,
    work: impl FnOnce() -> F,
) -> Result<T> {
    let result = match store.state().check_open() {
        Ok(()) => work().await,
        Err(error) => Err(error),
    };
    match name {
        Some(name) => result.explain(verb, name, store.state().url.as_str()),
        None => result.explain_store(verb, store.state().url.as_str()),
    }
}

/// Renews those claims that the capability admits, and refuses the others.
async fn renew_admitted(store: &impl Verbs, claims: &[Claim]) -> Vec<Result<Renewal>> {
    let capability = &store.state().capability;
    let rest = claims.iter().filter(|claim| capability.admits(claim).is_ok());
    let mut answers = store.renew(&rest.cloned().collect::<Vec<_>>()).await;
    for (at, claim) in claims.iter().enumerate() {
        if let Err(refused) = capability.admits(claim) {
            answers.insert(at.min(answers.len()), Err(refused));
        }
    }
    answers
}

impl<S: Verbs> Store for S {
    fn capability(&self) -> &Capability {
        &self.state().capability
    }

    fn url(&self) -> &str {
        &self.state().url
    }

    fn server_info(&self) -> BoxFuture<'_, Result<ServerInfo>> {
        Box::pin(run(self, "server-info", None, || Verbs::server_info(self)))
    }

    fn revalidation<'a>(&'a self, seen: &'a mut u64) -> BoxFuture<'a, ()> {
        Box::pin(Verbs::revalidation(self, seen))
    }

    fn claim<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Standing>> {
        Box::pin(run(self, "claim", Some(&claim.name), || async {
            self.state().capability.admits(claim)?;
            Verbs::claim(self, claim).await
        }))
    }

    fn renew<'a>(&'a self, claims: &'a [Claim]) -> BoxFuture<'a, Vec<Result<Renewal>>> {
        Box::pin(async move {
            let ClientState { capability, url, .. } = self.state();
            let answers = match self.state().check_open() {
                Ok(()) if claims.iter().all(|claim| capability.admits(claim).is_ok()) => {
                    Verbs::renew(self, claims).await
                }
                Ok(()) => renew_admitted(self, claims).await,
                Err(error) => vec![Err(error); claims.len()],
            };
            let named = answers.into_iter().zip(claims);
            named.map(|(answer, claim)| answer.explain("renew", &claim.name, url)).collect()
        })
    }

    fn release<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Release>> {
        Box::pin(run(self, "release", Some(&claim.name), || Verbs::release(self, claim)))
    }

    fn watch<'a>(&'a self, name: &'a LockName, interest: Interest) -> BoxFuture<'a, Result<Box<dyn Wake>>> {
        Box::pin(run(self, "watch", Some(name), move || Verbs::watch(self, name, interest)))
    }

    fn inspect<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Snapshot>> {
        Box::pin(run(self, "inspect", Some(name), || Verbs::inspect(self, name)))
    }

    fn list<'a>(&'a self, prefix: &'a str, limit: usize) -> BoxFuture<'a, Result<Vec<Snapshot>>> {
        Box::pin(run(self, "list", None, move || Verbs::list(self, prefix, limit)))
    }

    fn force_release<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Vec<Contender>>> {
        Box::pin(run(self, "force-release", Some(name), || Verbs::force_release(self, name)))
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { Verbs::close(self).await.explain_store("close", &self.state().url) })
    }
}
