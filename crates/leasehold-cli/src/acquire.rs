//! Acquires a lock and shows the wait for it.

use std::{
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Result;
use leasehold::{
    Busy, Client, LockName,
    env::Env,
    store::{Contender, Mode},
};
use serde_json::{Value, json};

use crate::{
    cmd::common::WaitArgs,
    describe::{held_by, held_for, ordinal, time_left, to_json},
    duration::{millis, show},
    exit::CliError,
    lock::{Hold, Lock, WaitLimit},
    output::{Output, write_stderr},
    store_location::{AWAY_PAUSE, may_pass, report_away},
    supervise::signals::Signals,
};

/// Shorter waits are not shown.
const QUIET: Duration = Duration::from_millis(400);
/// Interval between two updates of the line on a terminal.
const REDRAW: Duration = Duration::from_secs(1);

#[derive(Clone, Copy)]
pub(crate) struct WaitRequest<'a> {
    pub(crate) name: &'a LockName,
    pub(crate) limit: WaitLimit,
    /// Whether the lock has a fair queue, whose positions mean something.
    pub(crate) is_fair: bool,
}

pub(crate) enum Acquired {
    Held(Hold),
    /// The lock stayed busy up to the limit.
    Busy(BusyReport),
}

/// The last known holder of a lock that stayed busy.
pub(crate) struct BusyReport {
    name: LockName,
    waited: Option<Duration>,
    holder: Option<String>,
    holder_json: Value,
}

/// Acquires the lock and names its holder while waiting. The first signal cancels the wait and leaves the queue.
pub(crate) async fn acquire(
    lock: Lock,
    request: WaitRequest<'_>,
    client: &Client,
    signals: &mut Signals,
    output: Output,
) -> Result<Acquired> {
    let env = client.env();
    let mut progress = WaitProgress::new(&request, client, output);
    let lock = lock.on_busy(progress.observer());
    let acquired = {
        let mut acquiring = pin!(acquire_in_outages(&lock, request.limit, env, progress.outage.clone()));
        loop {
            let next_update = progress.next_update();
            tokio::select! {
                biased;
                signal = signals.ending() => break Err(CliError::interrupted(signal)),
                acquired = &mut acquiring => break acquired.map_err(anyhow::Error::from),
                () = env.sleep(next_update) => progress.draw(),
            }
        }
    };
    progress.erase();
    match acquired? {
        Some(hold) => {
            progress.report_acquired();
            Ok(Acquired::Held(hold))
        }
        None => Ok(Acquired::Busy(progress.busy_report(request.limit))),
    }
}

/// Acquires the lock; a store that is away in between is waited for like a lock that is busy.
async fn acquire_in_outages(
    lock: &Lock,
    limit: WaitLimit,
    env: &Env,
    outage: Outage,
) -> leasehold::Result<Option<Hold>> {
    let begin = env.now();
    loop {
        let answer = lock.acquire(limit.after(env.now().since(begin))).await;
        let pause = limit.after(env.now().since(begin)).at_most(AWAY_PAUSE);
        match answer {
            Err(error) if may_pass(&error) && !pause.is_zero() => {
                *outage.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
                env.sleep(pause).await;
            }
            answer => return answer,
        }
    }
}

impl BusyReport {
    /// Prints the report and returns the exit code.
    pub(crate) fn print(self, wait: &WaitArgs, output: Output) -> u8 {
        let (skips, code) = (wait.skips_busy(), wait.busy_code());
        let fields = json!({
            "lock": self.name.as_str(),
            "holder": self.holder_json,
            "waited_ms": self.waited.map(millis),
            "skipped": skips,
            "exit_code": code,
        });
        output.event("busy", fields);
        let name = &self.name;
        let holder = self.holder.map(|holder| format!(" · {holder}")).unwrap_or_default();
        if skips {
            output.say(format!("skipped: `{name}` is busy{holder}"));
        } else {
            let waited = self.waited.map(|span| format!(": gave up after {}", show(span)));
            output.say(format!("error: `{name}` is busy{}{holder}", waited.unwrap_or_default()));
            output.say("hint: wait longer with --wait DUR, or see the holder with `leasehold inspect`");
        }
        code
    }
}

