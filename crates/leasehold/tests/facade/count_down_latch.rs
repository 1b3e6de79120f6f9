use std::time::Duration;

use leasehold::ErrorKind;
use leasehold_core::layer::{Fault, Verb};

use crate::bench::{Bench, TTL};

#[test]
fn it_opens_after_so_many_arrivals_and_waiters_are_woken_at_once() {
    let bench = Bench::new(1);
    let (a, b) = (bench.client(), bench.client());
    bench.world.block_on(async {
        let (here, there) = (a.count_down_latch("x", 3).unwrap(), b.count_down_latch("x", 3).unwrap());
        assert!(!there.wait_for(Duration::from_secs(1)).await.unwrap());
        let env = bench.world.env();
        let arrive = async {
            for left in [2, 1, 0] {
                env.sleep(Duration::from_secs(1)).await;
                here.count_down().await.unwrap();
                assert_eq!(here.remaining().await.unwrap(), left);
            }
            env.now()
        };
        let wait = async {
            there.wait().await.unwrap();
            env.now()
        };
        let (arrived, woken) = tokio::join!(arrive, wait);
        assert_eq!(arrived, woken);
        here.count_down().await.unwrap();
        assert_eq!(there.remaining().await.unwrap(), 0, "an open latch stays open");
        assert!(there.wait_for(Duration::ZERO).await.unwrap());
    });
}

#[test]
fn an_arrival_outlives_its_client_and_is_forgotten_in_the_end() {
    let bench = Bench::new(1);
    let other = bench.client();
    bench.world.block_on(async {
        let client = bench.client();
        client.count_down_latch("x", 2).unwrap().remember_for(TTL * 10).count_down().await.unwrap();
        assert_eq!(client.claims_alive(), 0);
        client.close(TTL).await.unwrap();
        drop(client);
        assert_eq!(other.count_down_latch("x", 2).unwrap().remaining().await.unwrap(), 1);
        other.env().sleep(TTL * 10).await;
        assert_eq!(other.count_down_latch("x", 2).unwrap().remaining().await.unwrap(), 2);
    });
}

#[test]
fn a_lost_reply_never_counts_twice() {
    for fault in [Fault::LoseRequest, Fault::LoseReply] {
        let bench = Bench::new(1);
        let client = bench.chaotic(move |number, verb| match verb {
            Verb::Claim if number < 2 => fault,
            _ => Fault::None,
        });
        bench.world.block_on(async {
            let latch = client.count_down_latch("x", 5).unwrap();
            latch.count_down().await.unwrap();
            assert_eq!(latch.remaining().await.unwrap(), 4, "{fault:?}");
        });
    }
}

#[test]
fn reset_shuts_it() {
    let bench = Bench::new(1);
    let client = bench.client();
    bench.world.block_on(async {
        let latch = client.count_down_latch("x", 1).unwrap();
        latch.count_down().await.unwrap();
        assert_eq!(latch.reset().await.unwrap().len(), 1);
        assert_eq!(latch.remaining().await.unwrap(), 1);
        latch.count_down().await.unwrap();
        latch.wait().await.unwrap();
    });
}

#[test]
fn another_count_is_an_error_that_names_both() {
    let bench = Bench::new(1);
    let client = bench.client();
    bench.world.block_on(async {
        client.count_down_latch("x", 3).unwrap().count_down().await.unwrap();
        let other = client.count_down_latch("x", 5).unwrap();
        for error in [
            other.count_down().await.unwrap_err(),
            other.remaining().await.unwrap_err(),
            other.wait().await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Mismatch);
            assert!(error.to_string().contains('5') && error.to_string().contains('3'), "{error}");
        }
        let _guard = client.mutex("y").unwrap().lock().await.unwrap();
        assert_eq!(
            client.count_down_latch("y", 5).unwrap().remaining().await.unwrap_err().kind(),
            ErrorKind::Mismatch
        );
    });
}
