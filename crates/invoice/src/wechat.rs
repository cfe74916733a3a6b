//! Invoices from WeChat Pay fapiao applications, the JSON that merchants send today.
//!
//! Two shapes exist: an older one with an array of fapiao, and the ones for fully digital invoices (general, leasing,
//! passengers, fuel) with a single object. Amounts in them are whole fen with tax, quantities and unit prices (in yuan) are
//! scaled by 10^8, rates by 10^4. They name no seller, so the caller does. Fields that we do not know are left alone, since
//! the format is not ours; numbers are read exactly or not at all.
//!
//! Nothing here judges a document: a stated total that is not the sum of its lines is carried over, for the rules to
//! refuse, unless the caller asks for [`TotalsFrom::Lines`]. Personal fields never enter the document.

mod line;
mod source;

use sha2::{Digest as _, Sha256};

use crate::amount::Amount;
use crate::attachment::{Attachment, Detail, Personal};
use crate::document::{Buyer, Document, Line, Party, Person, Profile, Totals};
use crate::error::Error;
use crate::taxpayer;
use crate::violation::{Violation, rule};

use source::Cursor;
pub use source::{CODES, ConvertError, Kind};

/// Most fapiao in one application.
const FAPIAO_MAX: usize = 5;
/// Leads what is hashed into a person's id.
const PERSON_TAG: &[u8] = b"einvoice-wechat-person-1";

/// Where the gross total of a converted document comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TotalsFrom {
    /// From the application, right or wrong; the totals rule decides.
    #[default]
    Stated,
    /// From the lines, whatever the application says. An explicit choice of the caller.
    Lines,
}

/// What an application leaves open.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    /// Who sells.
    pub seller: &'a Party,
    /// The profile; when none, it follows from the bill type: `VAT_FAPIAO` is digital special, `COMM_FAPIAO` is digital
    /// ordinary, and an application without a bill type is of the older kind, blockchain ordinary.
    pub profile: Option<Profile>,
    /// Where the totals come from.
    pub totals: TotalsFrom,
    /// Secret bytes that go into the opaque id of a person, so that nobody can compute it from the application's number.
    pub person_salt: &'a [u8],
}

/// One fapiao of an application in our terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Converted {
    /// The document, without an attachment.
    pub document: Document,
    /// What is personal.
    pub personal: Personal,
    /// What is doubtful or was not carried over; paths are JSON pointers into the application.
    pub warnings: Vec<Violation>,
}

impl Converted {
    /// The document with its attachment, if there is anything personal, under this salt.
    ///
    /// The errors of [`Attachment::build`].
    pub fn attach(self, salt: &[u8]) -> Result<(Document, Option<Attachment>), Error> {
        let mut document = self.document;
        if self.personal.is_empty() {
            return Ok((document, None));
        }
        let attachment = Attachment::build(salt, &self.personal)?;
        document.attachment = Some(attachment.hash());
        Ok((document, Some(attachment)))
    }
}

/// What a JSON document is in WeChat Pay's terms; none if it is nothing of theirs.
///
/// [`ConvertError::NotJson`] if it is no JSON, or gives a field twice.
pub fn recognise(json: &[u8]) -> Result<Option<Kind>, ConvertError> {
    Ok(source::kind(&source::read(json)?))
}

/// Converts an application to one document for each fapiao in it.
///
/// [`ConvertError::NotAnApplication`] for a reversal, a query result and the like, and an error with path, expected and
/// actual for a value that is missing or cannot be read.
pub fn convert(json: &[u8], options: &Options<'_>) -> Result<Vec<Converted>, ConvertError> {
    let value = source::read(json)?;
    match source::kind(&value) {
        Some(Kind::Application) => {}
        Some(kind) => return Err(ConvertError::NotAnApplication { kind }),
        None => return Err(ConvertError::Unrecognised),
    }
    let application = Cursor::root(&value);
    let buyer_information = application.required("buyer_information")?;
    let fapiao = application.required("fapiao_information")?.one_or_many()?;
    if fapiao.is_empty() || fapiao.len() > FAPIAO_MAX {
        let actual = format!("{} of them", fapiao.len());
        return Err(ConvertError::unexpected("/fapiao_information", format!("1 to {FAPIAO_MAX} fapiao"), actual));
    }
    let mut converted: Vec<Converted> = Vec::new();
    for one in &fapiao {
        let next = convert_one(one, &application, &buyer_information, options)?;
        // The reference is unique per seller for ever, so a second one in the same application can only be a mistake.
        if converted.iter().any(|earlier| earlier.document.reference == next.document.reference) {
            let path = format!("{}/fapiao_id", one.path());
            return Err(ConvertError::unexpected(path, "an id that no other fapiao has", next.document.reference));
        }
        converted.push(next);
    }
    Ok(converted)
}

