//! Open files: as many as the connections a node is configured for need.
//!
//! Each connection is an open file, and so is each file of the databases. Systems give a process 1,024 at first and far
//! more when it asks. One that has none left cannot even open a file of its ledger, and that is a fault which ends the
//! node: so it asks when it starts, and does not start with less than its configuration may need.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::exit::{Exit, Exits as _, Failure};

/// What a node has open besides connections: files of four databases, each some fifty, some of them twice while one is
/// opened again; archives that are read; and what the process itself needs.
const OTHERS: u64 = 512;

/// Sees to it that so many connections can be open.
pub(crate) fn for_connections(connections_max: usize) -> Result<(), Failure> {
    let needed = u64::try_from(connections_max).unwrap_or(u64::MAX).saturating_add(OTHERS);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    if let Some(maximum) = maximum.filter(|maximum| *maximum < needed) {
        let text = format!(
            "serve {connections_max} connections: they need {needed} open files and the system allows {maximum}; raise \
             that limit (`ulimit -Hn`, `LimitNOFILE=`) or lower http.connections-max"
        );
        return Err(Failure::text(Exit::Usage, text));
    }
    tracing::info!(needed, before = current, "asked for more open files");
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum }).or_exit(Exit::Usage)
}
