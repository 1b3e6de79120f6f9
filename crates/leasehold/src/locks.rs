//! The locks, and the parts that all of them share: [`LockSpec`], options, and blocking forms.

pub(crate) mod candidate;
pub(crate) mod count_down_latch;
pub(crate) mod election;
pub(crate) mod multi_guard;
pub(crate) mod multi_lock;
pub(crate) mod mutex;
pub(crate) mod once_per;
pub(crate) mod owners;
pub(crate) mod reentrant_mutex;
pub(crate) mod rw_lock;
pub(crate) mod semaphore;
mod spec;

pub(crate) use spec::{LockSpec, granted, released, shorter};

/// Defines the option methods of a type that has a method `change`.
macro_rules! option_methods {
    ($type:ident) => {
        /// Options. They are checked as a whole against the capability of the store, before the first request and by
        /// `build`.
        impl $type {
            /// Sets how long the store keeps the lock when its holder is not heard of; 30 s unless set.
            #[must_use]
            pub fn ttl(self, ttl: std::time::Duration) -> Self {
                self.change(|options| options.ttl = ttl)
            }

            /// Lets the lease end at its first deadline: the watchdog does not renew it.
            #[must_use]
            pub fn without_renewal(self) -> Self {
                self.change(|options| options.renew = false)
            }

            /// Bounds how long the watchdog renews the lease, and so a holder that hangs.
            #[must_use]
            pub fn max_hold(self, max: std::time::Duration) -> Self {
                self.change(|options| options.max_hold = Some(max))
            }

            /// Queues in order of arrival, overtaken by nobody.
            #[must_use]
            pub fn fair(self) -> Self {
                self.change(|options| options.fair = true)
            }

            /// Keeps the lock shut for a while after a hold that ended without a release.
            #[must_use]
            pub fn lock_delay(self, delay: std::time::Duration) -> Self {
                self.change(|options| options.lock_delay = delay)
            }

            /// Lets the hold outlive its client: only a release or its time to live ends it.
            #[must_use]
            pub fn outlives_client(self) -> Self {
                self.change(|options| options.binding = leasehold_core::Binding::Ttl)
            }

            /// Refuses a store whose fencing tokens do not survive its restart.
            #[must_use]
            pub fn require_fencing(self) -> Self {
                self.change(|options| options.require_fencing = true)
            }

            /// Sets for how long a store that fails is asked again before its error is returned; 5 s unless set.
            #[must_use]
            pub fn retry_timeout(self, timeout: std::time::Duration) -> Self {
                self.change(|options| options.retry_timeout = timeout)
            }

            /// Sets the text that waiters and `inspect` show of the holder; see [`Note`](crate::Note).
            #[must_use]
            pub fn note(self, note: impl Into<std::sync::Arc<str>>) -> Self {
                self.change(|options| options.note = Some(note.into()))
            }

            /// Replaces all options.
            #[must_use]
            pub fn with_options(self, options: leasehold_core::LockOptions) -> Self {
                self.change(|all| *all = options)
            }
        }
    };
}

/// Defines the methods that every lock of one name has, for a type with a `spec`.
macro_rules! lock_methods {
    ($type:ident) => {
        $crate::locks::option_methods!($type);

        impl $type {
            fn change(
                mut self,
                change: impl FnOnce(&mut leasehold_core::LockOptions),
            ) -> Self {
                self.spec.change(change);
                self
            }

            /// Checks the options now instead of at the first use.
            ///
            /// # Errors
            /// [`ErrorKind::Invalid`](crate::ErrorKind) and [`ErrorKind::Unsupported`](crate::ErrorKind) for options that
            /// the store cannot keep.
            pub fn build(self) -> leasehold_core::Result<Self> {
                self.spec.check().map(|()| self)
            }

            /// The options.
            pub fn options(&self) -> &leasehold_core::LockOptions {
                &self.spec.options
            }

            /// The name.
            pub fn name(&self) -> &leasehold_core::LockName {
                &self.spec.name
            }

            /// Calls `observer` each time the store answers that the lock is taken: by whom, for how long, and how many
            /// are ahead in the queue.
            #[must_use]
            pub fn on_busy(
                mut self,
                observer: impl Fn(&leasehold_core::Busy) + Send + Sync + 'static,
            ) -> Self {
                self.spec.observe(observer);
                self
            }

            /// Holders and waiters, as the store knew them a moment ago.
            ///
            /// # Errors
            /// Those of the store.
            ///
            /// # Cancel safety
            /// Cancel safe.
            pub async fn inspect(&self) -> leasehold_core::Result<leasehold_core::Snapshot> {
                self.spec.inspect().await
            }

            /// Ends all holds of the lock and raises its fencing counter. Answers the evicted holders.
            ///
            /// # Errors
            /// Those of the store.
            ///
            /// # Cancel safety
            /// Dropping the future leaves it done or not done.
            pub async fn force_release(&self) -> leasehold_core::Result<Vec<leasehold_core::Contender>> {
                self.spec.force_release().await
            }
        }

        $crate::locks::blocking!($type, self: [&self] {
            blocking_inspect = inspect() -> leasehold_core::Snapshot;
            blocking_force_release = force_release() -> Vec<leasehold_core::Contender>;
        });
    };
}

