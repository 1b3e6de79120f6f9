//! A real Prometheus scrapes a process that uses the library, and `serve`; rules and documents are those of the code.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use leasehold::{Client, LockName};
use serde_json::Value;

use crate::{
    fixture::{Fixture, Running, SOON, finish, until},
    serve::{Site, book},
};

/// The variable by which a test starts itself as the process that is scraped.
const STORE: &str = "LEASEHOLD_TEST_SCRAPED";

fn monitoring(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/monitoring").join(file)
}

/// A known run: three grants, of which one after a wait, one busy answer, one timeout, one loss, two releases.
async fn known_run(locks: &Client) {
    let (first, second) = (locks.mutex("night/a").unwrap(), locks.mutex("night/a").unwrap());
    let guard = first.lock().await.unwrap();
    assert!(second.try_lock().await.unwrap().is_none());
    assert!(second.try_lock_for(Duration::from_millis(50)).await.unwrap().is_none());
    let (waited, released) = tokio::join!(second.lock(), async {
        // The other call waits by the first poll of this one.
        guard.release().await
    });
    released.unwrap();
    waited.unwrap().release().await.unwrap();
    let lost = locks.mutex("day").unwrap().lock().await.unwrap();
    locks.force_release("day").await.unwrap();
    assert!(lost.confirm().await.is_err());
    drop(lost);
}

/// No test by itself: the process that [`prometheus_scrapes_a_process_and_a_store`] starts. It holds one lock, waits for
/// another, and answers requests for its metrics until it is killed.
#[test]
fn the_scraped_process() {
    let Ok(store) = std::env::var(STORE) else { return };
    let metrics = metrics_exporter_prometheus::PrometheusBuilder::new()
        .set_buckets(&[0.001, 0.01, 0.1, 1.0, 10.0])
        .unwrap()
        .install_recorder()
        .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let group = |name: &LockName| name.as_str().split('/').next().unwrap_or_default().to_string();
        let locks = Client::connect(store.as_str()).await.unwrap().group_by(group);
        known_run(&locks).await;
        let held = locks.mutex("night/held").unwrap().lock().await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        println!("scraped at {}", listener.local_addr().unwrap());
        let waiting = locks.mutex("night/held").unwrap();
        let answer = async {
            tokio::task::spawn_blocking(move || {
                for stream in listener.incoming() {
                    let mut stream = stream.unwrap();
                    let _ = stream.read(&mut [0; 4096]);
                    let page = metrics.render();
                    let head =
                        "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\nconnection: close";
                    let _ = write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{page}", page.len());
                }
            })
            .await
        };
        let _ = tokio::join!(waiting.lock(), answer);
        drop(held);
    });
}

struct Prometheus {
    port: u16,
    _running: Running,
}

impl Prometheus {
    fn start(fixture: &Fixture, targets: &[String]) -> Self {
        let configuration = serde_json::json!({
            "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
            "rule_files": [monitoring("alerts.yml")],
            "scrape_configs": [{ "job_name": "locks", "static_configs": [{ "targets": targets }] }],
        });
        let file = fixture.path("prometheus.yml");
        std::fs::write(&file, configuration.to_string()).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.tsdb.path={}", fixture.path("tsdb").display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}")).arg("--log.level=error");
        Prometheus { port, _running: Running::start(&mut command) }
    }

    fn get(&self, path: &str) -> Option<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(SOON)).unwrap();
        write!(stream, "GET /api/v1/{path} HTTP/1.0\r\nhost: 127.0.0.1\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }

    /// The sum of a selector.
    fn sum(&self, selector: &str) -> Option<f64> {
        let text: String = format!("sum({selector})")
            .bytes()
            .map(|byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            })
            .collect();
        let answer = self.get(&format!("query?query={text}"))?;
        answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }
}

