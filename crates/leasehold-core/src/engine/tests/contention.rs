//! The cost of the notice of a waiter.

use super::*;
use crate::Contender;

#[test]
fn only_who_asks_pays_for_it_and_pays_once() {
    let world = Virtual::new(1);
    let (memory, env) = (Memory::new(world.env()), world.env());
    let counted = Arc::new(Chaos::new(Arc::new(memory.client()), env.clone(), |_, _| Fault::None));
    let engine = Engine::new(counted.clone(), env.clone());
    let once = LockOptions { renew: false, ttl: TTL * 100, ..terms() };
    let (hold, other) = world.block_on(async {
        let held = engine.acquire(&name(), Mode::Exclusive, &once, Wait::No, None).await;
        (held.unwrap().unwrap(), Engine::new(Arc::new(memory.client()), env.clone()))
    });
    world.advance(TTL);
    assert_eq!(counted.operations(), 1, "the claim");
    world.block_on(async {
        // Listening for a long time is one subscription and one look.
        assert!(env.until(env.now() + TTL, hold.contended()).await.is_none());
        assert_eq!(counted.operations(), 3);
        let (name, noted) = (name(), LockOptions { note: Some("second".into()), ..terms() });
        let waits = other.acquire(&name, Mode::Exclusive, &noted, Wait::Forever, None);
        let gives_back = async {
            let waiter: Contender = hold.contended().await.unwrap();
            assert_eq!(waiter.note.as_deref(), Some("second"));
            hold.release().await.unwrap();
        };
        let (_, second) = tokio::join!(gives_back, waits);
        assert!(second.unwrap().is_some());
    });
    assert!(counted.operations() <= 8, "{}", counted.operations());
}
