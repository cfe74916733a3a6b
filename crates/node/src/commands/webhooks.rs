//! `einvoice webhooks`: the endpoints that are registered at a node, for their owners and for who runs the node.
//!
//! It logs in as everybody does: with a login key, whose organisation decides what is shown and may be done.

use std::path::PathBuf;

use ledger::organisation::Purpose;
use serde_json::Value;
use ureq::http::Method;

use crate::client::{Call, Client, NodeAddress};
use crate::commands::submit::Answer;
use crate::commands::token::{self, Write};
use crate::exit::{Exit, Exits as _, Failure};
use crate::keys::NamedKey;
use crate::output::Output;

/// For how long a token of this command is valid, seconds.
const TOKEN_TTL_S: u64 = 300;

/// Look at webhooks, and at what could not be delivered; stop them, and send again.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    node: NodeAddress,
    /// The login key: of the organisation that runs the node for all endpoints, of another for its own.
    #[arg(long, value_name = "FILE", env = "EINVOICE_LOGIN_KEY")]
    key: PathBuf,
    #[command(subcommand)]
    action: Action,
}

/// What to do.
#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List endpoints: the organisation's own.
    List {
        /// Those of all organisations, for who runs the node.
        #[arg(long, conflicts_with = "organisation")]
        all: bool,
        /// Those of this organisation, for who runs the node.
        #[arg(long, value_name = "ID")]
        organisation: Option<String>,
    },
    /// Show one.
    Show(Endpoint),
    /// List what was given up after its last try.
    DeadLetters {
        #[command(flatten)]
        endpoint: Endpoint,
        /// `next` of the page before.
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Send what was given up again, once: one message, or all of them.
    Resend {
        #[command(flatten)]
        endpoint: Endpoint,
        /// The message, such as `msg_…_42`; all when absent.
        message: Option<String>,
    },
    /// Serve one no further. What an operator disables, only the operator enables.
    Disable(Endpoint),
    /// Serve one again, from where it stopped.
    Enable(Endpoint),
    /// Send a test event to one of the organisation's own.
    Test(Endpoint),
}

/// An endpoint.
#[derive(Debug, clap::Args)]
struct Endpoint {
    /// Its id, such as `we_…`.
    #[arg(value_parser = segment)]
    id: String,
}

/// A text that can stand in a path as it is.
fn segment(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !text.is_empty() && text.bytes().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("expected letters, digits, _ and -".to_owned())
    }
}

/// Asks the node.
pub(crate) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let key = NamedKey::load(&args.key, Purpose::Login).or_exit(Exit::Usage)?;
    let door = Door { client: Client::of(&args.node)?, key };
    let act = |id: &Endpoint, action: &str| door.ask(&Method::POST, &format!("/v1/webhooks/{}{action}", id.id));
    let answer = match &args.action {
        Action::List { all: true, .. } => door.ask(&Method::GET, "/v1/webhooks?organisation=all"),
        Action::List { organisation: None, .. } => door.ask(&Method::GET, "/v1/webhooks"),
        Action::List { organisation: Some(of), .. } => {
            let of = segment(of).map_err(|text| Failure::text(Exit::Usage, format!("use {of}: {text}")))?;
            door.ask(&Method::GET, &format!("/v1/webhooks?organisation={of}"))
        }
        Action::Show(id) => door.ask(&Method::GET, &format!("/v1/webhooks/{}", id.id)),
        Action::DeadLetters { endpoint, cursor } => {
            let cursor = cursor.as_deref().map(segment).transpose();
            let cursor = cursor.map_err(|text| Failure::text(Exit::Usage, format!("use the cursor: {text}")))?;
            let query = cursor.map(|cursor| format!("?cursor={cursor}")).unwrap_or_default();
            door.ask(&Method::GET, &format!("/v1/webhooks/{}/dead-letters{query}", endpoint.id))
        }
        Action::Resend { endpoint, message: None } => act(endpoint, ":resend"),
        Action::Resend { endpoint, message: Some(message) } => {
            let message =
                segment(message).map_err(|text| Failure::text(Exit::Usage, format!("use {message}: {text}")))?;
            act(endpoint, &format!("/dead-letters/{message}:resend"))
        }
        Action::Disable(id) => act(id, ":disable"),
        Action::Enable(id) => act(id, ":enable"),
        Action::Test(id) => act(id, ":test"),
    };
    output.data(&Answer(answer?))?;
    Ok(Exit::Done)
}

/// A node, and who asks it.
struct Door {
    client: Client,
    key: NamedKey,
}

impl Door {
    fn ask(&self, method: &Method, target: &str) -> Result<Value, Failure> {
        // Which node it is, and what time it has, it says itself; a token for another is good for nothing there.
        let door = self.client.identify()?;
        let path = target.split_once('?').map_or(target, |(path, _)| path);
        let request = format!("{method} {path}");
        let write = (*method != Method::GET).then_some(Write { request: &request, body: b"" });
        let token = token::mint(&self.key, &door.node, door.now_s(), TOKEN_TTL_S, write, None)?;
        let call = Call { token: Some(&token), ..Call::default() };
        self.client.call(method, target, call)?.succeeded("ask the node about webhooks")?.json()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_a_path_has_nothing_that_a_path_is_cut_at() {
        assert_eq!(segment("we_0a-b"), Ok("we_0a-b".to_owned()));
        for wrong in ["", "a/b", "a?b", "a:b", "..", "a b", "%2e"] {
            assert!(segment(wrong).is_err(), "{wrong}");
        }
    }
}
