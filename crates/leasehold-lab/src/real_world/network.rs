//! [`Network`]: a proxy between each worker and each server, so that each link can fail by itself.

use anyhow::Result;
use leasehold_testkit::proxy::Proxy;

use super::model::ActiveFault;
use crate::rng::Rng;

/// The proxies by worker and server.
#[derive(Debug)]
pub(crate) struct Network(Vec<Vec<Proxy>>);

/// The name of a fault and its injection into a link.
type LinkFault = (&'static str, fn(&Proxy, &mut Rng));

/// TCP repeats lost packets, so a loss appears as a delay, and a total one as silence.
const LINK_FAULTS: &[LinkFault] = &[
    ("delay", |proxy, rng| proxy.delay(rng.span_ms(20, 400))),
    ("replies lost", |proxy, _| proxy.drop_replies()),
    ("requests held", |proxy, _| proxy.hold_requests()),
    ("replies held", |proxy, _| proxy.hold_replies()),
    ("half open", |proxy, _| proxy.blackhole()),
    ("reset and refused", |proxy, _| {
        proxy.refuse();
        proxy.reset_all();
    }),
    ("reset", |proxy, _| proxy.reset_all()),
    ("split", |proxy, rng| proxy.split(1 + rng.below(7))),
];

impl Network {
    pub(crate) fn to(servers: &[String], workers: usize) -> Result<Self> {
        let links = || servers.iter().map(|server| Proxy::to(server)).collect();
        let all = (0..workers).map(|_| links()).collect::<leasehold_testkit::Result<Vec<Vec<Proxy>>>>()?;
        Ok(Self(all))
    }

    pub(crate) fn addresses(&self, worker: usize) -> Vec<String> {
        self.0[worker].iter().map(Proxy::address).collect()
    }

    /// Injects a fault into all links of one worker, or into the links of all workers to one server.
    pub(crate) fn inject(&self, rng: &mut Rng) -> ActiveFault<'_> {
        let (name, inject) = LINK_FAULTS[rng.below(LINK_FAULTS.len())];
        let (worker, server) = (rng.below(self.0.len()), rng.below(self.0[0].len()));
        let (target, links): (_, Vec<&Proxy>) = if rng.one_in(3) {
            (format!("server {server}"), self.0.iter().map(|links| &links[server]).collect())
        } else {
            (format!("worker {worker}"), self.0[worker].iter().collect())
        };
        let lasts = rng.span_ms(300, 3000);
        for link in &links {
            inject(link, rng);
        }
        let heal = move || {
            links.iter().for_each(|link| link.pass());
            Ok(())
        };
        ActiveFault { name, target, lasts, heal: Box::new(heal) }
    }

    pub(crate) fn heal(&self) {
        self.0.iter().flatten().for_each(Proxy::pass);
    }
}
