//! The kit's ZooKeeper serves, elects, and ends.

use leasehold_testkit::{
    Result,
    zookeeper::{Ensemble, Server},
};

#[test]
fn a_server_serves_comes_back_and_ends_with_its_value() -> Result<()> {
    let server = Server::start()?;
    assert_eq!(server.mode().as_deref(), Some("standalone"));
    server.restart()?;
    server.await_serving()?;
    assert_eq!(server.ask("ruok").as_deref(), Some("imok"));
    let pid = server.pid();
    drop(server);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    Ok(())
}

#[test]
fn an_ensemble_elects_another_leader() -> Result<()> {
    let ensemble = Ensemble::start(3)?;
    let first = ensemble.leader()?;
    assert_eq!(ensemble.followers().len(), 2);
    first.kill();
    assert_ne!(ensemble.leader()?.port(), first.port());
    Ok(())
}
