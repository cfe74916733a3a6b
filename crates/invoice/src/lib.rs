//! The `invoice` room: what an e-invoice says and whether it may be issued.
//!
//! It owns the document, amounts, tax rates, taxpayer and invoice identifiers, the rules a document must keep and the
//! attachment that holds the personal fields. It does not know who may do what, where documents are kept or what time it
//! is: dates and parameters are handed in.
//!
//! Invariant: everything here is a pure function of its arguments, because every validator must reach the same verdict.
//! No clock, files, randomness or floats; all arithmetic on money is checked or done in 128 bits.

pub mod amount;
pub mod attachment;
pub mod check_code;
pub mod correction;
pub mod date;
pub mod decimal;
pub mod digest;
pub mod document;
pub mod draft;
pub mod error;
pub mod id;
pub mod lifecycle;
pub mod rate;
pub mod red;
pub mod rules;
pub mod samples;
pub mod taxpayer;
mod text;
mod validate;
mod view;
pub mod violation;
pub mod wechat;

pub use amount::Amount;
pub use attachment::{Attachment, Personal};
pub use check_code::check_code;
pub use date::{Date, Period};
pub use decimal::Decimal;
pub use digest::Digest;
pub use document::{Buyer, Document, Line, Party, Person, Profile, RateTotal, Totals};
pub use draft::{Draft, Examined, examine};
pub use error::Error;
pub use id::{DigitalNumber, InvoiceCode, InvoiceId, InvoiceNumber};
pub use rate::{Rate, RateTable, TaxTreatment};
pub use rules::Rules;
pub use taxpayer::{TaxpayerId, TaxpayerKind};
pub use text::gbk_len;
pub use violation::{Validation, Violation};
