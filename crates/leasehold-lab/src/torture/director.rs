//! A run from its beginning to its end.

use std::{process::ExitCode, thread::scope, time::Duration};

use crate::history::What;
use leasehold::env::Env;
use tempfile::TempDir;

use crate::torture::{
    args::RunArguments,
    crew::Crew,
    failure::{Failure, Result},
    journal,
    lane::Lane,
    nemesis::{Chronicle, Nemesis},
    pace::Pace,
    resource::Resource,
    scene::{self, Kind, Scene},
    verdict::{Ending, Verdict, judge},
};

/// How long the workers may take to come to an end when they are told to.
const END_LIMIT: Duration = Duration::from_secs(20);
/// How long one goes on after everybody must have been answered.
const MARGIN: Duration = Duration::from_secs(2);
/// How often one looks whether the controls have failed.
const STEP: Duration = Duration::from_secs(1);
/// A run with less time for faults shows nothing.
const FAULTS_LEAST: Duration = Duration::from_secs(5);
/// A run that proved nothing.
const PROVES_NOTHING: u8 = 2;

/// Runs all that was asked for, one after the other.
///
/// # Errors
/// A run that could not be held.
pub(crate) fn run_all(arguments: &RunArguments) -> Result<ExitCode> {
    let mut worst = Ending::Kept;
    for store in &arguments.store {
        let verdict = run(*store, arguments)?;
        if arguments.json {
            println!("{}", serde_json::to_string(&verdict)?);
        } else {
            print!("{verdict}");
        }
        worst = worst.max(verdict.ending);
    }
    Ok(match worst {
        Ending::Kept => ExitCode::SUCCESS,
        Ending::ProvesNothing => ExitCode::from(PROVES_NOTHING),
        Ending::Broken => ExitCode::FAILURE,
    })
}

fn run(store: Kind, arguments: &RunArguments) -> Result<Verdict> {
    let scene = scene::start(store, arguments.workers.max(2))?;
    let bound = scene.promise().heal_bound + MARGIN;
    let faults = Duration::from_secs(arguments.seconds).saturating_sub(bound);
    if faults < FAULTS_LEAST {
        let least = (bound + FAULTS_LEAST).as_secs();
        return Err(Failure(format!("a run on {store} takes {least} s at least: it has to heal, too")));
    }
    let histories = tempfile::Builder::new().prefix("leasehold-torture-").tempdir()?;
    let env = Env::system()?;
    let chronicle = Chronicle::new(&env);
    let resource = Resource::open()?;
    let address = resource.address()?.to_string();
    let place = histories.path().to_path_buf();
    let crew = Crew::new(&*scene, &chronicle, address, place, arguments.seed, arguments.workers.max(2));
    let stage = Stage { scene: &*scene, chronicle: &chronicle, resource: &resource, crew: &crew };
    scope(|scope| {
        resource.serve(scope)?;
        let played = stage.play(arguments.seed, faults, bound);
        // Nobody may be left at the door, else the scope does not end.
        crew.await_end(Duration::ZERO);
        resource.close();
        played
    })?;
    conclude(store, arguments, &stage, histories)
}

/// Everything that a run needs.
struct Stage<'r> {
    scene: &'r dyn Scene,
    chronicle: &'r Chronicle,
    resource: &'r Resource,
    crew: &'r Crew<'r>,
}

impl Stage<'_> {
    /// Faults, then time to heal, then the end.
    fn play(&self, seed: u64, faults: Duration, bound: Duration) -> Result<()> {
        self.crew.start()?;
        let pace = Pace::default();
        let Stage { scene, chronicle, resource, crew } = *self;
        let nemesis = Nemesis { crew, resource, scene, chronicle, pace: &pace, seed };
        scope(|scope| -> Result<()> {
            let first = scope.spawn(|| stopping(&pace, nemesis.strike_workers(0)));
            let second = scope.spawn(|| stopping(&pace, nemesis.strike_workers(1)));
            let world = scope.spawn(|| stopping(&pace, nemesis.strike_world()));
            self.await_controls(&pace, faults);
            pace.end();
            let joined = [first, second, world].map(|hand| hand.join());
            let panicked = || Failure("the nemesis panicked".into());
            joined.into_iter().try_for_each(|end| end.unwrap_or_else(|_| Err(panicked())))
        })?;
        self.scene.mend()?;
        self.chronicle.healed();
        Pace::default().wait(bound);
        self.resource.stop_workers();
        self.crew.await_end(END_LIMIT);
        Ok(())
    }
}

impl Stage<'_> {
    /// Lets the faults last for that long, and up to twice as long, until every control has lost an update: whether one
    /// does is chance, and on a busy machine less happens.
    fn await_controls(&self, pace: &Pace, faults: Duration) {
        pace.wait(faults);
        let mut more = faults;
        let all_lost =
            || Lane::ALL.into_iter().all(|lane| !lane.is_control() || self.resource.has_lost(lane));
        while !all_lost() && !more.is_zero() && pace.wait(STEP.min(more)) {
            more = more.saturating_sub(STEP);
        }
    }
}

/// A hand that cannot go on ends the run.
fn stopping(pace: &Pace, outcome: Result<()>) -> Result<()> {
    if outcome.is_err() {
        pace.end();
    }
    outcome
}

fn conclude(store: Kind, arguments: &RunArguments, stage: &Stage<'_>, histories: TempDir) -> Result<Verdict> {
    let promise = stage.scene.promise();
    let mut judged = Vec::new();
    for lane in Lane::ALL {
        let mut events = journal::gather(histories.path(), lane, &stage.chronicle.events())?;
        let value = stage.resource.value(lane);
        let last = Chronicle::new(&Env::system()?);
        last.say(0, What::Final { resource: lane.name().into(), value });
        events.extend(last.events());
        journal::keep(histories.path(), lane, &events)?;
        judged.push(judge(lane, promise, &events));
    }
    let ending = Verdict::ending(&judged);
    let kept = match &arguments.keep {
        Some(place) => Some(moved(&histories, &place.join(format!("{store}-{}", arguments.seed)))?),
        None if ending == Ending::Broken => Some(histories.keep()),
        None => None,
    };
    let (seed, seconds, workers) = (arguments.seed, arguments.seconds, arguments.workers.max(2));
    let replay =
        format!("cargo xtask torture --store {store} --seed {seed} --seconds {seconds} --workers {workers}");
    let exclusive = promise.clocks && promise.memory;
    Ok(Verdict { store, seed, seconds, workers, ending, exclusive, replay, histories: kept, lanes: judged })
}

/// Copies the whole history of each lane.
fn moved(from: &TempDir, to: &std::path::Path) -> Result<std::path::PathBuf> {
    std::fs::create_dir_all(to)?;
    for entry in from.path().read_dir()? {
        let path = entry?.path();
        if let Some(name) = path.file_name().filter(|_| path.is_file()) {
            std::fs::copy(&path, to.join(name))?;
        }
    }
    Ok(to.to_path_buf())
}
