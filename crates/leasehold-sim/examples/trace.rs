fn main() {
    let args: Vec<String> = std::env::args().collect();
    let scenario = leasehold_sim::scenario::Scenario::named(&args[1]).unwrap();
    let mut cast = leasehold_sim::stage::Cast::of(scenario, args[2].parse().unwrap());
    if let Some(c) = args.get(3) { cast.contestant = c.parse().unwrap(); cast.fence = leasehold_sim::resource::Fence::None; }
    let run = leasehold_sim::run::play(cast.clone());
    for event in &run.history { println!("{}", serde_json::to_string(event).unwrap()); }
    println!("{}", leasehold_sim::plan::join(&cast.faults));
    for v in &run.broken { println!("{v}"); }
    for b in &run.breaches { println!("{b:?}"); }
    println!("polls {}", run.polls);
}
