//! `einvoice token`: a login token for a node, made from a login key.

use std::path::PathBuf;

use anyhow::Context as _;
use chain::hash::Hash;
use chain::login::LoginDraft;
use chain::statement::Nonce;
use ledger::organisation::Purpose;

use crate::client::ClockSource;
use crate::commands::sign::random_nonce;
use crate::exit::{Exit, Exits as _, Failure};
use crate::files;
use crate::keys::NamedKey;
use crate::output::Output;

/// How many bytes a body may have.
const BODY_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Make a login token.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The login key.
    #[arg(long)]
    key: PathBuf,
    /// The id of the node it is for; no other node takes it.
    #[arg(long)]
    aud: String,
    /// For how many seconds it is valid; at most an hour.
    #[arg(long, default_value_t = 3_600, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    ttl: u64,
    /// The body of a write with a hosted key, together with --request: the token is good for this body alone.
    #[arg(long)]
    body: Option<PathBuf>,
    /// For a write without a body.
    #[arg(long, conflicts_with = "body")]
    empty_body: bool,
    /// Method and path of the write, as in "POST /v1/invoices": the token is good for that alone.
    #[arg(long)]
    request: Option<String>,
    /// The token's own id; random for a write.
    #[arg(long)]
    jti: Option<Nonce>,
    #[command(flatten)]
    clock: ClockSource,
}

/// Makes a token.
pub(crate) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let key = NamedKey::load(&args.key, Purpose::Login).or_exit(Exit::Usage)?;
    let body = match &args.body {
        Some(path) => Some(files::read(path, BODY_BYTES_MAX).or_exit(Exit::Usage)?),
        None => args.empty_body.then(Vec::new),
    };
    let write = match (&args.request, &body) {
        (Some(request), Some(body)) => Some(Write { request, body }),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            let text = "make a token: a write needs --request together with --body or --empty-body, a read neither";
            return Err(Failure::text(Exit::Usage, text));
        }
    };
    let now_s = args.clock.now_s()?;
    let token = mint(&key, &args.aud, now_s, args.ttl, write, args.jti.clone())?;
    output.line(&token)?;
    Ok(Exit::Done)
}

/// What a token for a write covers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Write<'w> {
    /// Method and path.
    pub(crate) request: &'w str,
    /// The body.
    pub(crate) body: &'w [u8],
}

/// Signs a token that is valid for `ttl_s` from `now_s` (unix seconds), for reads or for one write.
pub(crate) fn mint(
    key: &NamedKey,
    audience: &str,
    now_s: u64,
    ttl_s: u64,
    write: Option<Write<'_>>,
    jti: Option<Nonce>,
) -> anyhow::Result<String> {
    let jti = match (jti, write) {
        (None, Some(_)) => Some(random_nonce().context("make a token")?),
        (jti, _) => jti,
    };
    let draft = LoginDraft {
        organisation: key.organisation.clone(),
        key: key.key_id.clone(),
        audience: audience.to_owned(),
        issued_at: now_s,
        expires_at: now_s.saturating_add(ttl_s),
        jti,
        request: write.map(|write| write.request.to_owned()),
        body_sha256: write.map(|write| Hash::of(write.body)),
    };
    Ok(draft.sign(&key.secret))
}
