//! Quotas: of the public check per address and minute, and per invoice, and organisation, and day; of calls per
//! organisation and second.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard};

use chain::identity::OrganisationId;
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::connections::network;
use crate::options::{GrpcOptions, Options};
use crate::problem::Problem;
use crate::service::keyed_hash;
use crate::shares::{Share, Shares};
use crate::turns::Name;

/// Addresses remembered; beyond, those that have been quiet are forgotten, and then the door closes.
const ADDRESSES_MAX: usize = 100_000;

/// Counters of mismatches. Two invoices share one only by chance that nobody outside can arrange.
const SLOTS: usize = 1 << 20;

/// Quotas of the public check.
pub(crate) struct Quotas {
    addresses: DefaultKeyedRateLimiter<IpAddr>,
    clock: DefaultClock,
    mismatches_max: u8,
    own_mismatches_max: u32,
    secret: [u8; 32],
    mismatches: Mutex<Mismatches>,
}

struct Mismatches {
    /// The day (UTC+8, since 1970) that is being counted.
    day: i64,
    slots: Vec<u8>,
    /// Those of organisations: there are as many as the ledger has.
    own: BTreeMap<OrganisationId, u32>,
}

/// Why no more may be guessed on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spent {
    /// The invoice was asked for with wrong details too often.
    Invoice,
    /// The organisation has asked with wrong details too often, whichever the invoices: else it could close all of them
    /// to everybody.
    Organisation,
}

impl Quotas {
    /// Quotas as configured; `secret` decides which counter is whose.
    pub(crate) fn new(options: &Options, secret: [u8; 32]) -> Self {
        let a_minute = NonZeroU32::new(options.verifications_a_minute).unwrap_or(NonZeroU32::MIN);
        Self {
            addresses: RateLimiter::keyed(Quota::per_minute(a_minute)),
            clock: DefaultClock::default(),
            mismatches_max: options.mismatches_an_invoice_and_day,
            own_mismatches_max: options.mismatches_an_organisation_and_day,
            secret,
            mismatches: Mutex::new(Mismatches { day: 0, slots: vec![0; SLOTS], own: BTreeMap::new() }),
        }
    }

    /// Counts a check by an address.
    ///
    /// # Errors
    /// After how many seconds to come back.
    pub(crate) fn check_address(&self, address: IpAddr) -> Result<(), u64> {
        const RETRY_S: u64 = 60;
        if self.addresses.len() >= ADDRESSES_MAX {
            self.addresses.retain_recent();
            if self.addresses.len() >= ADDRESSES_MAX {
                return Err(RETRY_S);
            }
        }
        self.addresses.check_key(&network(address)).map_err(|until| {
            let wait = until.wait_time_from(self.clock.now());
            wait.as_secs().saturating_add(1)
        })
    }

    fn slot(&self, invoice: &str) -> usize {
        let hash = keyed_hash(&self.secret, &[invoice.as_bytes()]);
        let [a, b, c, ..] = hash;
        usize::from(a & 0x0f) << 16 | usize::from(b) << 8 | usize::from(c)
    }

    /// Counts a mismatch of an invoice, real or not, and of who asks, if that is known, on a day before it is known to be
    /// one: whoever asks at the same time must find it counted.
    ///
    /// # Errors
    /// When no more may be guessed; then nothing was counted.
    pub(crate) fn reserve(&self, invoice: &str, by: Option<&OrganisationId>, day: i64) -> Result<(), Spent> {
        let slot = self.slot(invoice);
        let mut mismatches = self.mismatches();
        // Requests that overtake each other at midnight must not clear the counters twice.
        if mismatches.day < day {
            mismatches.day = day;
            mismatches.slots.fill(0);
            mismatches.own.clear();
        }
        // First the own share: whoever has spent it takes nothing from an invoice.
        let own = by.map_or(0, |by| mismatches.own.get(by).copied().unwrap_or(0));
        if by.is_some() && own >= self.own_mismatches_max {
            return Err(Spent::Organisation);
        }
        if mismatches.slots[slot] >= self.mismatches_max {
            return Err(Spent::Invoice);
        }
        mismatches.slots[slot] += 1;
        if let Some(by) = by {
            mismatches.own.insert(by.clone(), own + 1);
        }
        Ok(())
    }

