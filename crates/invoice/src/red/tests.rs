//! Red letters, in parts and in full.

use proptest::prelude::*;

use super::*;
use crate::samples;

/// A hotel stay: two lines of goods, a discount on the first, two rates.
fn hotel() -> Document {
    Document::parse(samples::all()[1].json.as_bytes()).unwrap()
}

fn part(line: u32, fen: i64) -> Part {
    Part { line, net: Amount::from_fen(fen) }
}

/// Why a red letter was refused, without the amounts.
fn name(refused: &Refused) -> &'static str {
    match refused {
        Refused::Nothing => "nothing",
        Refused::NoSuchLine { .. } => "no such line",
        Refused::LineOrder { .. } => "line order",
        Refused::LineExceeded { .. } => "line exceeded",
        Refused::TotalExceeded => "total exceeded",
        Refused::Overflow => "overflow",
    }
}

/// What is left after these red letters, or the first refusal.
fn take_all(blue: &Document, letters: &[&[Part]]) -> Result<Reversed, &'static str> {
    let mut reversed = Reversed::default();
    for parts in letters {
        reversed = reversed.take(blue, parts).map_err(|refused| name(&refused))?.1;
    }
    Ok(reversed)
}

#[test]
fn a_full_red_letter_is_the_opposite_of_the_blue() {
    for sample in samples::all() {
        let blue = Document::parse(sample.json.as_bytes()).unwrap();
        let untouched = Reversed::default();
        assert_eq!(untouched.extent(&blue), Extent::Untouched);
        let (amounts, after) = untouched.take(&blue, &untouched.rest(&blue).unwrap()).unwrap();
        assert_eq!(after.extent(&blue), Extent::Full);
        assert_eq!(amounts.totals.net, blue.totals.net.checked_neg().unwrap());
        assert_eq!(amounts.totals.tax, blue.totals.tax.checked_neg().unwrap());
        assert_eq!(amounts.totals.gross, blue.totals.gross.checked_neg().unwrap());
        let blue_by_rate = blue.totals_by_rate().unwrap();
        for (red, of_blue) in amounts.by_rate.iter().zip(&blue_by_rate) {
            assert_eq!((red.treatment, red.net.checked_neg()), (of_blue.treatment, Ok(of_blue.net)));
            assert_eq!(red.tax.checked_neg(), Ok(of_blue.tax));
        }
        assert_eq!(amounts.by_rate.len(), blue_by_rate.len());
        assert_eq!(after.take(&blue, &after.rest(&blue).unwrap()), Err(Refused::Nothing));
    }
}

#[test]
fn several_red_letters_take_no_more_than_the_line() {
    let blue = hotel();
    let left = blue.lines[0].net.fen() - 20_000;
    assert_eq!(take_all(&blue, &[&[part(0, 20_000)]]).unwrap().extent(&blue), Extent::Part);
    assert_eq!(take_all(&blue, &[&[part(0, 20_000)], &[part(0, left + 1)]]), Err("line exceeded"));
    assert_eq!(take_all(&blue, &[&[part(0, -1)]]), Err("line exceeded"));
    assert_eq!(take_all(&blue, &[&[part(0, i64::MIN)]]), Err("line exceeded"));
}

#[test]
fn lines_are_named_once_in_order_and_with_an_amount() {
    let blue = hotel();
    assert_eq!(take_all(&blue, &[&[]]), Err("nothing"));
    assert_eq!(take_all(&blue, &[&[part(0, 0)]]), Err("nothing"));
    assert_eq!(take_all(&blue, &[&[part(99, 1)]]), Err("no such line"));
    assert_eq!(take_all(&blue, &[&[part(0, 1), part(0, 1)]]), Err("line order"));
}

#[test]
fn goods_are_not_taken_back_in_total_while_a_discount_stays() {
    let blue = hotel();
    assert!(blue.lines[1].discount);
    let discount = part(1, blue.lines[1].net.fen());
    assert_eq!(take_all(&blue, &[&[discount]]), Err("total exceeded"));
    let goods: Vec<Part> =
        Reversed::default().rest(&blue).unwrap().into_iter().filter(|part| !part.net.is_negative()).collect();
    assert_eq!(take_all(&blue, &[&goods]), Err("total exceeded"));
    let mut but_the_discount = goods;
    but_the_discount[0].net = but_the_discount[0].net.checked_add(blue.lines[1].net).unwrap();
    assert_eq!(take_all(&blue, &[&but_the_discount]), Err("total exceeded"), "the rest would come to nothing");
}

#[test]
fn a_line_without_tax_is_taken_back_without_tax() {
    let blue = Document::parse(samples::all()[2].json.as_bytes()).unwrap();
    let line = (0_u32..).zip(&blue.lines).find(|(_, line)| line.tax_amount.is_zero()).unwrap().0;
    let (amounts, _) = Reversed::default().take(&blue, &[part(line, 100)]).unwrap();
    assert_eq!(amounts.totals.tax, Amount::ZERO);
}

proptest! {
    #[test]
    fn parts_never_go_beyond_the_blue_and_their_tax_sums_to_its_tax(
        wanted in prop::collection::vec((0_u32..4, -20_000_i64..90_000), 1..30),
    ) {
        let blue = hotel();
        let mut reversed = Reversed::default();
        let (mut net, mut tax) = (0, 0);
        let mut letters: Vec<Vec<Part>> = wanted.into_iter().map(|(line, fen)| vec![part(line, fen)]).collect();
        letters.push(Vec::new());
        for mut parts in letters {
            if parts.is_empty() {
                parts = reversed.rest(&blue).unwrap();
            }
            if let Ok((amounts, after)) = reversed.take(&blue, &parts) {
                net -= amounts.totals.net.fen();
                tax -= amounts.totals.tax.fen();
                prop_assert!(net <= blue.totals.net.fen() && tax <= blue.totals.tax.fen());
                reversed = after;
            }
        }
        if reversed.extent(&blue) == Extent::Full {
            prop_assert_eq!((net, tax), (blue.totals.net.fen(), blue.totals.tax.fen()));
        }
    }
}
