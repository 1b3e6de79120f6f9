//! More locks than a view takes.

use std::time::Duration;

use leasehold::{Client, MutexGuard};
use leasehold_testkit::redis::Server;
use serde_json::Value;
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinSet,
};

use crate::{
    fixture::{Fixture, until},
    page::Browser,
    serve::Site,
};

/// Locks that this process holds, for so long that none is renewed.
pub(crate) struct Many {
    _guards: Vec<MutexGuard>,
    _runtime: Runtime,
}

impl Many {
    pub(crate) fn hold(store: &str, count: usize, note: &str) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let guards = runtime.block_on(async {
            let (client, mut guards) = (Client::connect(store).await.unwrap(), Vec::new());
            let names: Vec<String> = (0..count).map(|at| format!("many/{at:05}")).collect();
            // So many at once that none waits long for its turn, also on a busy machine.
            for names in names.chunks(100) {
                let mut claims = JoinSet::new();
                for name in names {
                    let mutex = client.mutex(name.as_str()).unwrap().note(note);
                    let mutex = mutex.ttl(Duration::from_secs(3600));
                    claims.spawn(async move { mutex.lock().await.unwrap() });
                }
                guards.extend(claims.join_all().await);
            }
            guards
        });
        Many { _guards: guards, _runtime: runtime }
    }
}

/// The scan has a bound, and all views say that there is more.
#[test]
fn ten_thousand_locks_are_shown_and_said_to_be_cut() {
    let (fixture, server) = (Fixture::new(), Server::start().unwrap());
    let (url, _many) = (server.url(), Many::hold(&server.url(), 10_050, ""));
    let once = fixture.run(&["top", "--once", "--store", &url]);
    assert!(once.stdout.starts_with("10000+ locks · 10000 holding · "), "{}", &once.stdout[..200]);
    let once = fixture.run(&["top", "--once", "--json", "--store", &url, "many/"]);
    let is_cut = |data: &Value| data["locks"].as_array().unwrap().len() == 10_000 && data["is_cut"] == true;
    assert!(is_cut(&serde_json::from_str(&once.stdout).unwrap()));
    let site = Site::start(&fixture, &["--store", &url]);
    until("the first scan", || site.metric("leasehold_up") == 1.0);
    assert!(is_cut(&site.locks()));
    assert_eq!(site.metric("leasehold_scan_truncated"), 1.0);
    assert_eq!(site.metric("leasehold_locks{group=\"\"}"), 10_000.0);
    let browser = Browser::open(&fixture, &format!("http://{}/", site.address));
    browser.shows("9500 more: filter to see them");
    browser.shows("10000+ locks");
    browser.types("/many/09999");
    until("one row", || browser.script("return document.getElementById('locks').rows.length") == 1);
    browser.shows("many/09999");
}
