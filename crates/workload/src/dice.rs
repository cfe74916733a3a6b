//! Dice: the one source of chance, and the distributions that are drawn from it, in whole numbers.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

/// What dice are thrown for: the same number under two of them is unrelated.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Throw {
    /// An organisation.
    Enterprise = 1,
    /// A document.
    Document = 2,
    /// Who signs the next statement.
    Statement = 3,
    /// What becomes of an invoice.
    Habit = 4,
}

/// Dice of one thing.
#[derive(Clone, Debug)]
pub(crate) struct Dice(Xoshiro256PlusPlus);

impl Dice {
    /// Dice for the thing of that number.
    pub(crate) fn new(seed: u64, throw: Throw, number: u64) -> Self {
        // Odd multipliers keep different numbers different; the generator's own seeding spreads them.
        let mixed = seed
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .wrapping_add((throw as u64).wrapping_mul(0xD1B5_4A32_D192_ED03))
            .rotate_left(29)
            .wrapping_add(number.wrapping_mul(0xBF58_476D_1CE4_E5B9));
        Self(Xoshiro256PlusPlus::seed_from_u64(mixed))
    }

    /// A number below `bound`, which is above 0. The bias is below one in 2^32 for every bound used here.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.0.next_u64()) * u128::from(bound);
        u64::try_from(wide >> 64).expect("a product of 64 bits each, shifted by 64")
    }

    /// A number of a range, both ends included.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        let span = high.abs_diff(low) + 1;
        low + i64::try_from(self.below(span)).expect("a span between two positive numbers")
    }

    /// A number of a range, small ones far more often: money and lengths are like that.
    pub(crate) fn skewed(&mut self, low: i64, high: i64) -> i64 {
        const ONE: u64 = 1 << 20;
        let draw = u128::from(self.below(ONE));
        let span = u128::from(high.abs_diff(low));
        let cubed = span * draw * draw * draw / u128::from(ONE).pow(3);
        low + i64::try_from(cubed).expect("a cube of fractions of a span is inside the span")
    }

    /// True in so many of a thousand throws.
    pub(crate) fn per_mille(&mut self, share: u64) -> bool {
        self.below(1_000) < share
    }

    /// One of several.
    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.index(of.len())]
    }

    /// An index into a list that is not empty.
    pub(crate) fn index(&mut self, length: usize) -> usize {
        let bound = u64::try_from(length).expect("a length fits 64 bits");
        usize::try_from(self.below(bound)).expect("below a length")
    }

    /// One of several, by their weights.
    pub(crate) fn weighted<T: Copy>(&mut self, of: &[(u64, T)]) -> T {
        let mut draw = self.below(of.iter().map(|(weight, _)| weight).sum());
        for (weight, choice) in of {
            match draw.checked_sub(*weight) {
                Some(rest) => draw = rest,
                None => return *choice,
            }
        }
        unreachable!("a draw below the sum of weights falls into one of them")
    }
}

/// Weights that are drawn from often: their running sums.
#[derive(Clone, Debug, Default)]
pub(crate) struct Weights(Vec<u64>);

impl Weights {
    /// The weight of the member of this rank (0 first) when sizes follow Zipf's law.
    pub(crate) fn zipf(rank: usize) -> u64 {
        const FIRST: u64 = 1 << 32;
        FIRST / (u64::try_from(rank).expect("a rank fits 64 bits") + 1)
    }

    /// Adds a member.
    pub(crate) fn push(&mut self, weight: u64) {
        self.0.push(self.0.last().copied().unwrap_or_default() + weight);
    }

    /// Draws a member: its place in the order of adding. There must be one.
    pub(crate) fn draw(&self, dice: &mut Dice) -> usize {
        let draw = dice.below(self.0.last().copied().expect("weights of somebody"));
        self.0.partition_point(|sum| *sum <= draw)
    }
}
