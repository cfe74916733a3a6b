//! The life of an invoice: its axes, and who may do what in which status.
//!
//! The axes are independent, never one enum: an invoice can be closed *and* filed. This module
//! owns the table (status × action × relation); it does not know leases, claims or mandates, which
//! need the ledger's state. `ledger` asks here first and adds those.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// Whether the invoice stands.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
#[borsh(use_discriminant = true)]
pub enum Validity {
    /// It stands as issued.
    Normal = 0,
    /// The seller took it back in the month of issue. Its number is never used again.
    Void = 1,
    /// Red letters took some of it back.
    PartRed = 2,
    /// Red letters took all of it back.
    FullRed = 3,
}

impl Validity {
    /// Every validity, in order.
    pub const ALL: [Validity; 4] = [Validity::Normal, Validity::Void, Validity::PartRed, Validity::FullRed];

    /// The validity, as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Validity::Normal => "normal",
            Validity::Void => "void",
            Validity::PartRed => "part-red",
            Validity::FullRed => "full-red",
        }
    }
}

/// Whether an invoice says that something was sold, or takes that back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sign {
    /// Something was sold.
    Blue,
    /// A red letter: some of a blue invoice is taken back.
    Red,
}

impl Sign {
    /// The sign, as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Sign::Blue => "blue",
            Sign::Red => "red",
        }
    }
}

/// Where the invoice stands between open and reimbursed. An expired lock counts as [`Reimbursement::Open`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reimbursement {
    /// Nobody claims it.
    Open,
    /// A platform holds it for a claim, under a lease.
    Locked,
    /// Reimbursed, once and for all.
    Closed,
}

/// The status the table looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Status {
    /// Whether it is a red letter.
    pub sign: Sign,
    /// Whether it stands.
    pub validity: Validity,
    /// Where its reimbursement stands.
    pub reimbursement: Reimbursement,
    /// Whether the seller has filed the month of issue.
    pub filed: bool,
}

impl Status {
    /// Every status there is, in order; for tables and tests.
    pub fn all() -> impl Iterator<Item = Status> {
        let claims = [Reimbursement::Open, Reimbursement::Locked, Reimbursement::Closed];
        let blue = Validity::ALL.into_iter().flat_map(move |validity| {
            claims.into_iter().map(move |reimbursement| (Sign::Blue, validity, reimbursement))
        });
        // Nothing becomes of a red letter.
        let red = [(Sign::Red, Validity::Normal, Reimbursement::Open)];
        blue.chain(red).flat_map(|(sign, validity, reimbursement)| {
            [false, true].map(|filed| Status { sign, validity, reimbursement, filed })
        })
    }
}

/// What somebody wants to do with an invoice that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Hand it to another holder.
    Transfer,
    /// Lock it for a claim.
    Lock,
    /// Extend the lease of a lock.
    Renew,
    /// Give a lock up.
    Unlock,
    /// Close it: reimbursed.
    Close,
    /// Take it back in the month of issue.
    Void,
    /// End another's lock.
    Override,
    /// Take some or all of it back by a red letter.
    Red,
}

impl Action {
    /// Every action, in order.
    pub const ALL: [Action; 8] = [
        Action::Transfer,
        Action::Lock,
        Action::Renew,
        Action::Unlock,
        Action::Close,
        Action::Void,
        Action::Override,
        Action::Red,
    ];
}

/// What the acting organisation is to the invoice. One organisation may be several of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Relation {
    /// The seller, or a service provider under the seller's mandate to issue.
    Seller,
    /// The same, while the natural person it was issued to holds the invoice: persons have no keys, so
    /// the seller's side hands it on for them. What others gave a person is not the seller's to move.
    SellerForPerson,
    /// The organisation that holds the invoice, or its platform under a mandate to lock.
    Holder,
    /// The platform whose claim the newest lock or the close is, or one that could lock under the holder's
    /// mandate. Whether the lock in force is its own, under that claim and token, is the ledger's to check.
    Claimant,
    /// The tax bureau.
    TaxBureau,
    /// Anybody else.
    Stranger,
}

impl Relation {
    /// Every relation, in order.
    pub const ALL: [Relation; 6] = [
        Relation::Seller,
        Relation::SellerForPerson,
        Relation::Holder,
        Relation::Claimant,
        Relation::TaxBureau,
        Relation::Stranger,
    ];
}

/// Why an action may not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Barrier {
    /// Not this actor's to do, whatever the status.
    NotPermitted,
    /// It is a red letter.
    RedLetter,
    /// The invoice is void.
    Void,
    /// Red letters took all of it back.
    FullyRed,
    /// Red letters took some of it back.
    PartRed,
    /// A lock is in force.
    Locked,
    /// It is reimbursed.
    Closed,
    /// No lock is in force.
    NotLocked,
    /// The seller has filed the month.
    Filed,
}