    /// Takes back what was counted: it was no mismatch.
    pub(crate) fn give_back(&self, invoice: &str, by: Option<&OrganisationId>, day: i64) {
        let slot = self.slot(invoice);
        let mut mismatches = self.mismatches();
        if mismatches.day != day {
            return;
        }
        mismatches.slots[slot] = mismatches.slots[slot].saturating_sub(1);
        if let Some(own) = by.and_then(|by| mismatches.own.get_mut(by)) {
            *own = own.saturating_sub(1);
        }
    }

    fn mismatches(&self) -> MutexGuard<'_, Mismatches> {
        self.mismatches.lock().expect("nothing panics while it holds the counters")
    }
}

/// Calls of the gRPC door: how many one may begin in a second, and how many may be under way.
pub(crate) struct CallQuotas {
    begun: DefaultKeyedRateLimiter<Name>,
    clock: DefaultClock,
    a_second_max: u32,
    under_way: Arc<Shares<Name>>,
    strangers: Arc<Shares<()>>,
    refused: Arc<Shares<()>>,
}

/// Calls at most of which it is not known yet whose they are: from their head until their login holds. What they hold
/// nobody can be asked to answer for.
const STRANGERS_MAX: usize = 4_096;

/// Calls at most that are being refused while their message still comes in.
const REFUSED_MAX: usize = 1_024;

impl CallQuotas {
    pub(crate) fn new(options: &GrpcOptions) -> Self {
        let a_second = NonZeroU32::new(options.calls_a_second_max).unwrap_or(NonZeroU32::MIN);
        // What there is in all is bounded by connections, each with so many calls.
        let all = options.connections_max.saturating_mul(usize::try_from(options.calls_a_connection_max).unwrap_or(1));
        Self {
            begun: RateLimiter::keyed(Quota::per_second(a_second)),
            clock: DefaultClock::default(),
            a_second_max: a_second.get(),
            under_way: Shares::new(all.max(1), options.calls_an_organisation_max.max(1)),
            strangers: Shares::new(STRANGERS_MAX, STRANGERS_MAX),
            refused: Shares::new(REFUSED_MAX, REFUSED_MAX),
        }
    }

    /// Takes in a call of which it is not known yet whose it is, until the share is dropped.
    pub(crate) fn stranger(&self) -> Result<Share<()>, Problem> {
        self.strangers.take((), 1).map_err(|_| {
            let expected = format!("at most {STRANGERS_MAX} calls that are not logged in yet");
            Problem::new("node.calls-full").at("", expected, "more")
        })
    }

    /// Begins a call in somebody's name. It is under way until the share is dropped.
    pub(crate) fn begin(&self, name: &Name) -> Result<Share<Name>, Problem> {
        if self.begun.len() >= ADDRESSES_MAX {
            self.begun.retain_recent();
            if self.begun.len() >= ADDRESSES_MAX {
                return Err(self.too_many(1));
            }
        }
        self.begun
            .check_key(name)
            .map_err(|until| self.too_many(until.wait_time_from(self.clock.now()).as_secs().saturating_add(1)))?;
        self.under_way.take(name.clone(), 1).map_err(|_| {
            let expected = format!("at most {} calls at once", self.under_way.one_max());
            Problem::new("organisation.calls-full").at("", expected, "more")
        })
    }

    fn too_many(&self, retry_s: u64) -> Problem {
        let expected = format!("at most {} calls a second", self.a_second_max);
        Problem::new("organisation.rate").at("", expected, "more").retry_after(retry_s)
    }

    /// A place for a call that is refused while its message still comes in, as long as there is one.
    pub(crate) fn refuse(&self) -> Option<Share<()>> {
        self.refused.take((), 1).ok()
    }

