//! The forwarding that all layers share.

/// The methods of a layer that pass a call on to `self.inner` unchanged.
macro_rules! forward_unchanged {
    () => {
        fn capability(&self) -> &crate::Capability {
            self.inner.capability()
        }

        fn url(&self) -> &str {
            self.inner.url()
        }

        fn server_info(&self) -> crate::BoxFuture<'_, crate::Result<crate::ServerInfo>> {
            self.inner.server_info()
        }

        fn revalidation<'a>(&'a self, seen: &'a mut u64) -> crate::BoxFuture<'a, ()> {
            self.inner.revalidation(seen)
        }

        fn close(&self) -> crate::BoxFuture<'_, crate::Result<()>> {
            self.inner.close()
        }
    };
}

/// Implements the store trait for a layer: each verb goes through `self.around(verb, lock, show, call)`, where `show` is
/// the part of an answer to print, and a renewal through `self.renew_around(claims)`.
macro_rules! store_around {
    ($layer:ty) => {
        impl crate::Store for $layer {
            forward_unchanged!();

            fn claim<'a>(
                &'a self,
                claim: &'a crate::Claim,
            ) -> crate::BoxFuture<'a, crate::Result<crate::Standing>> {
                Box::pin(self.around(Verb::Claim, &claim.name, |it| it, self.inner.claim(claim)))
            }

            fn renew<'a>(
                &'a self,
                claims: &'a [crate::Claim],
            ) -> crate::BoxFuture<'a, Vec<crate::Result<crate::Renewal>>> {
                Box::pin(self.renew_around(claims))
            }

            fn release<'a>(
                &'a self,
                claim: &'a crate::Claim,
            ) -> crate::BoxFuture<'a, crate::Result<crate::Release>> {
                Box::pin(self.around(Verb::Release, &claim.name, |it| it, self.inner.release(claim)))
            }

            fn watch<'a>(
                &'a self,
                name: &'a crate::LockName,
                interest: crate::Interest,
            ) -> crate::BoxFuture<'a, crate::Result<Box<dyn crate::Wake>>> {
                Box::pin(self.around(Verb::Watch, name, |_| &"subscribed", self.inner.watch(name, interest)))
            }

            fn inspect<'a>(
                &'a self,
                name: &'a crate::LockName,
            ) -> crate::BoxFuture<'a, crate::Result<crate::Snapshot>> {
                Box::pin(self.around(Verb::Inspect, name, |it| it, self.inner.inspect(name)))
            }

            fn list<'a>(
                &'a self,
                prefix: &'a str,
                limit: usize,
            ) -> crate::BoxFuture<'a, crate::Result<Vec<crate::Snapshot>>> {
                Box::pin(async move {
                    let locks = format!("{}*", prefix.escape_debug());
                    self.around(Verb::List, &locks, |it| it, self.inner.list(prefix, limit)).await
                })
            }

            fn force_release<'a>(
                &'a self,
                name: &'a crate::LockName,
            ) -> crate::BoxFuture<'a, crate::Result<Vec<crate::Contender>>> {
                Box::pin(self.around(Verb::ForceRelease, name, |it| it, self.inner.force_release(name)))
            }
        }
    };
}