fn convert_one(
    fapiao: &Cursor<'_>,
    application: &Cursor<'_>,
    buyer_information: &Cursor<'_>,
    options: &Options<'_>,
) -> Result<Converted, ConvertError> {
    let mut warnings = Vec::new();
    let mut personal = Personal {
        drawer: fapiao.text("billing_person")?.map(str::to_owned),
        drawer_id: fapiao.text("billing_person_id")?.map(str::to_owned),
        ..Personal::default()
    };
    let buyer = buyer(buyer_information, application, options, &mut personal, &mut warnings)?;
    let mut lines = Vec::new();
    for (index, item) in fapiao.required("items")?.many()?.iter().enumerate() {
        lines.push(line::convert(item, &mut warnings)?);
        let facts = line::personal_facts(item)?;
        if !facts.is_empty() {
            let line = u32::try_from(index).map_err(|_| ConvertError::out_of_range(item.path()))?;
            personal.details.push(Detail { line, facts });
        }
    }
    let totals = totals(fapiao, &lines, options.totals)?;
    for field in ["export_business_policy_code", "vat_refund_levy_code"] {
        if let Some(code) = fapiao.integer(field)? {
            let path = format!("{}/{field}", fapiao.path());
            warnings.push(Violation::new(path, rule::SOURCE_UNMAPPED, "a place in the document", code.to_string()));
        }
    }
    personal.validate().map_err(ConvertError::Personal)?;
    let document = Document {
        profile: profile(fapiao, buyer_information, options)?,
        reference: fapiao.required_text("fapiao_id")?.to_owned(),
        seller: options.seller.clone(),
        buyer,
        lines,
        totals,
        payment_ref: None,
        remark: fapiao.text("remark")?.map(str::to_owned),
        attachment: None,
    };
    Ok(Converted { document, personal, warnings })
}

fn profile(
    fapiao: &Cursor<'_>,
    buyer_information: &Cursor<'_>,
    options: &Options<'_>,
) -> Result<Profile, ConvertError> {
    if let Some(profile) = options.profile {
        return Ok(profile);
    }
    for place in [fapiao, buyer_information] {
        match place.text("fapiao_bill_type")? {
            None => {}
            Some("COMM_FAPIAO") => return Ok(Profile::DigitalOrdinary),
            Some("VAT_FAPIAO") => return Ok(Profile::DigitalSpecial),
            Some(other) => {
                let path = format!("{}/fapiao_bill_type", place.path());
                return Err(ConvertError::unexpected(path, "COMM_FAPIAO or VAT_FAPIAO", other));
            }
        }
    }
    Ok(Profile::BlockchainOrdinary)
}

fn buyer(
    information: &Cursor<'_>,
    application: &Cursor<'_>,
    options: &Options<'_>,
    personal: &mut Personal,
    warnings: &mut Vec<Violation>,
) -> Result<Buyer, ConvertError> {
    let owned = |name: &str| -> Result<Option<String>, ConvertError> { Ok(information.text(name)?.map(str::to_owned)) };
    personal.buyer_phone = owned("phone")?;
    personal.buyer_email = owned("email")?;
    personal.buyer_message = owned("user_apply_message")?;
    match information.required_text("type")? {
        "ORGANIZATION" => {
            let text = information.required_text("taxpayer_id")?;
            let path = format!("{}/taxpayer_id", information.path());
            let taxpayer_id = text
                .parse()
                .map_err(|_| ConvertError::unexpected(&path, "15, 17, 18 or 20 capital letters and digits", text))?;
            warnings.extend(taxpayer::check_text(text, &path));
            Ok(Buyer::Organisation(Party {
                name: information.required_text("name")?.to_owned(),
                taxpayer_id,
                address: owned("address")?,
                phone: owned("telephone")?,
                bank: owned("bank_name")?,
                account: owned("bank_account")?,
            }))
        }
        "INDIVIDUAL" => {
            personal.buyer_name = owned("name")?;
            personal.buyer_taxpayer_id = owned("taxpayer_id")?;
            personal.buyer_address = owned("address")?;
            personal.buyer_telephone = owned("telephone")?;
            personal.buyer_bank = owned("bank_name")?;
            personal.buyer_account = owned("bank_account")?;
            let id = person_id(options.person_salt, application.required_text("fapiao_apply_id")?);
            Ok(Buyer::Person(Person { id }))
        }
        other => {
            let path = format!("{}/type", information.path());
            Err(ConvertError::unexpected(path, "INDIVIDUAL or ORGANIZATION", other))
        }
    }
}

/// The opaque id of the person behind an application: the same for every fapiao of it, and a secret's for everybody else.
fn person_id(salt: &[u8], fapiao_apply_id: &str) -> String {
    const ID_BYTES: usize = 16;
    let salt = Sha256::digest(salt);
    let hash = Sha256::new().chain_update(PERSON_TAG).chain_update(salt).chain_update(fapiao_apply_id).finalize();
    hex::encode(&hash[..ID_BYTES])
}

fn totals(fapiao: &Cursor<'_>, lines: &[Line], from: TotalsFrom) -> Result<Totals, ConvertError> {
    let out_of_range = |_| ConvertError::out_of_range(format!("{}/total_amount", fapiao.path()));
    let net = Amount::checked_sum(lines.iter().map(|line| line.net)).map_err(out_of_range)?;
    let tax = Amount::checked_sum(lines.iter().map(|line| line.tax_amount)).map_err(out_of_range)?;
    let gross = match from {
        TotalsFrom::Stated => Amount::from_fen(fapiao.required_integer("total_amount")?),
        TotalsFrom::Lines => net.checked_add(tax).map_err(out_of_range)?,
    };
    Ok(Totals { net, tax, gross })
}

#[cfg(test)]
mod tests;
