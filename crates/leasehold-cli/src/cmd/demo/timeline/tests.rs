use roxmltree::Document;

use super::*;
use crate::cmd::demo::{plan::Lane, sample};

fn picture(records: &[Record]) -> String {
    let plan = sample::plan();
    let lanes: Vec<_> = records.iter().map(|record| LaneVerdict::of(record, &plan)).collect();
    draw(records, &lanes, &plan)
}

fn count(document: &Document<'_>, class: &str) -> usize {
    document.descendants().filter(|node| node.attribute("class") == Some(class)).count()
}

fn texts<'d>(document: &'d Document<'_>) -> Vec<&'d str> {
    document.descendants().filter(|node| node.has_tag_name("text")).filter_map(|node| node.text()).collect()
}

#[test]
fn every_lane_has_its_rows_and_its_story() {
    let picture = picture(&[sample::undisturbed(Lane::NoLock), sample::forgotten(), sample::refused()]);
    let document = Document::parse(&picture).unwrap();
    let texts = texts(&document);
    for text in ["No lock", "Naive lock", "Leasehold", "✗ 13 orders for 12 items: 1 oversold"] {
        assert!(texts.contains(&text), "{text} in {texts:?}");
    }
    assert_eq!(texts.iter().filter(|text| **text == "worker 2").count(), 3);
    assert!(texts.contains(&"it wakes and writes 11 over 11: 1 sales forgotten"), "{texts:?}");
    assert!(texts.contains(&"it wakes and writes: refused, token 1 < 2"), "{texts:?}");
    // One in the legend each.
    assert_eq!((count(&document, "refused"), count(&document, "paused")), (2, 3));
    assert_eq!((count(&document, "double"), count(&document, "overwrites")), (3, 2));
}

#[test]
fn nothing_is_drawn_outside_of_the_paper() {
    let picture = picture(&[sample::forgotten(), sample::refused()]);
    let document = Document::parse(&picture).unwrap();
    for node in document.descendants().filter(|node| node.has_tag_name("rect")) {
        let number = |name: &str| node.attribute(name).unwrap().parse::<f64>().unwrap();
        assert!(number("x") >= 0.0 && number("x") + number("width") <= WIDTH, "{node:?}");
    }
}

#[test]
fn a_run_without_events_is_drawn_too() {
    let empty = sample::record(Lane::NoLock, Vec::new(), 0, 12);
    let picture = picture(&[empty]);
    assert!(Document::parse(&picture).is_ok());
    assert!(!picture.contains("NaN"));
}

#[test]
fn where_two_are_in_is_one_stretch() {
    let history = crate::cmd::demo::history::History::of(&sample::forgotten().events);
    assert_eq!(panel::crowded(&history.holds), [(101_000_000, 111_000_000), (112_000_000, 153_000_000)]);
}
