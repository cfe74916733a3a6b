//! Documents: what a seller of the consortium says about one sale on one day.

use std::sync::Arc;

use chain::identity::OrganisationId;
use invoice::amount::Amount;
use invoice::date::Date;
use invoice::decimal::Decimal;
use invoice::digest::Digest;
use invoice::document::{Buyer, Document, Line, Party, Person, Profile, Totals};
use invoice::rate::{Rate, RateTable, TaxTreatment};

use crate::consortium::{Consortium, Enterprise};
use crate::dice::{Dice, Throw};
use crate::names;
use crate::trade::{Item, Trade};

/// Natural persons who buy.
const PERSONS: i64 = 400_000;
/// Enterprises that buy and are not on the ledger.
const OUTSIDERS: i64 = 60_000;
/// Regions of taxpayer ids of enterprises that are not on the ledger.
const ELSEWHERE: [&str; 5] = ["310000", "110000", "330100", "350100", "510100"];

/// A day without any tax rate: nothing can be sold on it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no tax rate of the rules is in force on {date}")]
pub struct NoRates {
    /// The day.
    pub date: Date,
}

/// What is sold in a consortium on one day, under a name that keeps references and nonces apart from those of other runs.
///
/// Cheap to clone. Everything it gives depends on seed, shape, run, day and number alone.
#[derive(Clone, Debug)]
pub struct Workload {
    pub(crate) consortium: Arc<Consortium>,
    pub(crate) run: Arc<str>,
    date: Date,
    rates: Arc<RateTable>,
}

impl Workload {
    /// The sales of a day. `run` is 1 to 24 of `a-z A-Z 0-9 -`: it leads every reference and nonce, so that the same seed
    /// can load a chain twice. Rates are those of the default rules.
    ///
    /// # Errors
    /// When no tax rate is in force on the day.
    pub fn new(consortium: Arc<Consortium>, run: &str, date: Date) -> Result<Self, NoRates> {
        let rates = RateTable::default();
        if rates.in_force(date).is_empty() {
            return Err(NoRates { date });
        }
        Ok(Self { consortium, run: run.into(), date, rates: Arc::new(rates) })
    }

    /// The consortium.
    pub fn consortium(&self) -> &Consortium {
        &self.consortium
    }

    /// The day.
    pub const fn date(&self) -> Date {
        self.date
    }

    /// The document of that number, of any seller.
    pub fn document(&self, number: u64) -> Document {
        let mut dice = self.dice(number);
        let seller = self.consortium.by_size.draw(&mut dice);
        self.sale(&mut dice, seller, number)
    }

    /// The document of that number, of a seller that the issuer signs for; none when it signs for nobody.
    pub fn document_by(&self, issuer: &OrganisationId, number: u64) -> Option<Document> {
        let clients = self.consortium.clients.get(issuer).filter(|clients| !clients.sellers.is_empty())?;
        let mut dice = self.dice(number);
        let seller = clients.sellers[clients.weights.draw(&mut dice)];
        Some(self.sale(&mut dice, seller, number))
    }

    fn dice(&self, number: u64) -> Dice {
        Dice::new(self.consortium.seed(), Throw::Document, number)
    }

    fn sale(&self, dice: &mut Dice, seller: usize, number: u64) -> Document {
        let seller = &self.consortium.sellers[seller];
        let trade = seller.trade;
        let buyer = self.buyer(dice, trade);
        let organisation = matches!(buyer, Buyer::Organisation(_));
        let mut lines = Vec::new();
        let sold = if dice.per_mille(600) { 1 } else { dice.skewed(1, trade.lines_max) };
        for _ in 0..sold {
            self.sell(dice, seller, &mut lines);
        }
        let taxed = lines.iter().all(|line: &Line| line.tax != TaxTreatment::Exempt);
        let profile = match dice.below(100) {
            0..70 => Profile::BlockchainOrdinary,
            // Special invoices are for enterprises and taxed sales.
            70..85 if organisation && taxed => Profile::DigitalSpecial,
            _ => Profile::DigitalOrdinary,
        };
        let sum = |of: fn(&Line) -> Amount| {
            Amount::checked_sum(lines.iter().map(of)).expect("lines are far below what an amount holds")
        };
        let (net, tax) = (sum(|line| line.net), sum(|line| line.tax_amount));
        let gross = net.checked_add(tax).expect("totals are far below what an amount holds");
        Document {
            profile,
            reference: format!("{}-{number}", self.run),
            seller: seller.party.clone(),
            buyer,
            lines,
            totals: Totals { net, tax, gross },
            payment_ref: dice.per_mille(200).then(|| Digest::of(&number.to_be_bytes())),
            remark: dice.per_mille(80).then(|| format!("订单{:08}", dice.below(100_000_000))),
            attachment: None,
        }
    }

