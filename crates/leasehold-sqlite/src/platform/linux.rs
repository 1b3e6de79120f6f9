//! Linux's own: inotify, `/proc`, and the magic numbers of file systems.

use std::{
    collections::HashMap,
    fs, io,
    mem::MaybeUninit,
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    path::Path,
    sync::Arc,
};

use leasehold_core::{Error, ErrorKind, Result, store_kit::Locked};
use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, eventfd, poll},
    fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags},
    io::Errno,
};

use super::{Events, Platform};

#[derive(Debug)]
struct Watcher {
    inotify: OwnedFd,
    stop: OwnedFd,
    own: i32,
    /// The watched sessions, by the kernel's number of the watch.
    watched: Locked<HashMap<i32, u64>>,
}

/// Room for some hundred events; more are read in the next round.
const BUFFER_BYTES: usize = 4096;

impl Watcher {
    fn new(own_session: &Path) -> Result<Watcher> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).map_err(exhausted)?;
        let own = inotify::add_watch(&inotify, own_session, WatchFlags::ATTRIB).map_err(exhausted)?;
        let stop = eventfd(0, EventfdFlags::CLOEXEC).map_err(exhausted)?;
        Ok(Watcher { inotify, stop, own, watched: Locked::default() })
    }

    fn read(&self) -> Events {
        let mut buffer = [MaybeUninit::uninit(); BUFFER_BYTES];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        let mut events = Events::default();
        let mut watched = self.watched.lock();
        while let Ok(event) = reader.next() {
            if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                // Events were lost: everything may have happened.
                events.notified = true;
                events.closed = watched.values().copied().collect();
            } else if event.wd() == self.own {
                events.notified = true;
            } else if let Some(&session) = watched.get(&event.wd()) {
                if event.events().contains(ReadFlags::IGNORED) {
                    watched.remove(&event.wd());
                } else if !events.closed.contains(&session) {
                    events.closed.push(session);
                }
            }
        }
        events
    }
}

impl super::Watcher for Watcher {
    fn stop(&self) {
        if let Err(errno) = rustix::io::write(&self.stop, &1u64.to_ne_bytes()) {
            tracing::error!(%errno, "the watching thread could not be stopped");
        }
    }

    fn watch(&self, session: u64, path: &Path) {
        let mut watched = self.watched.lock();
        if watched.values().any(|other| *other == session) {
            return;
        }
        match inotify::add_watch(&self.inotify, path, WatchFlags::CLOSE_WRITE | WatchFlags::DELETE_SELF) {
            Ok(watch) => drop(watched.insert(watch, session)),
            Err(Errno::NOENT) => {}
            Err(errno) => tracing::warn!(%errno, "the end of another process will be noticed late"),
        }
    }

    fn run(&self, report: &dyn Fn(Events)) {
        loop {
            let mut ready =
                [PollFd::new(&self.inotify, PollFlags::IN), PollFd::new(&self.stop, PollFlags::IN)];
            match poll(&mut ready, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => {
                    tracing::error!(%errno, "waiters are not woken any more; they ask again by themselves");
                    return;
                }
            }
            if !ready[1].revents().is_empty() {
                return;
            }
            report(self.read());
        }
    }
}

fn exhausted(errno: Errno) -> Error {
    Error::new(ErrorKind::Exhausted, format!("inotify is not available: {errno}"))
        .hint("raise fs.inotify.max_user_instances and fs.inotify.max_user_watches with sysctl")
}

/// The platform with what only Linux has.
pub(super) struct Linux;

impl Platform for Linux {
    fn watch(&self, own_session: &Path) -> Result<Arc<dyn super::Watcher>> {
        Ok(Arc::new(Watcher::new(own_session)?))
    }

    fn boot_id(&self) -> Result<String> {
        fs::read_to_string("/proc/sys/kernel/random/boot_id").map_err(|source| {
            Error::new(ErrorKind::Unsafe, "the kernel does not show the identity of this boot")
                .hint("mount /proc, and not with subset=pid: /proc/sys/kernel/random/boot_id tells locks of an earlier boot from those of this one")
                .source(source)
        })
    }

    fn clock_offset(&self) -> String {
        let offsets = fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
        let clock =
            offsets.lines().find_map(|line| line.strip_prefix("boottime")).unwrap_or(super::NO_OFFSET);
        clock.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn lock_owner(&self, write_lock: &Path) -> Option<String> {
        let file = format!(":{}", fs::metadata(write_lock).ok()?.ino());
        let locks = fs::read_to_string("/proc/locks").ok()?;
        // 1: FLOCK  ADVISORY  WRITE 1234 fe:00:5678 0 EOF, and "1: -> FLOCK …" for those who wait.
        let owner = locks.lines().find_map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            let ours =
                words.get(1) == Some(&"FLOCK") && words.get(5).is_some_and(|word| word.ends_with(&file));
            ours.then(|| words[4].to_owned())
        })?;
        let status = fs::read_to_string(format!("/proc/{owner}/stat")).unwrap_or_default();
        let command = status.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')'));
        let Some((command, rest)) = command else { return Some(format!("process {owner}")) };
        let stopped = matches!(rest.split_whitespace().next(), Some("T" | "t"));
        Some(format!(
            "process {owner} ({}{})",
            command.escape_debug(),
            if stopped { ", stopped" } else { "" }
        ))
    }

    fn network_file_system(&self, directory: &Path) -> io::Result<Option<&'static str>> {
        // The width of the field differs between machines; the magic numbers have 32 bits.
        Ok(by_magic(rustix::fs::statfs(directory)?.f_type as u32))
    }
}

/// The name of a file system that is refused, by the magic number of statfs(2).
fn by_magic(magic: u32) -> Option<&'static str> {
    Some(match magic {
        0x6969 => "NFS",
        0x517b => "SMB",
        0xff53_4d42 | 0xfe53_4d42 => "CIFS",
        0x0102_1997 => "9P",
        0x5346_414f | 0x6b41_4653 => "AFS",
        0x00c3_6400 => "Ceph",
        0x7375_7245 => "Coda",
        0x564c => "NCP",
        0x0116_1970 => "GFS2",
        0x7461_636f => "OCFS2",
        0x0bd0_0bd0 => "Lustre",
        0x4750_4653 => "GPFS",
        0xaad7_aaea => "PanFS",
        0x1983_0326 => "BeeGFS",
        0x786f_4256 => "a VirtualBox shared folder",
        0xbacb_acbc => "a VMware shared folder",
        0x6573_5546 => "FUSE",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_of_other_machines_are_refused_and_local_ones_are_not() {
        for (magic, name) in
            [(0x6969, "NFS"), (0xff53_4d42, "CIFS"), (0x6573_5546, "FUSE"), (0x0102_1997, "9P")]
        {
            assert_eq!(by_magic(magic), Some(name));
        }
        for local in [0xef53, 0x0102_1994, 0x9123_683e, 0x5846_5342, 0x794c_7630] {
            assert_eq!(by_magic(local), None, "{local:x}");
        }
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Linux.network_file_system(directory.path()).unwrap(), None);
    }
}
