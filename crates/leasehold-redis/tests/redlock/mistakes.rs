//! Refused quorums.

use std::{sync::Arc, time::Duration};

use leasehold_core::{Error, ErrorKind, Quorum, QuorumOptions, Store};
use leasehold_testkit::redis::{Cluster, Server};

use crate::{
    altered::altered,
    common,
    fixture::{run, shown, store},
    members::VotingServers,
};

const LONGEST: Duration = Duration::from_secs(60);

async fn refusal(members: Vec<Arc<dyn Store>>) -> Error {
    Quorum::open(members, QuorumOptions::default(), common::env()).await.map(drop).unwrap_err()
}

fn member(port: u16, members: u32, longest_lease: Duration) -> Arc<dyn Store> {
    Arc::new(common::member(&common::env(), &port.to_string(), members, longest_lease).unwrap())
}

#[test]
fn servers_that_depend_on_each_other_do_not_vote() {
    run(async {
        let servers: Vec<Server> = (0..2).map(|_| Server::start().unwrap()).collect();
        let replica = Server::builder().replica_of(&servers[0]).start().unwrap();
        let cluster = Cluster::start().unwrap();
        let [one, two] = [servers[0].port(), servers[1].port()];
        let of = |ports: [u16; 3]| ports.map(|port| member(port, 3, LONGEST)).to_vec();
        for (members, says) in [
            (of([one, two, one]), "it is the same server as"),
            (of([one, two, replica.port()]), "it is a replica of"),
            (of([one, two, cluster.node(0).port()]), "it is a node of a Cluster"),
            (of([one, two, one])[..2].to_vec(), "a quorum of 2 members"),
            ([of([one, two, one]), of([one, two, one])[..1].to_vec()].concat(), "a quorum of 4 members"),
        ] {
            let error = refusal(members).await;
            assert_eq!(error.kind(), ErrorKind::Unsafe, "{}", shown(&error));
            assert!(shown(&error).contains(says), "{says}: {}", shown(&error));
        }
        // A store that keeps no account of what it forgets.
        let plain = Arc::new(store(&format!("single={one}"))) as Arc<dyn Store>;
        let error = refusal(vec![plain.clone(), plain.clone(), plain]).await;
        assert!(shown(&error).contains("cannot be a member"), "{}", shown(&error));
    });
}

/// redlock-py PR#6: two clients that count differently both have their majority. Who says another number, or another
/// longest lease, than the members were told is refused.
#[test]
fn clients_must_agree_on_the_quorum() {
    run(async {
        let voters = VotingServers::start(3, LONGEST).await;
        let extra: Vec<Server> = (0..2).map(|_| Server::start().unwrap()).collect();
        let ports: Vec<u16> = voters.servers.iter().chain(&extra).map(Server::port).collect();
        let five = ports.iter().map(|port| member(*port, 5, LONGEST)).collect();
        let three = ports[..3].iter().map(|port| member(*port, 3, LONGEST * 2)).collect();
        for (members, says) in [(five, "a member of a quorum of 3"), (three, "a longest lease of 60000 ms")] {
            let error = refusal(members).await;
            assert_eq!(error.kind(), ErrorKind::Unsafe, "{}", shown(&error));
            assert!(shown(&error).contains(says), "{says}: {}", shown(&error));
        }
    });
}

/// A server that does not tell which run of it this is would vote after a restart from an older snapshot.
#[test]
fn a_member_without_a_run_id_does_not_vote() {
    run(async {
        let servers: Vec<Server> = (0..3).map(|_| Server::start().unwrap()).collect();
        let nameless = altered(&servers[2], |bytes| {
            let text = String::from_utf8_lossy(bytes).replace("run_id:", "no_run:");
            text.into_bytes()
        });
        let ports = [servers[0].port(), servers[1].port(), nameless];
        let error = refusal(ports.map(|port| member(port, 3, LONGEST)).to_vec()).await;
        assert_eq!(error.kind(), ErrorKind::Unsafe, "{}", shown(&error));
        assert!(shown(&error).contains("INFO has no run_id"), "{}", shown(&error));
        // The control: by its answers to commands it is a server like the others.
        let mut naive = crate::fixture::Naive::at(&format!("127.0.0.1:{nameless}"));
        assert!(naive.lock("orders", "me", 30_000), "the control counts its vote");
    });
}