    /// How many are under way.
    #[cfg(test)]
    pub(crate) fn under_way(&self) -> usize {
        self.under_way.taken()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_its_calls_a_second_and_at_once_and_others_theirs() {
        let options = GrpcOptions { calls_a_second_max: 3, calls_an_organisation_max: 2, ..GrpcOptions::default() };
        let calls = CallQuotas::new(&options);
        let name = |last: u8| Name::Address(IpAddr::from([10, 0, 0, last]));
        let code = |begun: Result<Share<Name>, Problem>| begun.map(|_| ()).unwrap_err().code().to_owned();
        let held = [calls.begin(&name(1)).unwrap(), calls.begin(&name(1)).unwrap()];
        assert_eq!(code(calls.begin(&name(1))), "organisation.calls-full");
        assert_eq!(code(calls.begin(&name(1))), "organisation.rate");
        drop(calls.begin(&name(2)).unwrap());
        drop(held);
        assert_eq!(calls.under_way(), 0);
    }

    #[test]
    fn an_invoice_has_five_mismatches_a_day() {
        let quotas = Quotas::new(&Options::default(), [7; 32]);
        for _ in 0..5 {
            quotas.reserve("a", None, 1).unwrap();
        }
        assert_eq!(quotas.reserve("a", None, 1), Err(Spent::Invoice));
        quotas.reserve("b", None, 1).unwrap();
        quotas.give_back("a", None, 1);
        assert_eq!((quotas.reserve("a", None, 1), quotas.reserve("a", None, 1)), (Ok(()), Err(Spent::Invoice)));
        quotas.reserve("a", None, 2).unwrap();
        quotas.give_back("a", None, 1);
        let granted = (2..=6).filter(|_| quotas.reserve("a", None, 2).is_ok());
        assert_eq!(granted.count(), 4, "an older day gives nothing back");
    }

    #[test]
    fn an_organisation_has_its_mismatches_a_day_and_takes_nothing_from_an_invoice_beyond() {
        let options = Options { mismatches_an_organisation_and_day: 7, ..Options::default() };
        let quotas = Quotas::new(&options, [7; 32]);
        let ids = ["one", "two"].map(|name| OrganisationId::new(name).unwrap());
        let reserve = |invoice: &str, by: usize, day: i64| quotas.reserve(invoice, Some(&ids[by]), day);
        for _ in 0..5 {
            reserve("a", 0, 1).unwrap();
        }
        assert_eq!(reserve("a", 0, 1), Err(Spent::Invoice), "which costs the organisation nothing");
        for invoice in ["b", "c"] {
            reserve(invoice, 0, 1).unwrap();
        }
        assert_eq!(reserve("d", 0, 1), Err(Spent::Organisation));
        assert_eq!((0..9).filter(|_| reserve("d", 1, 1).is_ok()).count(), 5, "nothing was taken from it");
        quotas.give_back("c", Some(&ids[0]), 1);
        assert_eq!((reserve("e", 0, 1), reserve("e", 0, 1)), (Ok(()), Err(Spent::Organisation)));
        reserve("a", 0, 2).unwrap();
        quotas.give_back("b", Some(&ids[0]), 1);
        assert_eq!((0..9).filter(|number| reserve(&format!("f{number}"), 0, 2).is_ok()).count(), 6);
    }

    #[test]
    fn checks_at_the_same_time_share_the_day() {
        let quotas = Quotas::new(&Options::default(), [7; 32]);
        let granted: usize = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..20).map(|_| scope.spawn(|| usize::from(quotas.reserve("a", None, 1).is_ok()))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(granted, 5);
    }

    #[test]
    fn an_address_has_its_checks_a_minute_and_ipv6_counts_by_network() {
        let quotas = Quotas::new(&Options { verifications_a_minute: 2, ..Options::default() }, [7; 32]);
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(quotas.check_address(address("2001:db8::1")).is_ok());
        assert!(quotas.check_address(address("2001:db8::2")).is_ok());
        assert!(quotas.check_address(address("2001:db8::3")).unwrap_err() <= 61);
        assert!(quotas.check_address(address("::ffff:127.0.0.1")).is_ok());
        assert!(quotas.check_address(address("127.0.0.1")).is_ok());
        assert!(quotas.check_address(address("127.0.0.1")).is_err());
        assert!(quotas.check_address(address("127.0.0.2")).is_ok());
    }
}
