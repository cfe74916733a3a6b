//! Events about organisations, mandates and quotas: who sees them besides their authors, agencies and auditors.
//!
//! What happens to an organisation is its own business, and that of those who read for it; a mandate is between two, and
//! one that was attested is told to each who is said to have given it. Who was registered in bulk is told to nobody else.
//! A seller's quota is its own business, and that of those who issue or read for it; a segment of numbers is its holder's. What a stranger tried, and was
//! refused, is told to nobody but its author: else anybody could fill another's feed.

use chain::identity::OrganisationId;
use invoice::InvoiceId;
use ledger::event::Event;
use ledger::organisation::Scope;
use ledger::outcome::{ACCEPTED, REPEATED};
use replica::query::EventView;

use crate::problem::Problem;

/// Scopes of a mandate that open what happens to its giver.
pub(crate) const SEEING_MEMBERS: [Scope; 1] = [Scope::Read];

/// Scopes of a mandate that open its giver's quotas: whoever issues for a seller must know what is left.
pub(crate) const SEEING_QUOTAS: [Scope; 2] = [Scope::Issue, Scope::Read];

/// Whom an event about organisations, mandates or quotas is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// An organisation.
    Organisation(OrganisationId),
    /// Those between whom a mandate is, or the one who holds many.
    Mandate(Vec<OrganisationId>),
    /// The seller whose quota it is.
    Quota(OrganisationId),
    /// A segment of numbers, by its first: its holder's business.
    Segment(InvoiceId),
}

/// Whom an event is about that somebody else may see.
pub(crate) fn concerning(event: &EventView) -> Result<Option<About>, Problem> {
    let Some(mut about) = about(&event.outcome.subject) else { return Ok(None) };
    if let About::Mandate(between) = &mut about
        && let Event::Attest(attest) = event.event()?
    {
        between.extend(attest.enterprises.entries().iter().cloned());
    }
    // What was done to it is its business; what was only tried is that of whom it is between.
    let author = &event.statement.header().organisation;
    let part_of = match &about {
        About::Organisation(id) | About::Quota(id) => id == author,
        About::Mandate(between) => between.contains(author),
        About::Segment(_) => false,
    };
    let decided = [ACCEPTED, REPEATED].contains(&event.outcome.code.as_str());
    Ok(Some(about).filter(|_| decided || part_of))
}

/// Whom a subject is about, if it is one of these.
fn about(subject: &str) -> Option<About> {
    let id = |text: &str| OrganisationId::new(text).ok();
    let (kind, rest) = subject.split_once(':')?;
    match kind {
        "organisation" => id(rest).map(About::Organisation),
        "mandate" => {
            let (from, to) = rest.split_once('/')?;
            Some(About::Mandate(vec![id(from)?, id(to)?]))
        }
        "quota" => id(rest.split_once('/')?.0).map(About::Quota),
        "segment" => rest.parse().ok().map(About::Segment),
        "mandates" => Some(About::Mandate(vec![id(rest)?])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_says_whom_it_is_about() {
        let id = |text: &str| OrganisationId::new(text).unwrap();
        assert_eq!(about("organisation:shop"), Some(About::Organisation(id("shop"))));
        assert_eq!(about("mandate:shop/isp"), Some(About::Mandate(vec![id("shop"), id("isp")])));
        assert_eq!(about("mandates:isp"), Some(About::Mandate(vec![id("isp")])));
        assert_eq!(about("quota:shop/2026-11"), Some(About::Quota(id("shop"))));
        let first = "144032609010-00000001";
        assert_eq!(about(&format!("segment:{first}")), Some(About::Segment(first.parse().unwrap())));
        for other in [
            "segment:isp",
            "organisations:shop",
            "filing:shop/2026-11",
            "144032609110-00000001",
            "mandate:shop",
            "mandates:",
            "quota:shop",
        ] {
            assert_eq!(about(other), None, "{other}");
        }
    }
}