#[test]
fn prometheus_scrapes_a_process_and_a_store() {
    let fixture = Fixture::new();
    let site = Site::start(&fixture, &["--group", "night/"]);
    let mut itself = Command::new(std::env::current_exe().unwrap());
    itself.args(["--exact", "prometheus::the_scraped_process", "--nocapture"]).env(STORE, fixture.store());
    let mut process = Running::start(&mut itself);
    let address = loop {
        let line = process.line();
        if let Some((_, address)) = line.split_once("scraped at ") {
            break address.to_string();
        }
    };
    let prometheus = Prometheus::start(&fixture, &[address, site.address.to_string()]);
    until("both targets", || prometheus.sum("up") == Some(2.0));
    until("the lock in the store", || prometheus.sum("leasehold_holders{group=\"night/\"}") == Some(1.0));
    until("the wait", || prometheus.sum("lock_waiting{lock_group=\"night\"}") == Some(1.0));
    for (selector, value) in [
        ("lock_acquire_duration_count{lock_outcome=\"acquired\",lock_group=\"night\"}", 3.0),
        ("lock_acquire_duration_count{lock_outcome=\"acquired\",lock_group=\"day\"}", 1.0),
        ("lock_acquire_duration_count{lock_outcome=\"busy\"}", 1.0),
        ("lock_acquire_duration_count{lock_outcome=\"timeout\"}", 1.0),
        ("lock_hold_duration_count{lock_end=\"released\"}", 2.0),
        ("lock_hold_duration_count{lock_end=\"lost\"}", 1.0),
        ("lock_lost{reason=\"force_released\",lock_group=\"day\"}", 1.0),
        ("lock_lost", 1.0),
        ("lock_held", 1.0),
        ("leasehold_up", 1.0),
        ("leasehold_scans_total{outcome=\"error\"}", 0.0),
    ] {
        assert_eq!(prometheus.sum(selector), Some(value), "{selector}");
    }
    let rules = prometheus.get("rules").unwrap();
    let rules = rules["data"]["groups"][0]["rules"].as_array().unwrap().clone();
    assert!(rules.len() == 4 && rules.iter().all(|rule| rule["health"] != "err"), "{rules:?}");
}

#[test]
fn the_rules_pass_their_tests() {
    for arguments in [["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]] {
        let mut promtool = Command::new("promtool");
        let finished = finish(promtool.args(arguments).current_dir(monitoring("")).stdin(Stdio::null()));
        assert_eq!(finished.code, Some(0), "{}{}", finished.stdout, finished.stderr);
    }
}

/// The labels of a metric, in order, in the source of the call that records it.
fn labels(call: &str) -> String {
    let call = [".increment(", ".record("].iter().fold(call, |call, end| call.split(end).next().unwrap());
    let names = call.split("\" =>").map(|before| before.rsplit('"').next().unwrap());
    let mut names: Vec<&str> = names.take(call.matches("\" =>").count()).collect();
    names.sort_unstable();
    names.join(" ")
}

/// The metrics of a kind whose keys are made once: their names, and their labels beside the group.
fn kept_keys(text: &str, kind: &str) -> Vec<String> {
    let text: String = text.split_whitespace().collect();
    let metric = |call: &str| {
        let call = call.split("],group").next().unwrap();
        let labels = call.split("(\"").skip(1).map(|label| label.split('"').next().unwrap());
        let mut labels: Vec<&str> = labels.chain(["lock.group"]).collect();
        labels.sort_unstable();
        format!("{} {kind} {}", call.split('"').next().unwrap(), labels.join(" "))
    };
    text.split(&format!("{kind}_key(\"")).skip(1).map(metric).collect()
}

/// Names, types and labels of the code are those of the book, and rules and dashboard ask for nothing else.
#[test]
fn names_are_those_of_the_book() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../leasehold-core/src");
    let code = ["engine/telemetry.rs", "layer/meter.rs"]
        .map(|file| std::fs::read_to_string(root.join(file)).unwrap());
    let mut recorded: Vec<String> = ["histogram", "counter", "gauge"]
        .iter()
        .flat_map(|kind| {
            let calls = code
                .iter()
                .flat_map(move |text| text.split(&format!("{kind}!(\"")).skip(1).collect::<Vec<_>>());
            let kept = code.iter().flat_map(move |text| kept_keys(text, kind));
            calls
                .map(move |call| format!("{} {kind} {}", call.split('"').next().unwrap(), labels(call)))
                .chain(kept)
        })
        .collect();
    let (mut told, served) = (book("the library"), book("serve"));
    recorded.sort();
    told.sort();
    assert_eq!(told, recorded);
    let name = |row: &String| row.split(' ').next().unwrap().replace('.', "_");
    let known: Vec<String> = told.iter().chain(&served).map(name).collect();
    for file in ["alerts.yml", "grafana.json"] {
        let text = std::fs::read_to_string(monitoring(file)).unwrap();
        let words = text.split(|one: char| !(one.is_ascii_alphanumeric() || one == '_'));
        let asked = words.filter(|word| word.starts_with("lock_") || word.starts_with("leasehold_"));
        for word in asked.filter(|word| !["lock_outcome", "lock_group"].contains(word)) {
            let stem = word.trim_end_matches("_bucket").trim_end_matches("_count");
            assert!(known.iter().any(|name| name == stem), "{file}: {word}");
        }
    }
}
