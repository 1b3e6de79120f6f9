//! One PostgreSQL server, and the processes in it that serve one client each.

use anyhow::Result;
use leasehold_testkit::postgres::Server;
use rustix::process::{Pid, Signal, kill_process};

use super::{Servers, Started, kill, ttl_option};
use crate::{real_world::model::ActiveFault, rng::Rng};

const SESSIONS: &str = "FROM pg_stat_activity WHERE application_name = 'leasehold'";

pub(super) fn start() -> Result<Started> {
    // Sessions of killed workers, and those behind a link that is cut, stay for a while.
    let server = Server::builder().with("max_connections=300").start()?;
    let addresses = vec![server.address()];
    let url = format!("postgres://locks:pw@ADDRESSES/postgres?{}", ttl_option());
    Ok((Box::new(server), addresses, url))
}

/// The processes of sessions, in no order; `None` while the server answers nobody.
fn sessions(server: &Server) -> Option<Vec<Pid>> {
    let listed = server.sql(&format!("SELECT pid {SESSIONS}")).ok()?;
    Some(listed.lines().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect())
}

fn signal(sessions: &[Pid], signal: Signal) {
    for session in sessions {
        // It may have ended.
        let _ = kill_process(*session, signal);
    }
}

impl Servers for Server {
    fn inject(&self, rng: &mut Rng) -> Result<Option<ActiveFault<'_>>> {
        let (choice, lasts, target) = (rng.below(5), rng.span_ms(200, 3000), "server 0".to_string());
        if choice == 0 {
            return Ok(Some(kill(self, target, lasts / 2)));
        }
        // It may be recovering.
        let Some(mut struck) = sessions(self) else { return Ok(None) };
        if choice < 3 && !struck.is_empty() {
            let at = rng.below(struck.len());
            struck = vec![struck[at]];
        }
        Ok(Some(match choice {
            // The server takes its memory for damaged: it ends all sessions, and recovers.
            1 => {
                signal(&struck, Signal::KILL);
                ActiveFault::instant("session killed", target)
            }
            2 | 3 => {
                signal(&struck, Signal::STOP);
                let heal = Box::new(move || {
                    signal(&struck, Signal::CONT);
                    Ok(())
                });
                let name = if choice == 2 { "session paused" } else { "sessions paused" };
                ActiveFault { name, target, lasts, heal }
            }
            _ => {
                // As pg_terminate_backend does.
                signal(&struck, Signal::TERM);
                ActiveFault::instant("sessions terminated", target)
            }
        }))
    }
}