/// Decides an action for one relation of the actor.
///
/// A stranger learns nothing of the status: permission is decided first.
///
/// # Errors
/// The barrier in the way.
pub fn decide(action: Action, status: Status, relation: Relation) -> Result<(), Barrier> {
    permitted(action, relation)?;
    match action {
        // L1: an invoice changes hands only while nobody has a claim on it.
        Action::Transfer => standing(status).and_then(|()| open(status)),
        // L2: one lock at a time; a filed month does not hinder reimbursement.
        Action::Lock => standing(status).and_then(|()| open(status)),
        // L3: what a claimant may do needs a lock, and there is none to end where there is none.
        Action::Renew | Action::Unlock | Action::Close | Action::Override => {
            standing(status).and_then(|()| locked(status))
        }
        // L4: taking back is for the month of issue, before it is filed, and never under a claim, nor beside red letters.
        Action::Void => standing(status).and_then(|()| match status {
            Status { validity: Validity::PartRed, .. } => Err(Barrier::PartRed),
            Status { filed: true, .. } => Err(Barrier::Filed),
            Status { .. } => open(status),
        }),
        // L5: a red letter takes back what is left, at any time and under any claim. What the other side must have said
        // to that is the ledger's to check.
        Action::Red => standing(status),
    }
}

/// Decides an action for an actor with several relations: one that permits is enough.
///
/// # Errors
/// The barrier of the relation that came furthest.
pub fn decide_any(
    action: Action,
    status: Status,
    relations: impl IntoIterator<Item = Relation>,
) -> Result<(), Barrier> {
    let mut barrier = Barrier::NotPermitted;
    for relation in relations {
        match decide(action, status, relation) {
            Ok(()) => return Ok(()),
            Err(found) => barrier = barrier.max(found),
        }
    }
    Err(barrier)
}

fn permitted(action: Action, relation: Relation) -> Result<(), Barrier> {
    let allowed = match relation {
        Relation::Seller => match action {
            Action::Void | Action::Red => true,
            Action::Transfer | Action::Lock | Action::Renew | Action::Unlock | Action::Close | Action::Override => {
                false
            }
        },
        Relation::SellerForPerson => match action {
            Action::Transfer => true,
            Action::Lock
            | Action::Renew
            | Action::Unlock
            | Action::Close
            | Action::Void
            | Action::Override
            | Action::Red => false,
        },
        Relation::Holder => match action {
            Action::Transfer | Action::Lock => true,
            Action::Renew | Action::Unlock | Action::Close | Action::Void | Action::Override | Action::Red => false,
        },
        Relation::Claimant => match action {
            Action::Renew | Action::Unlock | Action::Close => true,
            Action::Transfer | Action::Lock | Action::Void | Action::Override | Action::Red => false,
        },
        // The bureau sees everything, and touches nothing but a lock that must end.
        Relation::TaxBureau => match action {
            Action::Override => true,
            Action::Transfer
            | Action::Lock
            | Action::Renew
            | Action::Unlock
            | Action::Close
            | Action::Void
            | Action::Red => false,
        },
        Relation::Stranger => false,
    };
    if allowed { Ok(()) } else { Err(Barrier::NotPermitted) }
}

fn standing(status: Status) -> Result<(), Barrier> {
    match (status.sign, status.validity) {
        (Sign::Red, _) => Err(Barrier::RedLetter),
        (Sign::Blue, Validity::Normal | Validity::PartRed) => Ok(()),
        (Sign::Blue, Validity::Void) => Err(Barrier::Void),
        (Sign::Blue, Validity::FullRed) => Err(Barrier::FullyRed),
    }
}

fn open(status: Status) -> Result<(), Barrier> {
    match status.reimbursement {
        Reimbursement::Open => Ok(()),
        Reimbursement::Locked => Err(Barrier::Locked),
        Reimbursement::Closed => Err(Barrier::Closed),
    }
}

fn locked(status: Status) -> Result<(), Barrier> {
    match status.reimbursement {
        Reimbursement::Open => Err(Barrier::NotLocked),
        Reimbursement::Locked => Ok(()),
        Reimbursement::Closed => Err(Barrier::Closed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_void_or_fully_taken_back_and_a_red_letter_admit_nothing() {
        let over = |status: &Status| matches!(status.validity, Validity::Void | Validity::FullRed);
        for status in Status::all().filter(|status| over(status) || status.sign == Sign::Red) {
            for action in Action::ALL {
                for relation in Relation::ALL {
                    assert!(decide(action, status, relation).is_err(), "{action:?} {status:?} {relation:?}");
                }
            }
        }
    }

    #[test]
    fn closed_is_closed_and_only_a_red_letter_can_follow() {
        for status in Status::all().filter(|status| status.reimbursement == Reimbursement::Closed) {
            for action in Action::ALL.into_iter().filter(|action| *action != Action::Red) {
                for relation in Relation::ALL {
                    assert!(decide(action, status, relation).is_err(), "{action:?} {status:?} {relation:?}");
                }
            }
        }
    }

    #[test]
    fn a_stranger_learns_nothing_of_the_status() {
        for status in Status::all() {
            for action in Action::ALL {
                assert_eq!(decide(action, status, Relation::Stranger), Err(Barrier::NotPermitted));
            }
        }
    }

    #[test]
    fn the_relation_that_comes_furthest_names_the_barrier() {
        let locked =
            Status { sign: Sign::Blue, validity: Validity::Normal, reimbursement: Reimbursement::Locked, filed: false };
        assert_eq!(decide_any(Action::Lock, locked, [Relation::Seller, Relation::Holder]), Err(Barrier::Locked));
        assert_eq!(decide_any(Action::Lock, locked, []), Err(Barrier::NotPermitted));
        assert_eq!(decide_any(Action::Close, locked, [Relation::Holder, Relation::Claimant]), Ok(()));
    }
}
