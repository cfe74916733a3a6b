//! Tests of the rules, event by event.

mod admission;
mod filing;
mod issue;
mod reimbursement;
mod table;
