//! [`FileStore`]: lock the file, read it, decide, write it back. No wake-ups, no sessions.
//!
//! A directory of a few files, so that names do not all stand in each other's way; each file has its own counter.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use leasehold_core::{
    BoxFuture, Capability, Claim, Contender, Drift, Env, Error, ErrorKind, Exclusion, Fencing, FencingToken,
    Interest, Liveness, LockName, Release, Renewal, Result, ServerInfo, Snapshot, Standing, Store, Wake,
    decide::lock_state::LockState,
};
use rustix::fs::{FlockOperation, flock};

use super::codec::{self, Contents};

const SHARDS: u8 = 32;

/// FNV-1a (Fowler, Noll, Vo 1991): the same in every process.
fn shard_of(name: &LockName) -> u8 {
    let mix = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    (name.as_str().bytes().fold(0x811c_9dc5, mix) % u32::from(SHARDS)) as u8
}

const RECHECK_MAX: Duration = Duration::from_millis(25);

/// A client of the locks in one file.
#[derive(Debug)]
pub(crate) struct FileStore {
    env: Env,
    capability: Capability,
    path: PathBuf,
    closed: AtomicBool,
}

impl FileStore {
    pub(crate) fn open(env: Env, path: &Path) -> Result<Self> {
        let capability = Capability {
            scheme: "file",
            exclusion: Exclusion::Lease,
            commits: false,
            shared: true,
            permits: u32::MAX,
            fifo: true,
            fencing: Fencing::Durable,
            liveness: Liveness::Ttl,
            waiters: true,
            wakes: false,
            detach: true,
            notes: true,
            lists: true,
            lock_delay: true,
            votes: true,
            ttl_min: Duration::from_millis(50),
            ttl_max: Duration::from_secs(3600),
            drift: Drift::SAME_CLOCK,
        };
        std::fs::create_dir_all(path).map_err(unreachable)?;
        Ok(FileStore { env, capability, path: path.to_owned(), closed: AtomicBool::new(false) })
    }

    /// Everything between reading and writing happens under an exclusive `flock` of a file beside; the new contents
    /// replace the old in one rename, so a process killed half-way has changed nothing.
    fn transact<T>(&self, name: &LockName, verb: impl FnOnce(&mut Contents) -> Result<T>) -> Result<T> {
        self.transact_in(shard_of(name), verb)
    }

    fn transact_in<T>(&self, shard: u8, verb: impl FnOnce(&mut Contents) -> Result<T>) -> Result<T> {
        self.refuse_closed()?;
        let path = self.path.join(format!("{shard:02x}"));
        let gate = File::create(path.with_extension("gate")).map_err(unreachable)?;
        flock(&gate, FlockOperation::LockExclusive).map_err(|errno| unreachable(errno.into()))?;
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            other => other.map_err(unreachable)?,
        };
        let mut contents = codec::read(&text)?;
        let answer = verb(&mut contents)?;
        contents.documents.retain(|_, document| !document.entries().is_empty());
        let new = codec::write(&contents);
        if new != text {
            let draft = path.with_extension("new");
            std::fs::write(&draft, new).and_then(|()| std::fs::rename(&draft, &path)).map_err(unreachable)?;
        }
        Ok(answer)
    }

    fn refuse_closed(&self) -> Result<()> {
        match self.closed.load(Ordering::Acquire) {
            true => Err(Error::new(ErrorKind::Closed, "this client is closed")),
            false => Ok(()),
        }
    }

    fn change<T>(&self, name: &LockName, verb: impl FnOnce(&mut LockState) -> T) -> Result<T> {
        self.transact(name, |contents| Ok(verb(contents.documents.entry(name.clone()).or_default())))
    }

    fn claim_now(&self, claim: &Claim) -> Result<Standing> {
        self.capability.admits(claim)?;
        let now = self.env.now();
        self.transact(&claim.name, |contents| {
            let Contents { fence, documents } = contents;
            let draw = |floor: Option<FencingToken>| {
                let token = FencingToken::after(*fence, floor.map_or(0, FencingToken::get))?;
                *fence = token.get();
                Ok(Some(token))
            };
            let mut standing =
                documents.entry(claim.name.clone()).or_default().claim(claim, None, now, draw)?;
            // Nobody wakes the waiters of this store: they must come back soon by themselves.
            if let Standing::Held(busy) | Standing::Waiting(busy) = &mut standing {
                busy.recheck_in = busy.recheck_in.min(RECHECK_MAX);
            }
            // The counter never falls behind a token that a floor has raised.
            if let Standing::Granted(grant) = &standing {
                *fence = (*fence).max(grant.fence.map_or(0, FencingToken::get));
            }
            Ok(standing)
        })
    }

    fn snapshot(&self, name: &LockName, contents: &mut Contents) -> Snapshot {
        let now = self.env.now();
        let fence = FencingToken::new(contents.fence).ok();
        let Some(document) = contents.documents.get_mut(name) else {
            return Snapshot {
                name: name.clone(),
                holders: Vec::new(),
                waiters: Vec::new(),
                fence,
                members: Vec::new(),
            };
        };
        document.expire(now);
        let (holders, waiters) = document.contenders(now);
        Snapshot { name: name.clone(), holders, waiters, fence, members: Vec::new() }
    }
}

