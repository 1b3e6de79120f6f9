use roxmltree::Document;
use serde_json::{Value, json};

use super::{history::History, *};

/// A demo with twelve items and two workers.
fn demo(rounds: Vec<Value>) -> Demo {
    let demo = json!({ "summary": "a summary", "stock": 12, "workers": 2, "ttl_ms": 100, "rounds": rounds });
    serde_json::from_value(demo).unwrap()
}

fn round(strategy: &str, orders: i64, events: Vec<Value>) -> Value {
    json!({
        "strategy": strategy,
        "orders": orders,
        "oversold": orders - 12,
        "exact": orders == 12,
        "began_ns": 0,
        "ended_ns": events.last().map_or(json!(0), |event| event["at_ns"].clone()),
        "events": events,
    })
}

fn at(ms: u64, worker: u32, event: &str, mut fields: Value) -> Value {
    fields["at_ns"] = json!(ms * 1_000_000);
    fields["worker"] = json!(worker);
    fields["event"] = json!(event);
    fields
}

/// Worker 1 is stopped with token 1007, worker 2 sells with 1008, the shop refuses the late write of worker 1.
fn refused() -> Value {
    let events = vec![
        at(0, 1, "waiting", json!({})),
        at(1, 1, "entered", json!({ "fence": 1007 })),
        at(10, 1, "paused", json!({})),
        at(101, 2, "entered", json!({ "fence": 1008 })),
        at(110, 2, "sold", json!({ "read": 12, "found": 12 })),
        at(111, 2, "left", json!({})),
        at(150, 1, "resumed", json!({})),
        at(151, 1, "lease-lost", json!({ "deadline_ns": 100_000_000, "writes_anyway": true })),
        at(152, 1, "refused", json!({ "fence": 1007, "mark": 1008 })),
        at(153, 1, "left", json!({})),
        at(160, 2, "sold-out", json!({})),
    ];
    round("leasehold", 12, events)
}

/// The same with a naive lock: worker 1 overwrites the sale of worker 2, while worker 2 sells again.
fn overwritten() -> Value {
    let entered = || json!({ "fence": null });
    let events = vec![
        at(1, 1, "entered", entered()),
        at(10, 1, "paused", json!({})),
        at(101, 2, "entered", entered()),
        at(110, 2, "sold", json!({ "read": 12, "found": 12 })),
        at(111, 2, "left", json!({})),
        at(112, 2, "entered", entered()),
        at(150, 1, "resumed", json!({})),
        at(152, 1, "sold", json!({ "read": 12, "found": 11 })),
        at(153, 1, "left", json!({})),
        at(154, 2, "sold", json!({ "read": 11, "found": 11 })),
        at(160, 2, "left", json!({})),
    ];
    round("naive-lock", 13, events)
}

/// No pause and no error.
fn undisturbed() -> Value {
    let events = vec![
        at(1, 1, "entered", json!({ "fence": null })),
        at(9, 1, "sold", json!({ "read": 12, "found": 12 })),
        at(10, 1, "left", json!({})),
    ];
    round("no-lock", 12, events)
}

fn history(round: Value) -> History {
    History::new(&demo(vec![round]).rounds[0].events)
}

fn count(document: &Document<'_>, class: &str) -> usize {
    document.descendants().filter(|node| node.attribute("class") == Some(class)).count()
}

#[test]
fn every_round_has_its_rows_and_its_explanation() {
    let picture = draw(&demo(vec![undisturbed(), overwritten(), refused()]));
    let document = Document::parse(&picture).unwrap();
    let texts: Vec<_> =
        document.descendants().filter(|it| it.has_tag_name("text")).filter_map(|it| it.text()).collect();
    for text in [
        "No lock",
        "Naive lock",
        "Leasehold",
        "✗ 13 orders for 12 items: 1 oversold",
        "✓ 12 orders for 12 items",
        "it continues and writes 11 over 11: 1 sales lost",
        "it continues and writes: refused, token 1 < 2",
    ] {
        assert!(texts.contains(&text), "{text} in {texts:?}");
    }
    assert_eq!(texts.iter().filter(|text| **text == "worker 2").count(), 3);
    // One of each is in the legend.
    assert_eq!((count(&document, "refused"), count(&document, "paused")), (2, 3));
    assert_eq!((count(&document, "double"), count(&document, "overwrites")), (3, 2));
}

#[test]
fn all_shapes_are_inside_of_the_picture() {
    let picture = draw(&demo(vec![overwritten(), refused()]));
    let document = Document::parse(&picture).unwrap();
    for node in document.descendants().filter(|node| node.has_tag_name("rect")) {
        let number = |name: &str| node.attribute(name).unwrap().parse::<f64>().unwrap();
        assert!(number("x") >= 0.0 && number("x") + number("width") <= WIDTH, "{node:?}");
    }
}

#[test]
fn a_round_without_events_is_drawn_too() {
    let picture = draw(&demo(vec![round("no-lock", 0, Vec::new())]));
    assert!(Document::parse(&picture).is_ok());
    assert!(!picture.contains("NaN"));
}

#[test]
fn the_periods_of_double_holds_are_merged() {
    let spans = panel::double_holds(&history(overwritten()).holds);
    assert_eq!(spans, [(101_000_000, 111_000_000), (112_000_000, 153_000_000)]);
}

#[test]
fn a_lost_lease_ends_at_its_deadline() {
    let history = history(refused());
    assert_eq!(panel::double_holds(&history.holds), []);
    let late = history.holds.iter().find(|hold| hold.lost).unwrap();
    assert_eq!((late.span.from_ns, late.span.until_ns), (1_000_000, 100_000_000));
    assert_eq!(late.wrote_ns, Some(152_000_000));
    assert_eq!(late.outcome, history::Outcome::Refused { fence: 1007, mark: 1008 });
    assert_eq!((history.rank(1007), history.rank(1008)), (1, 2));
}

#[test]
fn a_naive_holder_holds_until_it_has_written() {
    let history = history(overwritten());
    let overwrote = history::Outcome::Overwrote { read: 12, found: 11 };
    assert!(history.holds.iter().any(|hold| hold.outcome == overwrote && hold.span.worker == 1));
    assert_eq!(history.stock.iter().map(|(_, stock)| *stock).collect::<Vec<_>>(), [11, 11, 10]);
    let pause = history::Span { worker: 1, from_ns: 10_000_000, until_ns: 150_000_000 };
    assert_eq!(history.pauses, [pause]);
}
