//! Tests of code that locks, in virtual time: an hour passes in a moment, and pauses come when the test says so.
//!
//! `cargo test -p leasehold-examples --test virtual_time`. No server, no sleeping, and the library's own engine.

use std::{sync::Arc, time::Duration};

use leasehold::{
    Client, ErrorKind, Result,
    fencing::HighWaterMark,
    testing::{Memory, world},
};

/// The code under test: an export that takes a minute a part.
struct Export {
    client: Client,
    mark: Arc<HighWaterMark>,
}

impl Export {
    async fn run(&self, parts: u32) -> Result<u32> {
        let export = self.client.mutex("export")?.ttl(Duration::from_secs(30));
        export
            .try_with(|lease| async move {
                for part in 0..parts {
                    self.client.env().sleep(Duration::from_secs(60)).await;
                    if let Some(token) = lease.fencing_token() {
                        self.mark.write(token, || part)?;
                    }
                }
                Ok(parts)
            })
            .await
    }
}

/// The lock is renewed for as long as the work takes.
#[test]
fn an_export_of_an_hour_keeps_its_lock() {
    let (world, client) = world();
    let export = Export { client: client.clone(), mark: Arc::default() };
    world.block_on(async {
        let begin = world.env().now();
        assert_eq!(export.run(60).await.unwrap(), 60);
        assert_eq!(world.env().now().since(begin), Duration::from_secs(3600));
    });
}

/// A process that stood still, as in a long garbage collection, does not go on with what another one has taken over.
#[test]
fn a_paused_export_stops_and_the_next_one_works() {
    let (world, _) = world();
    let memory = Memory::new(world.env());
    let client = || Client::new(Arc::new(memory.client()), world.env());
    let mark = Arc::new(HighWaterMark::new());
    let paused = Export { client: client(), mark: mark.clone() };
    let next = Export { client: client(), mark };
    world.block_on(async {
        let pause = async {
            world.env().sleep(Duration::from_secs(90)).await;
            world.pause(Duration::from_secs(31));
        };
        let (stopped, ()) = tokio::join!(paused.run(10), pause);
        assert_eq!(stopped.unwrap_err().kind(), ErrorKind::Lost);
        assert_eq!(next.run(2).await.unwrap(), 2);
    });
}