fn unreachable(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unreachable, error.to_string()).source(error)
}

/// A subscription to a store that wakes nobody.
struct Silent;

impl Wake for Silent {
    fn wait(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(std::future::pending())
    }
}

impl Store for FileStore {
    fn capability(&self) -> &Capability {
        &self.capability
    }

    fn url(&self) -> &str {
        "file:"
    }

    fn server_info(&self) -> BoxFuture<'_, Result<ServerInfo>> {
        Box::pin(async {
            self.refuse_closed()?;
            Ok(ServerInfo {
                server: self.path.to_string_lossy().into(),
                lineage: None,
                remembers_for: Duration::MAX,
                wall_us: self.env.wall_us(),
            })
        })
    }

    fn revalidation<'a>(&'a self, _seen: &'a mut u64) -> BoxFuture<'a, ()> {
        Box::pin(std::future::pending())
    }

    fn claim<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Standing>> {
        Box::pin(async move { self.claim_now(claim) })
    }

    fn renew<'a>(&'a self, claims: &'a [Claim]) -> BoxFuture<'a, Vec<Result<Renewal>>> {
        Box::pin(async move {
            let now = self.env.now();
            let renew = |claim: &Claim| {
                self.capability.admits(claim)?;
                self.change(&claim.name, |document| document.renew(claim, now))
            };
            claims.iter().map(renew).collect()
        })
    }

    fn release<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Release>> {
        Box::pin(
            async move { self.change(&claim.name, |document| document.release(claim.id, self.env.now())) },
        )
    }

    fn watch<'a>(&'a self, name: &'a LockName, _: Interest) -> BoxFuture<'a, Result<Box<dyn Wake>>> {
        Box::pin(async move { self.transact(name, |_| Ok(Box::new(Silent) as Box<dyn Wake>)) })
    }

    fn inspect<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Snapshot>> {
        Box::pin(async move { self.transact(name, |contents| Ok(self.snapshot(name, contents))) })
    }

    fn list<'a>(&'a self, prefix: &'a str, limit: usize) -> BoxFuture<'a, Result<Vec<Snapshot>>> {
        Box::pin(async move {
            let mut found = Vec::new();
            for shard in 0..SHARDS {
                self.transact_in(shard, |contents| {
                    let names: Vec<_> = contents.documents.keys().cloned().collect();
                    let named = names.iter().filter(|name| name.as_str().starts_with(prefix));
                    found.extend(named.map(|name| self.snapshot(name, contents)));
                    Ok(())
                })?;
            }
            found.retain(|snapshot| !snapshot.holders.is_empty() || !snapshot.waiters.is_empty());
            found.sort_by(|one, other| one.name.cmp(&other.name));
            found.truncate(limit);
            Ok(found)
        })
    }

    fn force_release<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Vec<Contender>>> {
        Box::pin(async move {
            self.transact(name, |contents| {
                contents.fence += 1;
                Ok(contents.documents.entry(name.clone()).or_default().force_release(self.env.now()))
            })
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.closed.store(true, Ordering::Release);
            Ok(())
        })
    }
}
