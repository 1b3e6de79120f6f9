//! Which faults of a plan it takes.
use leasehold_sim::{plan::*, run::play, scenario::Scenario, stage::Cast};
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let scenario = Scenario::named(&args[1]).unwrap();
    let drop: Vec<&str> = args[3].split(',').collect();
    let mut bad = vec![];
    for seed in 0..args[2].parse().unwrap() {
        let mut cast = Cast::of(scenario, seed);
        cast.faults.retain(|f| !drop.iter().any(|d| !d.is_empty() && f.kind.to_string().starts_with(d)));
        let run = play(cast);
        if !run.is_good() {
            bad.push(seed);
        }
    }
    println!("{bad:?}");
    if let Some(seed) = bad.first() {
        let mut cast = Cast::of(scenario, *seed);
        cast.faults.retain(|f| !drop.iter().any(|d| !d.is_empty() && f.kind.to_string().starts_with(d)));
        let less = shrink(&cast.faults, |faults| {
            let mut c = cast.clone();
            c.faults = faults.to_vec();
            !play(c).is_good()
        });
        cast.faults = less;
        println!("{}", cast.command());
        let run = play(cast);
        for e in run.history {
            println!("{}", serde_json::to_string(&e).unwrap());
        }
        for b in run.broken {
            println!("{b}");
        }
        for b in run.breaches {
            println!("{b:?}");
        }
    }
}
