use leasehold::testing::world;

use super::*;
use crate::view::board::tests::{lock, scan};

fn site(client: &Client) -> Arc<Site> {
    let settings =
        Settings { store: "memory:".into(), hosts: Hosts(Vec::new()), token: None, groups: Vec::new() };
    Site::new(client, &"memory:".parse().unwrap(), settings)
}

/// The name of the next event.
async fn next(stream: &mut Stream<impl Fn() -> (u64, Bytes)>) -> String {
    let event = String::from_utf8(stream.next().await.expect("the stream goes on").to_vec()).unwrap();
    event.split('\n').next().unwrap().trim_start_matches("event: ").to_string()
}

fn failure() -> leasehold::Result<Scan> {
    Err(leasehold::Error::new(ErrorKind::Unreachable, "away"))
}

/// A reader that was too slow for one update gets all locks, also when the last update is a failure.
#[test]
fn a_stream_has_each_update_or_all_locks() {
    let (world, client) = world();
    let site = site(&client);
    world.block_on(async {
        site.scanned(Ok(scan(1, vec![lock("a", 1, 0, 9)])));
        let mut stream = site.stream();
        assert_eq!(next(&mut stream).await, "all");
        site.scanned(Ok(scan(2, vec![lock("b", 2, 0, 9)])));
        assert_eq!(next(&mut stream).await, "changes");
        site.scanned(failure());
        assert_eq!(next(&mut stream).await, "away");
        for _ in 0..2 {
            site.scanned(Ok(scan(3, Vec::new())));
        }
        assert_eq!(next(&mut stream).await, "all");
        site.scanned(Ok(scan(4, vec![lock("c", 3, 0, 9)])));
        site.scanned(failure());
        assert_eq!(next(&mut stream).await, "all", "the lock of the scan before the failure");
        site.close();
        assert_eq!(stream.next().await, None);
        assert_eq!(site.stream().next().await, None, "one that begins at the end");
    });
}

/// Whatever the number of readers, all locks are in memory once an update.
#[test]
fn readers_share_what_they_read() {
    let (_, client) = world();
    let site = site(&client);
    site.scanned(Ok(scan(1, vec![lock("a", 1, 0, 9)])));
    let [(_, first), (_, second)] = [site.all(), site.all()];
    assert_eq!(first.as_ptr(), second.as_ptr());
    assert_eq!(serde_json::from_slice::<Value>(&data(&first)).unwrap()["holding"], 1);
    site.scanned(Ok(scan(2, Vec::new())));
    assert_eq!(serde_json::from_slice::<Value>(&data(&site.all().1)).unwrap()["holding"], 0);
}
