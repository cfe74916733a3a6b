//! `einvoice outbox`, and `einvoice submit --outbox`: statements that are on this disk before any node has them.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use chain::hash::StatementId;
use client::{Client, Error, Kept, Options, Outbox, OutboxError, OutboxLimits, Sent, Signed, Verifier};
use serde_json::{Value, json};
use tokio::runtime::Builder;

use crate::client::NodeAddress;
use crate::commands::submit::{Answer, decision, problem};
use crate::commands::verify::genesis;
use crate::exit::{Exit, Exits as _, Failure};
use crate::files;
use crate::grpc;
use crate::output::Output;

/// What fails when something does.
const WHAT: &str = "send what the outbox keeps";

/// Look at the statements of an outbox, which `submit --outbox` fills, and send those that wait.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List what it keeps, in the order in which it is sent.
    List {
        /// The outbox.
        directory: PathBuf,
    },
    /// Send everything that waits, the oldest first, until each is decided and its receipts hold; and ask what became of
    /// what was set aside.
    Send(Box<SendArgs>),
    /// Remove a statement that nodes turned away, for good.
    Discard {
        /// The outbox.
        directory: PathBuf,
        /// The statement, by its id.
        statement: StatementId,
    },
}

/// An outbox, and where to send what it keeps.
#[derive(Debug, clap::Args)]
pub(crate) struct SendArgs {
    /// The outbox.
    directory: PathBuf,
    #[command(flatten)]
    node: NodeAddress,
    /// The node's gRPC door, such as `http://127.0.0.1:9090`.
    #[arg(long, env = "EINVOICE_GRPC_URL")]
    grpc_url: String,
    /// The login key of who sends.
    #[arg(long, value_name = "FILE", env = "EINVOICE_LOGIN_KEY")]
    key: PathBuf,
    /// The genesis, which the receipts are held against.
    #[arg(long, value_name = "FILE", env = "EINVOICE_GENESIS")]
    genesis: PathBuf,
}

/// Does it.
pub(crate) fn run(command: &Command, output: &Output) -> Result<Exit, Failure> {
    match command {
        Command::List { directory } => list(directory, output),
        Command::Send(args) => {
            let mut outbox = open(directory_of(&args.directory)?)?;
            let verifier = verifier(&args.genesis)?;
            send_all(&mut outbox, &verifier, || grpc::options(&args.node, &args.grpc_url, &args.key), output)
        }
        Command::Discard { directory, statement } => {
            let mut outbox = open(directory_of(directory)?)?;
            outbox.discard(*statement).map_err(|error| failure(error, "discard the statement"))?;
            Ok(Exit::Done)
        }
    }
}

/// Keeps a statement, sends what was kept before it, then itself, and shows what became of it.
pub(super) fn submit(
    directory: &Path,
    genesis: &Path,
    jws: &[u8],
    door: impl FnOnce() -> Result<Options, Failure>,
    output: &Output,
) -> Result<Exit, Failure> {
    let text = std::str::from_utf8(jws).context("read the statement").or_exit(Exit::Usage)?;
    let signed = Signed::parse(text).map_err(|error| grpc::failure(error, "read the statement"))?;
    let verifier = verifier(genesis)?;
    let mut outbox = open(directory)?;
    outbox.put(&signed).map_err(|error| failure(error, "keep the statement"))?;
    // From here on it is kept, whatever becomes of nodes and of this process.
    let sent = until_sent(&mut outbox, &verifier, signed.id(), door, output);
    if outbox.waits(signed.id()) {
        output.talk(&format!("the outbox keeps the statement: einvoice outbox send {}", files::quoted(directory)));
    }
    sent
}

/// Sends until a statement has its turn behind it.
fn until_sent(
    outbox: &mut Outbox,
    verifier: &Verifier,
    own: StatementId,
    door: impl FnOnce() -> Result<Options, Failure>,
    output: &Output,
) -> Result<Exit, Failure> {
    let options = door()?;
    let runtime = Builder::new_current_thread().enable_all().build().context("start the client")?;
    runtime.block_on(async {
        let client = Client::connect(options).await.map_err(|error| grpc::failure(error, WHAT))?;
        while let Some(sent) = outbox.send_next(&client, verifier).await.map_err(|error| grpc::failure(error, WHAT))? {
            let id = statement_of(&sent);
            if id == own {
                output.data(&Answer(told(&sent)))?;
                forget(outbox, &sent)?;
                return ended(&sent).map_or(Ok(Exit::Done), Err);
            }
            let refused = match &sent {
                Sent::Decided { decided, .. } => decided.refusal(),
                Sent::SetAside { .. } => None,
            };
            match refused {
                // Whoever kept it has not been told: `outbox send` says it, and lets it go.
                Some(refused) => {
                    outbox.put_aside(id, &refused).map_err(|error| failure(error, "set aside what was refused"))?;
                }
                None => forget(outbox, &sent)?,
            }
            let what = ended(&sent).map_or_else(|| "decided".to_owned(), |failure| failure.to_string());
            output.talk(&format!("from the outbox, {id}: {what}"));
        }
        Err(Failure::text(Exit::Unexpected, format!("{WHAT}: the statement is not in it any more")))
    })
}

