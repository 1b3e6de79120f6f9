//! Capabilities of the stores, in the program and in the book.
//!
//! After a change: `LEASEHOLD_BLESS=1 cargo test --package leasehold-cli --test cli stores`.

use serde_json::Value;

use crate::fixture::Fixture;

const BEGIN: &str =
    "<!-- stores: written by `LEASEHOLD_BLESS=1 cargo test -p leasehold-cli --test cli stores` -->\n";
const END: &str = "<!-- end of stores -->";

fn told(fixture: &Fixture) -> Vec<Value> {
    // A store that cannot be reached: nobody is asked.
    let mut command = fixture.leasehold(&["stores", "--json"]);
    let finished = crate::fixture::finish(command.env("LEASEHOLD_STORE", "redis://127.0.0.1:1"));
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
    serde_json::from_str(&finished.stdout).unwrap()
}

fn text(value: &Value) -> String {
    match value {
        Value::Bool(has) => if *has { "yes" } else { "–" }.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(text).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

/// In the largest unit that it is whole in.
fn span(ms: &Value) -> String {
    let ms = ms.as_u64().unwrap();
    let units = [(86_400_000, "d"), (60_000, "min"), (1_000, "s"), (1, "ms")];
    let (size, unit) =
        units.into_iter().find(|(size, _)| ms > 0 && ms.is_multiple_of(*size)).unwrap_or((1, "ms"));
    format!("{} {unit}", ms / size)
}

fn drift(store: &Value) -> String {
    let (part, fixed) = (store["drift_per_mille"].as_f64().unwrap() / 10.0, &store["drift_fixed_ms"]);
    if part == 0.0 { "none".to_string() } else { format!("{part} % + {}", span(fixed)) }
}

/// The matrix as it stands in the book: a row a store.
fn page(stores: &[Value]) -> String {
    let columns = [
        ("store", "store"),
        ("levels", "levels"),
        ("modes", "modes"),
        ("fair queue", "fifo"),
        ("fencing", "fencing"),
        ("freed by end of", "freed_after_a_crash"),
        ("sees waiters", "waiters"),
        ("wakes", "wakes"),
        ("detach", "detach"),
        ("notes", "notes"),
        ("listed", "lists"),
        ("lock-delay", "lock_delay"),
        ("votes", "votes"),
    ];
    let heads: Vec<&str> = columns.iter().map(|(head, _)| *head).chain(["ttl", "drift"]).collect();
    let mut page = format!("| {} |\n{}|\n", heads.join(" | "), "|---".repeat(heads.len()));
    for store in stores {
        let ttl = format!("{} to {}", span(&store["ttl_min_ms"]), span(&store["ttl_max_ms"]));
        let cells = columns.iter().map(|(_, key)| match *key {
            "store" => format!("`{}`", text(&store["store"])),
            key => text(&store[key]),
        });
        let cells: Vec<String> = cells.chain([ttl, drift(store)]).collect();
        page.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    page
}

#[test]
fn each_store_says_what_it_can_do_without_a_server() {
    let stores = told(&Fixture::new());
    let of = |url: &str| stores.iter().find(|store| text(&store["store"]).starts_with(url)).unwrap();
    assert_eq!(of("memcached:")["levels"], serde_json::json!(["E", "F"]));
    assert_eq!(
        (of("memcached:")["wakes"].clone(), of("memcached:")["ttl_min_ms"].clone()),
        (false.into(), 2000.into())
    );
    assert_eq!(of("zookeeper:")["levels"], serde_json::json!(["L", "F", "T"]));
    assert_eq!(of("etcd:")["freed_after_a_crash"], "session");
    assert_eq!(of("redis://host?dialect=plain")["levels"], serde_json::json!(["L"]));
    assert_eq!(of("redis+sentinel:")["levels"], serde_json::json!(["E", "F"]));
    assert_eq!(of("redlock:")["modes"], serde_json::json!(["exclusive"]));
    assert_eq!(of("sqlite:")["modes"], serde_json::json!(["exclusive", "shared", "permits"]));
}

#[test]
fn the_readme_has_the_matrix_of_the_program() {
    let fixture = Fixture::new();
    let stores = told(&fixture);
    let shown = fixture.run(&["stores"]);
    assert_eq!(shown.code, Some(0), "{}", shown.stderr);
    for store in &stores {
        assert!(shown.stdout.contains(&text(&store["store"])), "{}", shown.stdout);
    }
    let matrix = page(&stores);
    let path = format!("{}/../../docs/book/stores.md", env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(&path).unwrap();
    let begin = readme.find(BEGIN).expect("the mark before the matrix") + BEGIN.len();
    let end = begin + readme[begin..].find(END).expect("the mark after the matrix");
    if std::env::var_os("LEASEHOLD_BLESS").is_some() {
        std::fs::write(&path, format!("{}{matrix}{}", &readme[..begin], &readme[end..])).unwrap();
        return;
    }
    assert_eq!(&readme[begin..end], matrix, "the matrix in docs/book/stores.md is stale");
}