/// Defines the methods that wait for a lock, by a method `$acquire` that takes a [`Wait`].
macro_rules! wait_methods {
    ($type:ident, $what:literal, $acquire:ident($($argument:ident: $of:ty)?) -> $guard:ident {
        $lock:ident / $blocking_lock:ident,
        $try_lock:ident / $blocking_try_lock:ident,
        $try_lock_for:ident / $blocking_try_lock_for:ident $(,)?
    }) => {
        impl $type {
            #[doc = concat!("Waits for ", $what, " for as long as it takes.")]
            ///
            /// # Errors
            /// Those of the store, when it failed for longer than `retry_timeout`;
            /// [`ErrorKind::Mismatch`](crate::ErrorKind) when others use the name with another number of permits,
            /// [`ErrorKind::Invalid`](crate::ErrorKind) for an argument out of range.
            ///
            /// # Cancel safety
            /// Cancel safe: no hold and no place in the queue remains of a dropped future.
            pub async fn $lock(&self $(, $argument: $of)?) -> Result<$guard> {
                self.$acquire($($argument,)? Wait::Forever).await.and_then($crate::locks::granted)
            }

            #[doc = concat!("Acquires ", $what, " if nobody is in the way: one round trip, or up to `retry_timeout` while")]
            /// the store fails.
            ///
            /// # Errors
            #[doc = concat!("As [`", stringify!($type), "::", stringify!($lock), "`]. Contention is no error but `None`,")]
            /// which the store alone can say: one that fails is an error.
            ///
            /// # Cancel safety
            /// Cancel safe.
            pub async fn $try_lock(&self $(, $argument: $of)?) -> Result<Option<$guard>> {
                self.$acquire($($argument,)? Wait::No).await
            }

            #[doc = concat!("Waits for ", $what, " for at most `wait`, and a tenth of a second for an answer that is due.")]
            ///
            /// # Errors
            #[doc = concat!("As [`", stringify!($type), "::", stringify!($lock), "`]. `None` if the store has said meanwhile that")]
            /// somebody is in the way; its last error otherwise.
            ///
            /// # Cancel safety
            /// Cancel safe.
            pub async fn $try_lock_for(&self, $($argument: $of,)? wait: Duration) -> Result<Option<$guard>> {
                self.$acquire($($argument,)? Wait::For(wait)).await
            }
        }

        $crate::locks::blocking!($type, self: [&self] {
            $blocking_lock = $lock($($argument: $of)?) -> $guard;
            $blocking_try_lock = $try_lock($($argument: $of)?) -> Option<$guard>;
            $blocking_try_lock_for = $try_lock_for($($argument: $of,)? wait: Duration) -> Option<$guard>;
        });
    };
}

/// Defines the methods that acquire a lock in one mode, for a type with a `spec`.
macro_rules! acquire_methods {
    ($type:ident, $what:literal, $acquire:ident($($argument:ident: $of:ty)?), $mode:expr => $guard:ident {
        $lock:ident / $blocking_lock:ident,
        $try_lock:ident / $blocking_try_lock:ident,
        $try_lock_or_busy:ident / $blocking_try_lock_or_busy:ident,
        $try_lock_for:ident / $blocking_try_lock_for:ident $(,)?
    }) => {
        $crate::locks::wait_methods!($type, $what, $acquire($($argument: $of)?) -> $guard {
            $lock / $blocking_lock,
            $try_lock / $blocking_try_lock,
            $try_lock_for / $blocking_try_lock_for,
        });

        impl $type {
            #[doc = concat!("Acquires ", $what, " if nobody is in the way; otherwise answers a holder, and when to try again.")]
            ///
            /// # Errors
            #[doc = concat!("As [`", stringify!($type), "::", stringify!($try_lock), "`].")]
            ///
            /// # Cancel safety
            /// Cancel safe.
            pub async fn $try_lock_or_busy(&self $(, $argument: $of)?) -> Result<Result<$guard, Busy>> {
                Ok(self.spec.acquire_or_busy($mode(self $(, $argument)?)).await?.map($guard::new))
            }

            async fn $acquire(&self, $($argument: $of,)? wait: Wait) -> Result<Option<$guard>> {
                Ok(self.spec.acquire($mode(self $(, $argument)?), wait).await?.map($guard::new))
            }
        }

        $crate::locks::blocking!($type, self: [&self] {
            $blocking_try_lock_or_busy = $try_lock_or_busy($($argument: $of)?) -> Result<$guard, Busy>;
        });
    };
}

