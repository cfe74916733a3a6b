//! The edge cases that the trade knows, and the test that plays each.

use crate::findings::Finding;
use crate::tree::Tree;

/// What may go wrong; the file and the name of the test in it.
const EDGES: &[(&str, &str, &str)] = &[
    (
        "two platforms lock an invoice in one block",
        "crates/ledger/src/tests/reimbursement.rs",
        "of_two_locks_in_one_block_the_first_wins_and_the_second_learns_who_and_until_when",
    ),
    (
        "the platform that holds a lock dies",
        "crates/ledger/src/tests/reimbursement.rs",
        "a_lease_that_has_ended_is_open_by_itself_and_its_token_is_stale",
    ),
    (
        "a red letter while the invoice is locked",
        "crates/ledger/src/tests/red.rs",
        "a_lock_goes_on_for_what_is_left_and_ends_with_the_last_of_it",
    ),
    (
        "a red letter after the reimbursement is closed",
        "crates/ledger/src/tests/red.rs",
        "what_was_reimbursed_and_then_taken_back_is_marked_for_a_claw_back",
    ),
    (
        "a red letter of a red letter",
        "crates/ledger/src/tests/red.rs",
        "a_red_letter_of_a_red_letter_is_refused_and_nothing_else_becomes_of_one",
    ),
    (
        "a void across midnight, UTC+8, of the month's end",
        "crates/ledger/src/tests/edges.rs",
        "a_void_signed_before_midnight_and_ordered_after_it_is_too_late",
    ),
    (
        "a quota at the turn of the month with an issue under way",
        "crates/ledger/src/tests/quotas.rs",
        "a_statement_under_way_at_the_turn_of_the_month_is_the_new_months",
    ),
    (
        "a key revoked between signing and ordering",
        "crates/ledger/src/tests/keys.rs",
        "a_key_revoked_between_signing_and_ordering_signs_nothing_from_the_next_block_on",
    ),
    ("a number with leading zeros", "crates/invoice/src/id.rs", "leading_zeros_are_kept"),
    (
        "one invoice as number, as details and as either form of QR code",
        "crates/api/src/tests/checks.rs",
        "number_details_and_either_form_of_the_qr_code_are_one_invoice_that_is_claimed_once",
    ),
    (
        "a seller renamed after the issue",
        "crates/ledger/src/tests/renamed.rs",
        "a_renamed_seller_changes_nothing_behind_and_issues_under_its_new_name",
    ),
    (
        "a seller's taxpayer id changed after the issue",
        "crates/ledger/src/tests/renamed.rs",
        "a_renumbered_seller_issues_under_its_new_id_and_takes_back_what_it_issued_under_the_old",
    ),
    (
        "a person buys, then an enterprise reimburses",
        "crates/ledger/src/tests/edges.rs",
        "what_a_person_bought_is_reimbursed_by_the_employer_it_was_handed_to_and_by_nobody_else",
    ),
    (
        "the rate changes between signature and issue",
        "crates/ledger/src/tests/edges.rs",
        "a_rate_is_one_of_the_day_of_issue_which_is_the_blocks_and_not_the_signatures",
    ),
    (
        "the rate changes between an invoice and its red letter",
        "crates/ledger/src/tests/edges.rs",
        "the_blues_rate_is_the_red_letters_whatever_the_calendar_says",
    ),
    (
        "zero-rated, exempt and not taxable",
        "crates/invoice/src/validate/tests.rs",
        "exempt_and_zero_rated_lines_have_no_tax_and_a_zero_rate_is_a_mark",
    ),
    (
        "a total of zero after a discount",
        "crates/invoice/src/validate/tests.rs",
        "a_total_of_zero_after_a_full_discount_is_allowed",
    ),
    (
        "lengths in GBK and in UTF-8",
        "crates/invoice/src/validate/tests.rs",
        "names_are_measured_in_gbk_bytes_and_other_texts_in_characters",
    ),
    (
        "8 and 20 digits that spell the same number",
        "crates/ledger/src/tests/edges.rs",
        "eight_digits_under_a_code_and_twenty_digits_never_meet",
    ),
    (
        "a check code is guessed",
        "crates/api/src/tests/checks.rs",
        "after_five_mismatches_an_invoice_is_closed_for_the_day_but_not_for_its_qr_code",
    ),
    (
        "a check on the day of issue, before the node has the block",
        "crates/api/src/tests/checks.rs",
        "a_check_before_the_node_knows_the_invoice_says_up_to_which_block_it_looked",
    ),
];

/// Edge cases whose test is not there.
pub(crate) fn untested(tree: &Tree) -> Vec<Finding> {
    let stands = |file: &str, test: &str| {
        let text = tree.rust().find(|rust| rust.path == file).map_or("", |rust| rust.text.as_str());
        let mut lines = text.lines().map(str::trim);
        let head = format!("fn {test}() {{");
        let mut before = "";
        lines.any(|line| {
            let found = before == "#[test]" && line == head;
            before = line;
            found
        })
    };
    let missing = EDGES.iter().filter(|(_, file, test)| !stands(file, test));
    missing.map(|(edge, file, test)| Finding::new(file, 1, format!("no test {test}: {edge}"))).collect()
}
