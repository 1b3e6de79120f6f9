//! The timeline of a run: a row for each server and client, with its waits, holds and faults.

use std::collections::BTreeMap;

use crate::{
    config::RunConfig,
    faults::Target,
    history::{Event, EventKind},
    run::Run,
    svg::{Anchor, Canvas, MARGIN, Scale, WIDTH},
};

/// The top of the rows.
const TOP: f64 = 108.0;
const ROW: f64 = 24.0;
const BAR: f64 = 17.0;

#[derive(Clone, Copy)]
struct Span {
    row: usize,
    from_us: u64,
    until_us: u64,
}

#[derive(Default)]
struct Rows {
    waits: Vec<Span>,
    holds: Vec<Span>,
    faults: Vec<(Span, String)>,
    refused: Vec<(usize, u64)>,
    end_us: u64,
}

struct Open {
    row: usize,
    since_us: u64,
    granted_us: Option<u64>,
    deadline_us: u64,
}

/// Draws a run.
pub fn draw(config: &RunConfig, run: &Run) -> String {
    let rows = Rows::of(config, &run.history);
    let count = 1 + config.nodes as usize + config.clients as usize;
    let height = TOP + count as f64 * ROW + 60.0;
    let mut canvas = head(config, run, height);
    for row in 0..count {
        canvas.track(TOP + row as f64 * ROW, BAR, &label(config, row));
    }
    let scale = Scale { end: rows.end_us };
    rows.draw(&mut canvas, scale);
    axis(&mut canvas, scale, TOP + count as f64 * ROW);
    let foot = format!("Drawn by `{}`.", config.command());
    canvas.text("quiet small", (MARGIN, height - 14.0), Anchor::Start, &foot);
    let summary = run.complaint().unwrap_or_else(|| "All rules were kept.".to_string());
    canvas.finish(WIDTH, height, &format!("{}, seed {}", config.scenario.name, config.seed), &summary)
}

fn label(config: &RunConfig, row: usize) -> String {
    match row {
        0 => "network".to_string(),
        row if row <= config.nodes as usize => format!("server {row}"),
        row => format!("client {}", row - config.nodes as usize),
    }
}

fn head(config: &RunConfig, run: &Run, height: f64) -> Canvas {
    let title = format!("{}: {}", config.scenario.name, config.scenario.about);
    let figures = &run.figures;
    let text = format!(
        "{}, seed {}: {} grants, {} double holds, {} late accesses refused, {} updates lost",
        config.strategy,
        config.seed,
        figures.grants,
        figures.double_holds,
        figures.writes_refused + figures.reads_refused,
        figures.updates_lost
    );
    let mut canvas = Canvas::page(height, &title, &text);
    let entries = [
        ("sells", "holds", 60.0),
        ("waits", "waits", 60.0),
        ("fault", "a fault", 66.0),
        ("double", "two at once", 90.0),
    ];
    let x = canvas.legend((MARGIN, 82.0), 30.0, &entries);
    let (class, verdict) = match run.complaint() {
        None => ("small strong good", "all rules were kept".to_string()),
        Some(complaint) => ("small strong bad", complaint),
    };
    canvas.text(class, (x, 82.0), Anchor::Start, &verdict);
    canvas
}

fn axis(canvas: &mut Canvas, scale: Scale, y: f64) {
    let end_us = scale.end;
    let step_us = (end_us / 10).max(1).next_power_of_two();
    let round_us = [1u64, 2, 5].iter().flat_map(|lead| (3..8).map(move |power| lead * 10u64.pow(power)));
    let step_us = round_us.filter(|round_us| *round_us >= step_us / 2).min().unwrap_or(step_us);
    for tick in 0..=end_us / step_us {
        let at_us = tick * step_us;
        let text = format!("{} ms", at_us / 1000);
        canvas.text("quiet small", (scale.x(at_us), y + 16.0), Anchor::Middle, &text);
    }
}

impl Rows {
    fn of(config: &RunConfig, history: &[Event]) -> Rows {
        let end_us = history.last().map_or(1, |event| event.at_us).max(1);
        let mut rows = Rows { end_us, ..Rows::default() };
        let (mut open, mut faults) = (BTreeMap::new(), BTreeMap::new());
        for event in history {
            match &event.kind {
                EventKind::PlannedFault { name, target, ended } => {
                    rows.fault(config, &mut faults, (name, target), (event.at_us, *ended));
                }
                _ => rows.take(config, &mut open, event),
            }
        }
        open.into_values().for_each(|it| rows.close(&it, end_us));
        rows
    }