/// Defines the methods that run work under a lock, by the methods that acquire and release it.
macro_rules! with_methods {
    ($type:ident, $lock:ident($($argument:ident: $of:ty)?), $release:ident, |$guard:ident| $leases:expr => $lease:ty {
        $with:ident, $try_with:ident, $blocking_with:ident
    }) => {
        impl $type {
            /// Acquires the lock, runs `work` under its lease and releases it. `work` is dropped when the lease is lost.
            ///
            /// # Errors
            /// [`ErrorKind::Lost`](crate::ErrorKind) when the lease was lost before `work` was done;
            #[doc = concat!("as [`", stringify!($type), "::", stringify!($lock), "`].")]
            ///
            /// # Cancel safety
            /// Dropping the future drops `work` and releases the lock.
            pub async fn $with<T, F: Future<Output = T>>(
                &self,
                $($argument: $of,)?
                work: impl FnOnce($lease) -> F,
            ) -> Result<T> {
                let $guard = self.$lock($($argument)?).await?;
                let output = $guard.run(work($leases)).await?;
                $crate::locks::released($guard.$release().await);
                Ok(output)
            }

            #[doc = concat!("[`", stringify!($type), "::", stringify!($with), "`] for work that can fail: one error type for both.")]
            ///
            /// # Errors
            /// Those of `work`; those of the lock, converted.
            ///
            /// # Cancel safety
            /// Dropping the future drops `work` and releases the lock.
            pub async fn $try_with<T, E: From<Error>, F: Future<Output = Result<T, E>>>(
                &self,
                $($argument: $of,)?
                work: impl FnOnce($lease) -> F,
            ) -> Result<T, E> {
                self.$with($($argument,)? work).await?
            }

            #[doc = concat!("[`", stringify!($type), "::", stringify!($with), "`] without async. Blocking code cannot be stopped from")]
            /// outside: `work` calls [`Lease::check`] before each side effect.
            ///
            /// # Errors
            /// [`ErrorKind::Lost`](crate::ErrorKind) when the lease was lost by the time `work` was done; those of the
            /// store; [`ErrorKind::WouldDeadlock`](crate::ErrorKind) in an async task.
            pub fn $blocking_with<T>(&self, $($argument: $of,)? work: impl FnOnce(&$lease) -> T) -> Result<T> {
                let $guard = $crate::block_on::wait(self.$lock($($argument)?))?;
                let output = work(&$leases);
                $guard.check()?;
                $crate::locks::released($crate::block_on::wait($guard.$release()));
                Ok(output)
            }
        }
    };
}

/// Defines the blocking forms of async methods, as tokio names them.
macro_rules! blocking {
    ($type:ident, $self:ident: $receiver:tt { $(
        $blocking:ident = $method:ident $arguments:tt -> $answer:ty;
    )* }) => {
        /// Blocking forms, for threads that have no async tasks to run.
        impl $type {
            $($crate::locks::blocking!(@ $type $self $receiver $blocking $method $arguments $answer);)*
        }
    };
    (@ $type:ident $self:ident [$($receiver:tt)+] $blocking:ident $method:ident
        ($($argument:ident: $of:ty),* $(,)?) $answer:ty) => {
        #[doc = concat!("[`", stringify!($type), "::", stringify!($method), "`] without async: the thread blocks.")]
        ///
        /// # Errors
        #[doc = concat!("As [`", stringify!($type), "::", stringify!($method), "`]; ")]
        /// [`ErrorKind::WouldDeadlock`](crate::ErrorKind) in an async task, whose thread must not block.
        pub fn $blocking($($receiver)+ $(, $argument: $of)*) -> leasehold_core::Result<$answer> {
            $crate::block_on::wait($self.$method($($argument),*))
        }
    };
}

pub(crate) use {acquire_methods, blocking, lock_methods, option_methods, wait_methods, with_methods};
