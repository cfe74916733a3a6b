//! What the demo plays with: documents of our own, WeChat Pay applications, or the samples; and who must be on the
//! ledger for them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use chain::identity::OrganisationId;
use invoice::document::{Buyer, Document, Party, Profile};
use invoice::violation::Violation;
use invoice::wechat::{self, ConvertError, Kind};
use invoice::{Amount, Personal, samples};
use serde::Deserialize;

use crate::exit::{Exit, Exits as _, Failure};
use crate::files;
use crate::keys;
use crate::plan::{BUYER, Plan, SHOP, organisation};

/// How many bytes an input may have.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// How many inputs one demo plays.
const INPUTS_MAX: usize = 100;

/// One invoice to be.
#[derive(Debug)]
pub(super) struct Scene {
    /// What it is, for people.
    pub(super) title: String,
    /// The document with the totals that were stated.
    pub(super) document: Document,
    /// What is personal.
    pub(super) personal: Personal,
    /// What is doubtful about the input.
    pub(super) warnings: Vec<Violation>,
    /// The seller on the ledger.
    pub(super) seller: OrganisationId,
    /// The organisation that reimburses it: the buyer, or whoever a person hands it to.
    pub(super) enterprise: OrganisationId,
    /// Whether a person bought it, who first hands it on.
    pub(super) personal_buyer: bool,
}

impl Scene {
    /// Whether its buyer, an organisation, may use its VAT.
    pub(super) fn special(&self) -> bool {
        self.document.profile == Profile::DigitalSpecial && !self.personal_buyer
    }

    /// The document with the totals that its lines give.
    pub(super) fn totals_from_lines(&self) -> Result<Document, Failure> {
        let mut document = self.document.clone();
        let sums = || -> Result<_, invoice::Error> {
            let net = Amount::checked_sum(document.lines.iter().map(|line| line.net))?;
            let tax = Amount::checked_sum(document.lines.iter().map(|line| line.tax_amount))?;
            Ok((net, tax, net.checked_add(tax)?))
        };
        let (net, tax, gross) = sums().context("add up the lines").or_exit(Exit::Usage)?;
        document.totals = invoice::Totals { net, tax, gross };
        Ok(document)
    }
}

/// Everything the demo plays with.
#[derive(Debug)]
pub(super) struct Input {
    /// The invoices to be.
    pub(super) scenes: Vec<Scene>,
    /// Who belongs to the consortium.
    pub(super) plan: Plan,
}

/// What `POST /v1/invoices` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    document: Document,
    #[serde(default)]
    personal: Personal,
}

/// Reads the inputs; the samples when there are none.
pub(super) fn read(paths: &[PathBuf]) -> Result<Input, Failure> {
    if paths.len() > INPUTS_MAX {
        return Err(Failure::text(Exit::Usage, format!("play {} inputs: {INPUTS_MAX} at most", paths.len())));
    }
    let mut input = Input { scenes: Vec::new(), plan: Plan::demo()? };
    for sample in samples::all().iter().filter(|_| paths.is_empty()) {
        let document = Document::parse(sample.json.as_bytes()).context("read a sample")?;
        input.add(sample.title.to_owned(), document, Personal::default(), Vec::new())?;
    }
    for path in paths {
        let bytes = files::read(path, FILE_BYTES_MAX).or_exit(Exit::Usage)?;
        let title =
            path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
        for (document, personal, warnings) in documents(&bytes, path, &input.plan)? {
            input.add(title.clone(), document, personal, warnings)?;
        }
    }
    Ok(input)
}

