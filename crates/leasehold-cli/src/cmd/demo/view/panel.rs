//! [`Panel`]: the picture that moves, at the end of the terminal.

use super::{
    Paint, Stage, emit,
    stage::{Actor, Doing},
};

/// The picture that moves. Remembers how much of the terminal it has to take back.
#[derive(Default, Debug)]
pub(crate) struct Panel {
    rows: usize,
    drawn_ns: u64,
}

/// At most so often, in nanoseconds: more is only flicker.
const FRAME_NS: u64 = 30_000_000;
/// The length of the bar.
const BAR: usize = 40;
/// A narrower terminal is not drawn on.
const COLUMNS_MIN: u16 = 70;

impl Panel {
    /// Draws the stage over what was drawn before.
    pub(crate) fn draw(&mut self, stage: &Stage, now_ns: u64, paint: Paint) {
        if self.rows > 0 && now_ns.saturating_sub(self.drawn_ns) < FRAME_NS || !fits(stage) {
            return;
        }
        let rows = rows(stage, now_ns, paint);
        let erase = self.erase();
        emit(&format!("{erase}{}\n", rows.join("\n")));
        (self.rows, self.drawn_ns) = (rows.len(), now_ns);
    }

    /// What takes it off the terminal.
    pub(crate) fn erase(&mut self) -> String {
        match std::mem::take(&mut self.rows) {
            0 => String::new(),
            rows => format!("\u{1b}[{rows}A\u{1b}[J"),
        }
    }
}

/// A row that wraps would leave rubbish behind.
fn fits(stage: &Stage) -> bool {
    rustix::termios::tcgetwinsize(std::io::stderr())
        .is_ok_and(|size| size.ws_col >= COLUMNS_MIN && usize::from(size.ws_row) > stage.actors.len() + 3)
}

fn rows(stage: &Stage, now_ns: u64, paint: Paint) -> Vec<String> {
    let mut rows = vec![bar(stage, paint)];
    let numbered = stage.actors.iter().zip(1..);
    rows.extend(numbered.map(|(actor, worker)| row(worker, actor, now_ns, paint)));
    rows
}

fn bar(stage: &Stage, paint: Paint) -> String {
    let left = stage.stock.clamp(0, stage.full);
    let full = usize::try_from(left * BAR as i64 / stage.full.max(1)).unwrap_or(0);
    let bar = format!("{}{}", "█".repeat(full), "░".repeat(BAR - full));
    let sold = stage.sold();
    let orders = format!("{sold} sold");
    let honest = i64::from(sold) + stage.stock == stage.full;
    let orders = if honest { orders } else { paint.red(&orders) };
    format!("  stock    {bar} {:>3} of {} · {orders}", stage.stock, stage.full)
}

fn row(worker: usize, actor: &Actor, now_ns: u64, paint: Paint) -> String {
    let doing = match actor.doing {
        Doing::Idle => paint.dim("○ between customers"),
        Doing::Waiting => paint.dim("○ waits"),
        Doing::Selling { rank: None } => paint.green("● sells"),
        Doing::Selling { rank: Some(rank) } => paint.green(&format!("● sells with token {rank}")),
        Doing::Paused { since_ns } => {
            let seconds = now_ns.saturating_sub(since_ns) as f64 / 1e9;
            paint.red(&format!("■ STOPPED for {seconds:.1} s between reading and writing"))
        }
        Doing::Gone => paint.dim("○ went home"),
    };
    format!("  worker {worker:<2} {:>3} sold  {doing}", actor.sold)
}

#[cfg(test)]
mod tests;
