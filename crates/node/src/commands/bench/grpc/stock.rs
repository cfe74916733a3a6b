//! What is read and locked: invoices issued before anything is measured.

use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use chain::identity::OrganisationId;
use client::Signed;
use client::messages::ListInvoicesRequest;
use tokio::task::JoinSet;
use workload::Signers;
use workload::consortium::AUDITOR;

use super::doors::Doors;
use crate::clock;
use crate::commands::bench::{Args, workload};
use crate::output::Output;

/// Invoices of one statement.
const STATEMENT: u64 = 100;
/// Statements under way at once.
const AT_ONCE: usize = 8;
/// For how long they may be decided. Seconds.
const VALID_S: u64 = 3_600;
/// Rows of a page.
const PAGE: u32 = 500;

/// An invoice that can be locked.
pub(super) struct Claimable {
    /// Its id.
    pub(super) invoice: String,
    /// Who holds it.
    pub(super) enterprise: OrganisationId,
    /// Whose mandates to lock it there are.
    pub(super) platform: OrganisationId,
}

/// Issues so many invoices that enterprises hold.
pub(super) async fn issue(
    args: &Args,
    doors: &Arc<Doors>,
    count: u64,
    output: &Output,
) -> anyhow::Result<Vec<Claimable>> {
    let workload = workload(args, Arc::clone(&doors.consortium))?;
    let signers = Signers::new(&doors.consortium, doors.chain.clone());
    let expires_at = clock::machine_s() + VALID_S;
    let bar = output.progress("issuing invoices", Some(count), false);
    let mut tasks = JoinSet::new();
    let mut issued: Vec<(u64, Vec<Claimable>)> = Vec::new();
    for number in 0..count.div_ceil(STATEMENT) {
        let events = usize::try_from(STATEMENT.min(count - number * STATEMENT)).context("count invoices")?;
        let (made, holders) = workload.claimable_statement(&signers, number, events, expires_at);
        let holders: Vec<_> = holders.iter().map(|holder| (holder.id.clone(), holder.agents.clone())).collect();
        let (doors, text) = (Arc::clone(doors), String::from_utf8(made.bytes).context("read a statement")?);
        while tasks.len() >= AT_ONCE {
            let ended = tasks.join_next().await.context("issue invoices")?;
            issued.push(ended.context("issue invoices")??);
            bar.inc(STATEMENT);
        }
        tasks.spawn(async move { Ok::<_, anyhow::Error>((number, decided(&doors, number, &text, holders).await?)) });
    }
    while let Some(ended) = tasks.join_next().await {
        issued.push(ended.context("issue invoices")??);
    }
    bar.finish_and_clear();
    issued.sort_by_key(|(number, _)| *number);
    Ok(issued.into_iter().flat_map(|(_, invoices)| invoices).collect())
}

async fn decided(
    doors: &Doors,
    number: u64,
    text: &str,
    holders: Vec<(OrganisationId, Vec<OrganisationId>)>,
) -> anyhow::Result<Vec<Claimable>> {
    let signed = Signed::parse(text).context("read a statement")?;
    let decided = doors.any(number).decide(&signed).await.context("issue invoices")?;
    let claimable = |(outcome, (enterprise, agents)): (&client::messages::EventOutcome, _)| {
        let agents: Vec<OrganisationId> = agents;
        if outcome.code != "accepted" {
            bail!("issue an invoice: {}", outcome.code);
        }
        // Both of its platforms come to their turn.
        let place = usize::try_from(outcome.leaf_index).unwrap_or(0) % agents.len().max(1);
        let platform = agents.get(place).cloned().ok_or_else(|| anyhow!("{enterprise} has no platform"))?;
        Ok(Claimable { invoice: outcome.subject.clone(), enterprise, platform })
    };
    decided.outcomes.iter().zip(holders).map(claimable).collect()
}

/// The QR codes of the newest invoices, as the auditor sees them; issues what is missing to have so many.
pub(super) async fn qrs(args: &Args, doors: &Arc<Doors>, count: usize, output: &Output) -> anyhow::Result<Vec<String>> {
    let found = listed(doors, count).await?;
    if found.len() >= count {
        return Ok(found);
    }
    let missing = u64::try_from(count - found.len()).context("count invoices")?;
    issue(args, doors, missing, output).await?;
    listed(doors, count).await
}

async fn listed(doors: &Doors, count: usize) -> anyhow::Result<Vec<String>> {
    let auditor = doors.connect(AUDITOR, 0).await?;
    let mut pages = auditor.invoices(ListInvoicesRequest { page_size: PAGE, ..ListInvoicesRequest::default() });
    let mut found = Vec::new();
    while found.len() < count {
        let Some(page) = pages.next().await.context("list invoices")? else { break };
        found.extend(page.into_iter().map(|invoice| invoice.qr));
    }
    found.truncate(count);
    Ok(found)
}
