//! The client that platforms use, for the commands that talk to a node's gRPC door.

use std::path::Path;
use std::sync::Arc;

use anyhow::anyhow;
use client::{Error, Key, Login, Node, Options, OutboxError, Roots};
use ledger::organisation::Purpose;

use crate::client::{Client, NodeAddress};
use crate::clock;
use crate::exit::{Exit, Exits as _, Failure};
use crate::files;
use crate::keys::NamedKey;

/// How many bytes a file of certificates may have.
const CERTIFICATES_BYTES_MAX: u64 = 1024 * 1024;

/// Who logs in where: with the login key of a file, at the gRPC door of a node whose REST door says who it is.
pub(crate) fn options(node: &NodeAddress, grpc_url: &str, login_key: &Path) -> Result<Options, Failure> {
    let key = NamedKey::load(login_key, Purpose::Login).or_exit(Exit::Usage)?;
    let door = Client::of(node)?.identify()?;
    let login = Login::Tokens(Key { organisation: key.organisation, id: key.key_id, secret: key.secret });
    let roots = match &node.ca {
        Some(path) => Roots::Own(files::read(path, CERTIFICATES_BYTES_MAX).or_exit(Exit::Usage)?),
        None => Roots::Web,
    };
    // The clock of a `dev` node may be ahead of this machine's.
    let ahead_ms = door.now_ms - clock::machine_ms();
    let clock = Arc::new(move || clock::machine_ms() + ahead_ms);
    Ok(Options { roots, clock, ..Options::new(vec![Node::new(grpc_url, door.node)], login) })
}

/// A failure of the client to do `what`.
pub(crate) fn failure(error: Error, what: &'static str) -> Failure {
    let exit = match &error {
        Error::Option { .. } | Error::Statement(_) => Exit::Usage,
        Error::Refused(_) => Exit::Refused,
        // What became of it is to be asked for again.
        Error::Unavailable { .. } | Error::Undecided { .. } | Error::Expired { .. } => Exit::Unavailable,
        Error::Outbox(error) => match error {
            OutboxError::Held { .. } => Exit::Held,
            // There is room again when something of it is sent.
            OutboxError::Full { .. } => Exit::Unavailable,
            OutboxError::TooLarge { .. } | OutboxError::Unknown { .. } => Exit::Usage,
            OutboxError::Damaged { .. } | OutboxError::Io { .. } => Exit::Fault,
        },
        Error::Randomness(_) | Error::Answer { .. } | Error::Receipt(_) | Error::OtherReceipt { .. } => {
            Exit::Unexpected
        }
    };
    Failure::new(exit, anyhow!(error).context(what))
}
