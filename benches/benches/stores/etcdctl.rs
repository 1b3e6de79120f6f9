//! [`Etcdctl`]: `etcdctl lock NAME true`, a whole command each time.

use std::{process::Stdio, sync::Arc, time::Duration};

use leasehold::env::Env;
use leasehold_testkit::etcd::Member;

use crate::contender::Contender;

/// So many of the pairs that others do: each is two starts of a program.
const SHARE: usize = 20;

pub(crate) struct Etcdctl {
    pub(crate) member: Arc<Member>,
    pub(crate) env: Env,
}

impl Contender for Etcdctl {
    fn label(&self) -> String {
        "etcdctl lock NAME true".into()
    }

    fn word(&self) -> &'static str {
        "etcdctl"
    }

    /// One after the other; many at once would measure how fast programs start.
    fn pairs(&mut self, name: &str, times: usize, tasks: usize) -> Option<Duration> {
        if tasks > 1 {
            return None;
        }
        let turns = (times / SHARE).max(1);
        let begin = self.env.now();
        for _ in 0..turns {
            let mut command = self.member.ctl_command();
            let status =
                command.args(["lock", name, "true"]).stdin(Stdio::null()).stdout(Stdio::null()).status();
            assert!(status.is_ok_and(|status| status.success()), "etcdctl lock fails");
        }
        Some(self.env.now().since(begin) * u32::try_from(times / turns).unwrap_or(u32::MAX))
    }

    fn hand_overs(&mut self, _: &str, _: usize) -> Vec<Duration> {
        Vec::new()
    }
}