/// The last busy answer of the store, and the age of the wait at that moment.
type LastBusy = Arc<Mutex<Option<(Busy, Duration)>>>;

/// The last error of a store that is away; `None` when it has answered since.
type Outage = Arc<Mutex<Option<String>>>;

/// Shows a wait on stderr.
struct WaitProgress {
    name: LockName,
    store: String,
    output: Output,
    age: Arc<dyn Fn() -> Duration + Send + Sync>,
    last_busy: LastBusy,
    outage: Outage,
    is_outage_shown: bool,
    is_fair: bool,
    /// Tag of the holder that was last shown; `None` before the first line.
    shown: Option<Option<u32>>,
    drawn: bool,
}

impl WaitProgress {
    fn new(request: &WaitRequest<'_>, client: &Client, output: Output) -> Self {
        let env = client.env().clone();
        let begin = env.now();
        WaitProgress {
            name: request.name.clone(),
            store: client.url().to_string(),
            output,
            age: Arc::new(move || env.now().since(begin)),
            last_busy: LastBusy::default(),
            outage: Outage::default(),
            is_outage_shown: false,
            is_fair: request.is_fair,
            shown: None,
            drawn: false,
        }
    }

    fn observer(&self) -> impl Fn(&Busy) + Send + Sync + 'static {
        let (last_busy, outage, age) = (self.last_busy.clone(), self.outage.clone(), self.age.clone());
        move |busy| {
            *outage.lock().unwrap_or_else(PoisonError::into_inner) = None;
            *last_busy.lock().unwrap_or_else(PoisonError::into_inner) = Some((busy.clone(), age()));
        }
    }

    fn next_update(&self) -> Duration {
        let age = (self.age)();
        if age < QUIET {
            QUIET - age
        } else if self.output.is_live() {
            REDRAW
        } else {
            QUIET
        }
    }

    fn last_busy(&self) -> Option<(Busy, Duration)> {
        self.last_busy.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Rewrites one line on a terminal; elsewhere writes one line per holder.
    fn draw(&mut self) {
        let outage = self.outage.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(message) = outage {
            if !std::mem::replace(&mut self.is_outage_shown, true) {
                self.erase();
                report_away(self.output, &self.store, &message);
            }
            return;
        }
        self.is_outage_shown = false;
        let Some((busy, then)) = self.last_busy() else { return };
        let tag = busy.holder.as_ref().map(|holder| holder.tag);
        let is_new = self.shown != Some(tag);
        self.shown = Some(tag);
        let line = self.line(&busy, then);
        if self.output.is_live() {
            write_stderr(&format!("\r\u{1b}[2K{}", cut(&line, stderr_width())));
            self.drawn = true;
        } else if is_new {
            let holder = busy.holder.as_ref().map(to_json);
            let fields = json!({ "lock": self.name.as_str(), "holder": holder, "ahead": busy.ahead });
            self.output.event("waiting", fields);
            self.output.say(line);
        }
    }

    fn line(&self, busy: &Busy, then: Duration) -> String {
        let elapsed = (self.age)().saturating_sub(then);
        let position = queue_position(busy).filter(|_| self.is_fair);
        wait_line(&self.name, position, busy.holder.as_ref(), elapsed)
    }

    fn erase(&mut self) {
        if std::mem::take(&mut self.drawn) {
            write_stderr("\r\u{1b}[2K");
        }
    }

    /// Reports the end of a wait that was shown. On a terminal its line is gone, and so is the wait.
    fn report_acquired(&self) {
        if self.shown.is_some() && !self.output.is_live() {
            self.output.say(format!("acquired `{}` after {}", self.name, show((self.age)())));
        }
    }

    fn busy_report(&self, limit: WaitLimit) -> BusyReport {
        let age = (self.age)();
        let holder = self.last_busy().and_then(|(busy, then)| Some((busy.holder?, age.saturating_sub(then))));
        BusyReport {
            name: self.name.clone(),
            waited: (limit != WaitLimit::NoWait).then_some(age),
            holder_json: holder.as_ref().map_or(Value::Null, |(holder, _)| to_json(holder)),
            holder: holder.map(|(holder, elapsed)| held_by(&holder, elapsed)),
        }
    }
}