/// Sends everything, and asks after what was set aside.
fn send_all(
    outbox: &mut Outbox,
    verifier: &Verifier,
    door: impl FnOnce() -> Result<Options, Failure>,
    output: &Output,
) -> Result<Exit, Failure> {
    let kept: Result<Vec<Kept>, OutboxError> = outbox.list().collect();
    let aside: Vec<Kept> = kept.map_err(|error| failure(error, WHAT))?;
    let aside = aside.into_iter().filter(|kept| kept.set_aside.is_some());
    // Of what was decided under another id no receipt speaks.
    let aside: Vec<Kept> = aside.filter(|kept| kept.set_aside.as_deref() != Some(client::REPEATED)).collect();
    if outbox.is_empty() {
        return Ok(Exit::Done);
    }
    let options = door()?;
    let runtime = Builder::new_current_thread().enable_all().build().context("start the client")?;
    let failed = |error: Error| grpc::failure(error, WHAT);
    runtime.block_on(async {
        let client = Client::connect(options).await.map_err(failed)?;
        let mut exit = Exit::Done;
        while let Some(sent) = outbox.send_next(&client, verifier).await.map_err(failed)? {
            exit = shown(outbox, &sent, exit, output)?;
        }
        for kept in aside {
            if let Some(sent) = outbox.ask(&client, verifier, kept.statement).await.map_err(failed)? {
                exit = shown(outbox, &sent, exit, output)?;
            }
        }
        // Nobody else will send what is set aside.
        let left = outbox.set_aside_count();
        if exit == Exit::Done && left > 0 {
            output.talk(&format!("{left} are set aside: `einvoice outbox list` shows why, `discard` lets one go"));
            exit = Exit::Refused;
        }
        Ok(exit)
    })
}

/// Shows what became of a statement, and lets it go when it is decided.
fn shown(outbox: &mut Outbox, sent: &Sent, exit: Exit, output: &Output) -> Result<Exit, Failure> {
    output.step(&Answer(told(sent)))?;
    forget(outbox, sent)?;
    Ok(match ended(sent) {
        Some(failure) => {
            output.failure(&failure);
            failure.exit()
        }
        None => exit,
    })
}

fn forget(outbox: &mut Outbox, sent: &Sent) -> Result<(), Failure> {
    match sent {
        Sent::Decided { decided, .. } => {
            outbox.forget(decided.statement).map_err(|error| failure(error, "remove what is decided"))
        }
        Sent::SetAside { .. } => Ok(()),
    }
}

fn statement_of(sent: &Sent) -> StatementId {
    match sent {
        Sent::Decided { decided, .. } => decided.statement,
        Sent::SetAside { statement, .. } => *statement,
    }
}

/// What became of a statement, as data in the words of the REST door.
fn told(sent: &Sent) -> Value {
    match sent {
        Sent::Decided { decided, .. } => decided.refusal().map_or_else(|| decision(decided), |why| problem(&why)),
        Sent::SetAside { refused: Some(refused), .. } => problem(refused),
        Sent::SetAside { statement, first, .. } => {
            let first = first.map(|first| first.to_string());
            json!({"code": client::REPEATED, "statement": statement.to_string(), "first": first})
        }
    }
}

/// Why the ledger took nothing of it, if it did not.
fn ended(sent: &Sent) -> Option<Failure> {
    match sent {
        Sent::Decided { decided, .. } => {
            decided.refusal().map(|refused| grpc::failure(Error::Refused(Box::new(refused)), "submit the statement"))
        }
        Sent::SetAside { refused: Some(refused), .. } => {
            Some(grpc::failure(Error::Refused(refused.clone()), "submit the statement, which was set aside"))
        }
        Sent::SetAside { statement, first, .. } => {
            let first = first.map_or_else(|| "another".to_owned(), |first| first.to_string());
            let why = format!("submit {statement}, which was set aside: its payload was decided before, in {first}");
            Some(Failure::text(Exit::Refused, why))
        }
    }
}

/// Lists what an outbox keeps, also what is damaged in it.
fn list(directory: &Path, output: &Output) -> Result<Exit, Failure> {
    let outbox = open(directory_of(directory)?)?;
    let (mut rows, mut damaged) = (Vec::new(), None);
    for kept in outbox.list() {
        match kept {
            Ok(Kept { number, statement, bytes, expires_at_s, set_aside }) => {
                let state = if set_aside.is_some() { "set-aside" } else { "waits" };
                let expires_ms = i64::try_from(expires_at_s).unwrap_or(i64::MAX).saturating_mul(1_000);
                rows.push(json!({
                    "number": number, "statement": statement.to_string(), "state": state, "code": set_aside,
                    "expires": api::format_ms(expires_ms), "bytes": bytes}));
            }
            Err(error) => {
                rows.push(json!({"state": "damaged", "code": error.code(), "reason": error.to_string()}));
                damaged.get_or_insert(error);
            }
        }
    }
    output.data(&Answer(json!({ "statements": rows })))?;
    damaged.map_or(Ok(Exit::Done), |error| Err(failure(error, "list what the outbox keeps")))
}

/// A directory that is to be an outbox already: nothing is made for who only looks.
fn directory_of(path: &Path) -> Result<&Path, Failure> {
    if path.is_dir() {
        return Ok(path);
    }
    Err(Failure::text(Exit::Usage, format!("open the outbox {}: there is no such directory", path.display())))
}

fn open(directory: &Path) -> Result<Outbox, Failure> {
    Outbox::open(directory, OutboxLimits::default()).map_err(|error| failure(error, "open the outbox"))
}

fn failure(error: OutboxError, what: &'static str) -> Failure {
    grpc::failure(error.into(), what)
}

fn verifier(path: &Path) -> Result<Verifier, Failure> {
    genesis(path).map(Verifier::new)
}
