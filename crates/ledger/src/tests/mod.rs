//! Tests of the rules, event by event.

mod admission;
mod bookkeeping;
mod contingency;
mod edges;
mod evidence;
mod filing;
mod golden;
mod issue;
mod keys;
mod mandates;
mod manifestation;
mod organisations;
mod payments;
mod quotas;
mod random;
mod red;
mod reimbursement;
mod renamed;
mod table;
