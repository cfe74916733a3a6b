//! Tests of the rules, event by event.

mod admission;
mod evidence;
mod filing;
mod golden;
mod issue;
mod random;
mod reimbursement;
mod table;