/// The documents in a file.
fn documents(bytes: &[u8], path: &Path, plan: &Plan) -> Result<Vec<(Document, Personal, Vec<Violation>)>, Failure> {
    let context = || format!("take invoices from {}", path.display());
    let kind = wechat::recognise(bytes).with_context(context).or_exit(Exit::Usage)?;
    match kind {
        Some(Kind::Application) => {}
        Some(kind) => {
            return Err(ConvertError::NotAnApplication { kind }).with_context(context).or_exit(Exit::Usage);
        }
        None => {
            let read = match serde_json::from_slice::<Request>(bytes) {
                Ok(Request { document, personal }) => Ok((document, personal, Vec::new())),
                Err(_) => Document::parse(bytes).map(|document| (document, Personal::default(), Vec::new())),
            };
            return Ok(vec![read.with_context(context).or_exit(Exit::Usage)?]);
        }
    }
    let shop = organisation(SHOP)?;
    let shop =
        plan.organisations.iter().find(|planned| planned.id == shop).ok_or_else(|| anyhow!("find the demo's shop"))?;
    // The applications name no seller.
    let seller = Party {
        name: shop.name.clone(),
        taxpayer_id: shop.taxpayer_id.clone(),
        address: None,
        phone: None,
        bank: None,
        account: None,
    };
    let salt = keys::random()?;
    let options =
        wechat::Options { seller: &seller, profile: None, totals: wechat::TotalsFrom::Stated, person_salt: &*salt };
    let converted = wechat::convert(bytes, &options).with_context(context).or_exit(Exit::Usage)?;
    Ok(converted.into_iter().map(|one| (one.document, one.personal, one.warnings)).collect())
}

impl Input {
    /// Adds an invoice to be, with its seller, its buyer and their mandates.
    fn add(
        &mut self,
        title: String,
        document: Document,
        personal: Personal,
        warnings: Vec<Violation>,
    ) -> Result<(), Failure> {
        let number = self.scenes.len() + 1;
        let seller = &document.seller;
        let seller = self.plan.seller(&format!("seller-{number}"), &seller.name, &seller.taxpayer_id)?;
        let same = |scene: &&Scene| scene.seller == seller && scene.document.reference == document.reference;
        if let Some(scene) = self.scenes.iter().find(same) {
            let (reference, other) = (&document.reference, &scene.title);
            let text =
                format!("play {title}: it has the reference {reference} of {other}, and a seller uses one only once");
            return Err(Failure::text(Exit::Usage, text));
        }
        let (enterprise, personal_buyer) = match &document.buyer {
            Buyer::Organisation(buyer) => {
                (self.plan.buyer(&format!("buyer-{number}"), &buyer.name, &buyer.taxpayer_id)?, false)
            }
            Buyer::Person(_) => (organisation(BUYER)?, true),
        };
        self.scenes.push(Scene { title, document, personal, warnings, seller, enterprise, personal_buyer });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(json: &str) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("input.json");
        std::fs::write(&path, json).unwrap();
        (directory, path)
    }

    #[test]
    fn without_input_the_samples_are_played_and_all_their_parties_planned() {
        let input = read(&[]).unwrap();
        assert_eq!(input.scenes.len(), samples::all().len());
        for scene in &input.scenes {
            for id in [&scene.seller, &scene.enterprise] {
                assert!(input.plan.organisations.iter().any(|planned| planned.id == *id), "{id}");
            }
        }
        assert!(input.scenes.iter().any(|scene| scene.personal_buyer));
    }

    #[test]
    fn one_reference_is_played_once() {
        let (_directory, path) = written(samples::all()[0].json);
        let failure = read(&[path.clone(), path]).unwrap_err();
        assert_eq!(failure.exit(), Exit::Usage);
        assert!(failure.to_string().contains("SAMPLE-0001"), "{failure}");
    }

    #[test]
    fn a_reversal_is_refused_as_what_it_is() {
        let (_directory, path) = written(
            r#"{"reverse_reason":"r","fapiao_information":[{"fapiao_id":"1","fapiao_code":"044001911211","fapiao_number":"12897794"}]}"#,
        );
        let failure = read(&[path]).unwrap_err();
        assert_eq!(failure.exit(), Exit::Usage);
        assert!(failure.to_string().contains("a request to reverse fapiao"), "{failure}");
    }

    #[test]
    fn what_is_no_invoice_at_all_is_refused() {
        let (_directory, path) = written("{}");
        assert_eq!(read(&[path]).unwrap_err().exit(), Exit::Usage);
    }
}