    fn buyer(&self, dice: &mut Dice, trade: &Trade) -> Buyer {
        if dice.per_mille(trade.persons_per_mille) {
            return Buyer::Person(Person { id: format!("p-{:06}", dice.skewed(0, PERSONS)) });
        }
        // Three of four enterprises that buy are on the ledger and reimburse there.
        if dice.per_mille(750) {
            let buyer = self.consortium.buyers_by_size.draw(dice);
            return Buyer::Organisation(self.consortium.buyers[buyer].party.clone());
        }
        let number = dice.skewed(0, OUTSIDERS).unsigned_abs();
        let region = ELSEWHERE[usize::try_from(number % 5).expect("a remainder of five")];
        Buyer::Organisation(Party {
            name: format!("示例企业{number}有限公司"),
            taxpayer_id: names::taxpayer_id(region, "XX", number),
            address: None,
            phone: None,
            bank: None,
            account: None,
        })
    }

    /// Adds a line, and now and then its discount.
    fn sell(&self, dice: &mut Dice, seller: &Enterprise, lines: &mut Vec<Line>) {
        let item = dice.pick(seller.trade.items);
        let tax = item.levy.treatment(&self.rates, self.date, seller.small_scale);
        let mut line = Line {
            name: item.name.to_owned(),
            tax_code: item.tax_code.to_owned(),
            specification: (!item.models.is_empty()).then(|| (*dice.pick(item.models)).to_owned()),
            unit: item.unit.map(str::to_owned),
            quantity: None,
            unit_price: None,
            net: Amount::ZERO,
            tax,
            tax_amount: Amount::ZERO,
            discount: false,
            preferential: (tax == TaxTreatment::Exempt).then(|| "免税".to_owned()),
        };
        price(dice, item, &mut line);
        let discount = dice.per_mille(seller.trade.discounts_per_mille).then(|| discount(dice, &line)).flatten();
        lines.push(line);
        lines.extend(discount);
    }
}

/// Fills in quantity, price, net and tax.
fn price(dice: &mut Dice, item: &Item, line: &mut Line) {
    let price_fen = dice.skewed(item.price_fen.0, item.price_fen.1);
    if item.unit.is_none() && dice.per_mille(500) {
        // Priced with its tax, as on a bill: the net follows.
        let gross = Amount::from_fen(price_fen);
        (line.net, line.tax_amount) = match line.tax.rate() {
            Some(rate) => rate.split_gross(gross).expect("prices are far below what an amount holds"),
            None => (gross, Amount::ZERO),
        };
        return;
    }
    if item.unit.is_none() {
        line.net = Amount::from_fen(price_fen);
    } else {
        let scale = 10_i64.pow(item.quantity_decimals);
        let quantity = decimal(dice.skewed(scale, item.quantity_max * scale), item.quantity_decimals);
        let unit_price = decimal(price_fen, 2);
        let (product, scale) = quantity.product(unit_price);
        line.net = Amount::try_from_fen(rounded(product * 100, 10_i128.pow(scale))).expect("far below what fits");
        (line.quantity, line.unit_price) = (Some(quantity), Some(unit_price));
    }
    line.tax_amount = tax_on(line.net, line.tax);
}

/// A discount on a line; none on one too small for it.
fn discount(dice: &mut Dice, line: &Line) -> Option<Line> {
    // One in fifty is a gift: all of it, to the fen.
    let (net, tax_amount) = if dice.per_mille(20) {
        (line.net, line.tax_amount)
    } else {
        let off =
            Amount::try_from_fen(rounded(i128::from(line.net.fen()) * i128::from(dice.between(2, 40)), 100)).ok()?;
        (off, tax_on(off, line.tax))
    };
    let minus = |amount: Amount| amount.checked_neg().ok();
    (!net.is_zero()).then_some(())?;
    Some(Line {
        quantity: None,
        unit_price: None,
        unit: None,
        specification: None,
        net: minus(net)?,
        tax_amount: minus(tax_amount)?,
        discount: true,
        ..line.clone()
    })
}

fn tax_on(net: Amount, tax: TaxTreatment) -> Amount {
    let exact = |rate: Rate| i128::from(net.fen()) * i128::from(rate.ten_thousandths());
    let tax = tax.rate().map_or(0, |rate| rounded(exact(rate), i128::from(Rate::WHOLE)));
    Amount::try_from_fen(tax).expect("a tax is at most its net")
}

/// A quotient of numbers that are not negative, to the nearest, halves up.
fn rounded(value: i128, by: i128) -> i128 {
    (value * 2 + by) / (by * 2)
}

fn decimal(mantissa: i64, scale: u32) -> Decimal {
    Decimal::new(i128::from(mantissa), scale).expect("prices and quantities of the trades are short")
}
