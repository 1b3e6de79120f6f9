//! The forwarding that all layers share. The macros name the types of the store trait, which a layer imports.

/// The methods of a layer that pass a call on to `self.inner` unchanged.
macro_rules! forward_unchanged {
    () => {
        fn capability(&self) -> &Capability {
            self.inner.capability()
        }

        fn url(&self) -> &str {
            self.inner.url()
        }

        fn server_info(&self) -> BoxFuture<'_, Result<ServerInfo>> {
            self.inner.server_info()
        }

        fn revalidation<'a>(&'a self, seen: &'a mut u64) -> BoxFuture<'a, ()> {
            self.inner.revalidation(seen)
        }

        fn close(&self) -> BoxFuture<'_, Result<()>> {
            self.inner.close()
        }
    };
}

/// Implements the store trait for a layer: each verb goes through `self.around(verb, lock, show, call)`, where `show` is
/// the part of an answer to print, and a renewal through `self.renew_around(claims)`.
macro_rules! store_around {
    ($layer:ty) => {
        impl Store for $layer {
            forward_unchanged!();

            fn claim<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Standing>> {
                Box::pin(self.around(Verb::Claim, &claim.name, |it| it, self.inner.claim(claim)))
            }

            fn renew<'a>(&'a self, claims: &'a [Claim]) -> BoxFuture<'a, Vec<Result<Renewal>>> {
                Box::pin(self.renew_around(claims))
            }

            fn release<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Release>> {
                Box::pin(self.around(Verb::Release, &claim.name, |it| it, self.inner.release(claim)))
            }

            fn watch<'a>(
                &'a self,
                name: &'a LockName,
                interest: Interest,
            ) -> BoxFuture<'a, Result<Box<dyn Wake>>> {
                Box::pin(self.around(Verb::Watch, name, |_| &"subscribed", self.inner.watch(name, interest)))
            }

            fn inspect<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Snapshot>> {
                Box::pin(self.around(Verb::Inspect, name, |it| it, self.inner.inspect(name)))
            }

            fn list<'a>(&'a self, prefix: &'a str, limit: usize) -> BoxFuture<'a, Result<Vec<Snapshot>>> {
                Box::pin(async move {
                    let locks = format!("{}*", prefix.escape_debug());
                    self.around(Verb::List, &locks, |it| it, self.inner.list(prefix, limit)).await
                })
            }

            fn force_release<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Vec<Contender>>> {
                Box::pin(self.around(Verb::ForceRelease, name, |it| it, self.inner.force_release(name)))
            }
        }
    };
}