/// The description of a wait: what is told last is cut first.
fn wait_line(
    name: &LockName,
    position: Option<u32>,
    holder: Option<&Contender>,
    elapsed: Duration,
) -> String {
    let position = position.map(|position| format!("you are {}", ordinal(position)));
    let left = holder.and_then(|holder| time_left(holder, elapsed));
    let described = holder.map(|holder| held_for(holder, elapsed));
    let parts = [Some(format!("waiting for `{name}`")), position, left, described];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

/// The beginning of a line, as far as it has room in so many columns.
fn cut(line: &str, columns: usize) -> String {
    let mut used = 0;
    let has_room = |character: &char| {
        used += width(*character);
        used <= columns
    };
    line.chars().take_while(has_room).collect()
}

#[cfg(feature = "top")]
fn width(character: char) -> usize {
    ratatui::text::Span::raw(character.encode_utf8(&mut [0; 4]) as &str).width()
}

/// Without the tables of `top`, each character is taken for one column.
#[cfg(not(feature = "top"))]
fn width(_: char) -> usize {
    1
}

/// Our position in the queue. The store counts everyone ahead, holders included.
fn queue_position(busy: &Busy) -> Option<u32> {
    let holders = match busy.holder.as_ref()?.mode? {
        Mode::Exclusive => 1,
        Mode::Permits { take, of } if take > 0 => of / take,
        // The number of readers that hold the lock is unknown.
        _ => return None,
    };
    busy.ahead?.checked_sub(holders)?.checked_add(1)
}

fn stderr_width() -> usize {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stderr());
    // Some terminals report a width of 0.
    let columns = size.map_or(0, |size| usize::from(size.ws_col));
    if columns == 0 { 79 } else { columns.saturating_sub(1) }
}

#[cfg(test)]
mod tests {
    use leasehold::store::Stance;

    use super::*;

    fn wait(note: &str, expires_in: Option<Duration>) -> String {
        let age = Some(Duration::from_millis(702));
        let (mode, note) = (Some(Mode::Exclusive), Some(note.into()));
        let holder = Contender { tag: 1, stance: Stance::Holding, mode, expires_in, age, fence: None, note };
        let name = LockName::new("q").unwrap();
        wait_line(&name, Some(2), Some(&holder), Duration::ZERO)
    }

    #[test]
    fn the_place_and_the_time_left_come_before_the_holder() {
        let note = r#"{"host":"vm","pid":5514,"command":"sleep + 1 argument"}"#;
        let told = "held by vm (pid 5514, sleep + 1 argument) for 702ms";
        let left = Some(Duration::from_secs(29));
        assert_eq!(wait(note, left), format!("waiting for `q` · you are 2nd · 29s left · {told}"));
        assert_eq!(wait(note, None), format!("waiting for `q` · you are 2nd · {told}"));
        let forged = wait("a · 5s left", None);
        assert_eq!(
            forged,
            "waiting for `q` · you are 2nd · held by unknown host (\"a · 5s left\") for 702ms"
        );
    }

    #[test]
    #[cfg(feature = "top")]
    fn lines_are_cut_in_columns() {
        assert_eq!([cut("a夜b", 1), cut("a夜b", 2), cut("a夜b", 3)], ["a", "a", "a夜"]);
        assert_eq!((cut("ab", 9), cut("e\u{301}f", 1)), ("ab".to_string(), "e\u{301}".to_string()));
    }
}
