//! [`View`]: tells people what happens. Whole lines of what matters, and on a terminal a picture below them that moves.

mod line;
mod panel;
mod stage;

use std::io::{IsTerminal, Write};

use leasehold::Env;
use serde::Serialize;

use super::{
    event::Event,
    plan::{Lane, Plan},
    verdict::LaneVerdict,
};
use panel::Panel;
use stage::Stage;

/// Colours, or none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint(pub(crate) bool);

impl Paint {
    /// Danger.
    pub(crate) fn red(self, text: &str) -> String {
        self.code("1;31", text)
    }

    /// All is well.
    pub(crate) fn green(self, text: &str) -> String {
        self.code("32", text)
    }

    /// Look here.
    pub(crate) fn bold(self, text: &str) -> String {
        self.code("1", text)
    }

    /// Of little weight.
    pub(crate) fn dim(self, text: &str) -> String {
        self.code("2", text)
    }

    fn code(self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Whether to colour what goes to a terminal.
pub(crate) fn colours(is_terminal: bool) -> Paint {
    let unset = |name: &str| std::env::var_os(name).is_none_or(|value| value.is_empty());
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    Paint(is_terminal && unset("NO_COLOR") && !dumb)
}

/// Tells people what happens, on stderr: stdout is for the verdict.
pub(crate) struct View {
    env: Env,
    paint: Paint,
    stage: Option<Stage>,
    panel: Option<Panel>,
    begun: usize,
    json: bool,
}

impl View {
    /// A view for this process's stderr; with `json`, of all events, a line of JSON each.
    pub(crate) fn new(env: &Env, json: bool) -> View {
        let is_terminal = std::io::stderr().is_terminal() && !json;
        let paint = colours(is_terminal);
        let moves = is_terminal && std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        View { env: env.clone(), paint, stage: None, panel: moves.then(Panel::default), begun: 0, json }
    }

    /// A lane is being set up.
    pub(crate) fn begin(&mut self, lane: Lane, plan: &Plan) {
        self.begun += 1;
        self.stage = Some(Stage::new(lane, plan));
        let head = format!("{}/{} {}", self.begun, Lane::ALL.len(), lane.title());
        let head = self.paint.bold(&head);
        let (workers, stock) = (plan.workers, plan.stock);
        self.write(&format!("{head}: {workers} processes sell {stock} items; {}", lane.method()));
    }

    /// The workers of the lane begin.
    pub(crate) fn open(&mut self, now_ns: u64) {
        if let Some(stage) = &mut self.stage {
            stage.began_ns = now_ns;
        }
    }

    /// Something happened.
    pub(crate) fn see(&mut self, event: &Event) {
        let Some(stage) = &mut self.stage else { return };
        stage.take(event);
        if self.json {
            emit(&json_line(stage.lane, event));
            return;
        }
        let line = line::of(event, stage, self.paint);
        match line {
            Some(line) => self.write(&line),
            None => self.frame(),
        }
    }

    /// Time goes by.
    pub(crate) fn frame(&mut self) {
        let (Some(panel), Some(stage)) = (&mut self.panel, &self.stage) else { return };
        panel.draw(stage, self.env.now().nanos(), self.paint);
    }

    /// The lane is over.
    pub(crate) fn end(&mut self, verdict: &LaneVerdict) {
        self.stage = None;
        let line = verdict.result();
        let line = if verdict.exact { self.paint.green(&line) } else { self.paint.red(&line) };
        self.write(&format!("  {line}\n"));
    }

    /// Takes the moving picture away, for whoever writes to the terminal next.
    pub(crate) fn clear(&mut self) {
        self.stage = None;
        if let Some(panel) = &mut self.panel {
            emit(&panel.erase());
        }
    }

    fn write(&mut self, line: &str) {
        if self.json {
            return;
        }
        let erase = self.panel.as_mut().map(Panel::erase).unwrap_or_default();
        emit(&format!("{erase}{line}\n"));
        self.frame();
    }
}

fn json_line(lane: Lane, event: &Event) -> String {
    #[derive(Serialize)]
    struct Line<'e> {
        lane: Lane,
        #[serde(flatten)]
        event: &'e Event,
    }
    // There is no map in it whose keys could not be strings.
    serde_json::to_string(&Line { lane, event }).unwrap_or_default() + "\n"
}

/// A stderr that nobody reads any more is no reason to end: the verdict goes to stdout.
fn emit(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
