//! [`Network`]: a proxy between each worker and each server, so that one of them can be cut off alone.

use leasehold_testkit::proxy::Proxy;

use crate::torture::{dice::Dice, failure::Result, nemesis::Strike};

/// By worker's place and by server.
#[derive(Debug)]
pub(crate) struct Network(Vec<Vec<Proxy>>);

/// What is done to a link, and what it is called.
type Deed = (&'static str, fn(&Proxy, &mut Dice));

/// TCP loses no bytes: what the network loses, TCP sends again, so a loss is seen as a delay, and a total one as silence.
const DEEDS: &[Deed] = &[
    ("delay", |proxy, dice| proxy.delay(dice.span_ms(20, 400))),
    ("replies lost", |proxy, _| proxy.drop_replies()),
    ("requests held", |proxy, _| proxy.hold_requests()),
    ("replies held", |proxy, _| proxy.hold_replies()),
    ("half open", |proxy, _| proxy.blackhole()),
    ("reset and refused", |proxy, _| {
        proxy.refuse();
        proxy.reset_all();
    }),
    ("reset", |proxy, _| proxy.reset_all()),
    ("split", |proxy, dice| proxy.split(1 + dice.below(7))),
];

impl Network {
    pub(crate) fn to(servers: &[String], places: usize) -> Result<Self> {
        let links = || servers.iter().map(|server| Proxy::to(server)).collect();
        let all = (0..places).map(|_| links()).collect::<leasehold_testkit::Result<Vec<Vec<Proxy>>>>()?;
        Ok(Self(all))
    }

    /// The addresses for a worker.
    pub(crate) fn addresses(&self, place: usize) -> Vec<String> {
        self.0[place].iter().map(Proxy::address).collect()
    }

    /// Something happens to all links of one worker, or to the links of all to one server.
    pub(crate) fn strike(&self, dice: &mut Dice) -> Strike<'_> {
        let (name, deed) = DEEDS[dice.below(DEEDS.len())];
        let (place, server) = (dice.below(self.0.len()), dice.below(self.0[0].len()));
        let (target, links): (_, Vec<&Proxy>) = if dice.one_in(3) {
            (format!("server {server}"), self.0.iter().map(|links| &links[server]).collect())
        } else {
            (format!("place {place}"), self.0[place].iter().collect())
        };
        let lasts = dice.span_ms(300, 3000);
        for link in &links {
            deed(link, dice);
        }
        let heal = move || {
            links.iter().for_each(|link| link.pass());
            Ok(())
        };
        Strike { name, target, lasts, heal: Box::new(heal) }
    }

    /// Everything is as it should be.
    pub(crate) fn heal(&self) {
        self.0.iter().flatten().for_each(Proxy::pass);
    }
}