    fn fault(
        &mut self,
        config: &RunConfig,
        faults: &mut BTreeMap<(String, String), u64>,
        (name, target): (&String, &String),
        (at_us, ended): (u64, bool),
    ) {
        let key = (name.clone(), target.clone());
        if !ended {
            faults.insert(key, at_us);
            return;
        }
        let Some(from_us) = faults.remove(&key) else { return };
        let row = match target.parse() {
            Ok(Target::Node(node)) => node as usize,
            Ok(Target::Client(client)) => (config.nodes + client) as usize,
            _ => 0,
        };
        let word = if row == 0 { format!("{name} {target}") } else { name.clone() };
        self.faults.push((Span { row, from_us, until_us: at_us }, word));
    }

    fn take(&mut self, config: &RunConfig, open: &mut BTreeMap<u64, Open>, event: &Event) {
        let row = config.nodes as usize + event.process as usize % 100;
        let at_us = event.at_us;
        match &event.kind {
            EventKind::Ask { attempt, .. } => {
                open.insert(*attempt, Open { row, since_us: at_us, granted_us: None, deadline_us: u64::MAX });
            }
            EventKind::Grant { attempt, deadline_us, .. } => {
                let Some(it) = open.get_mut(attempt) else { return };
                it.granted_us = Some(at_us);
                it.deadline_us = deadline_us.unwrap_or(u64::MAX);
            }
            EventKind::Extend { attempt, deadline_us } => {
                if let Some(it) = open.get_mut(attempt) {
                    it.deadline_us = it.deadline_us.max(*deadline_us);
                }
            }
            EventKind::Busy { attempt }
            | EventKind::Fail { attempt, .. }
            | EventKind::Lost { attempt }
            | EventKind::Release { attempt } => {
                if let Some(it) = open.remove(attempt) {
                    self.close(&it, at_us);
                }
            }
            EventKind::Write { accepted: Some(false), .. } | EventKind::Read { value: None, .. } => {
                self.refused.push((row, at_us));
            }
            EventKind::Gone => {
                let gone: Vec<u64> = open.iter().filter(|(_, it)| it.row == row).map(|(at, _)| *at).collect();
                gone.iter().filter_map(|at| open.remove(at)).for_each(|it| self.close(&it, at_us));
            }
            _ => {}
        }
    }

    fn close(&mut self, it: &Open, at_us: u64) {
        let asked = Span { row: it.row, from_us: it.since_us, until_us: at_us };
        self.waits.push(Span { until_us: it.granted_us.unwrap_or(at_us), ..asked });
        if let Some(from_us) = it.granted_us {
            let until_us = at_us.min(it.deadline_us).max(from_us);
            self.holds.push(Span { from_us, until_us, ..asked });
        }
    }

    fn draw(&self, canvas: &mut Canvas, scale: Scale) {
        let bar = |canvas: &mut Canvas, class, span: &Span, shift, height| {
            let y = TOP + span.row as f64 * ROW + shift;
            scale.bar(canvas, class, (span.from_us, span.until_us), (y, height))
        };
        for span in &self.waits {
            bar(canvas, "waits", span, 0.0, BAR);
        }
        for span in &self.holds {
            bar(canvas, "sells", span, 0.0, BAR);
        }
        for (span, word) in &self.faults {
            let width = bar(canvas, "fault", span, BAR - 7.0, 7.0);
            if width > word.len() as f64 * 6.5 {
                let x = scale.x(span.from_us) + 3.0;
                canvas.text("small", (x, TOP + span.row as f64 * ROW + 9.0), Anchor::Start, word);
            }
        }
        for span in self.double() {
            bar(canvas, "double", &span, -3.0, 3.0);
        }
        for (row, at_us) in &self.refused {
            canvas.cross((scale.x(*at_us), TOP + *row as f64 * ROW + BAR / 2.0));
        }
    }

    /// The overlaps of two holds, in the row of each.
    fn double(&self) -> Vec<Span> {
        let mut all = Vec::new();
        for (at, one) in self.holds.iter().enumerate() {
            for other in &self.holds[at + 1..] {
                let (from_us, until_us) = (one.from_us.max(other.from_us), one.until_us.min(other.until_us));
                if from_us < until_us {
                    all.extend([one.row, other.row].map(|row| Span { row, from_us, until_us }));
                }
            }
        }
        all
    }
}
