use clap::Parser;

use super::*;

#[derive(Parser, Debug)]
struct Line {
    #[command(flatten)]
    serve: Arguments,
}

/// At the defaults, whenever the grant falls between two scans.
#[test]
fn a_lock_is_scanned_within_a_second_of_its_grant() {
    let range = Line::try_parse_from(["serve"]).unwrap().serve.range.range();
    for delay_ms in (0..=1500).step_by(50) {
        let (world, client) = leasehold::testing::world();
        world.block_on(async {
            let mut scans = scans(&client, range.clone());
            assert!(scans.recv().await.unwrap().unwrap().locks.is_empty());
            client.env().sleep(Duration::from_millis(delay_ms)).await;
            let _held = client.mutex("job").unwrap().lock().await.unwrap();
            let granted = client.env().now();
            let scan = loop {
                let scan = scans.recv().await.unwrap().unwrap();
                if !scan.locks.is_empty() {
                    break scan;
                }
            };
            let within = scan.at.since(granted);
            assert!(within < Duration::from_secs(1), "granted after {delay_ms} ms, found {within:?} later");
        });
    }
}
