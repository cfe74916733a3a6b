//! Multiples of one point, kept: the point is multiplied by a scalar without a doubling.
//!
//! A scalar is a sum of signed digits, each times a power of two, and every such product is in the table (fixed-base
//! windowing: Brickell et al., "Fast exponentiation with precomputation", EUROCRYPT '92). Which entries are read depends
//! on the scalar, and so does the time: for verification alone, where nothing is secret.

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::Identity;

/// Bits of a scalar's encoding.
const SCALAR_BITS: usize = 256;

/// Digits of two scalars, of 6 and 8 bits, with some room.
const SUMMANDS_USUAL: usize = 80;

/// A point's multiples for digits of `BITS` bits, at most 8: `(256 / BITS + 1) * 2^(BITS - 1)` points of 160 bytes.
pub(super) struct Multiples<const BITS: usize> {
    /// For each digit, from the lowest, the point times `2^(BITS * position)` times 1, 2, … [`Self::HALF`].
    points: Box<[EdwardsPoint]>,
}

impl<const BITS: usize> Multiples<BITS> {
    /// The largest digit; the smallest is one more than its negative.
    const HALF: usize = 1 << (BITS - 1);
    /// Digits of a scalar. The last takes what the one before carries.
    const DIGITS: usize = SCALAR_BITS / BITS + 1;

    /// The multiples of a point.
    pub(super) fn of(point: &EdwardsPoint) -> Self {
        let mut points = Vec::with_capacity(Self::DIGITS * Self::HALF);
        let mut unit = *point;
        for _ in 0..Self::DIGITS {
            let mut multiple = unit;
            for _ in 1..Self::HALF {
                points.push(multiple);
                multiple += unit;
            }
            points.push(multiple);
            unit = multiple + multiple;
        }
        Self { points: points.into_boxed_slice() }
    }

    /// The multiples whose sum is the point times a scalar, added to a list.
    pub(super) fn of_scalar(&self, scalar: &Scalar, summands: &mut Summands) {
        // Two bytes more than a scalar has, so that the highest digit is read like the others.
        let mut bytes = [0; SCALAR_BITS / 8 + 2];
        bytes[..SCALAR_BITS / 8].copy_from_slice(scalar.as_bytes());
        let mut carry = 0;
        for (position, row) in self.points.chunks_exact(Self::HALF).enumerate() {
            let bit = position * BITS;
            let two = u16::from_le_bytes([bytes[bit / 8], bytes[bit / 8 + 1]]);
            let digit = (usize::from(two >> (bit % 8)) & (2 * Self::HALF - 1)) + carry;
            carry = usize::from(digit > Self::HALF);
            // What carries is 2^BITS less, and one more of the next digit. A full digit that was carried to is nothing.
            let (sign, size) = if carry == 1 { (Sign::Minus, 2 * Self::HALF - digit) } else { (Sign::Plus, digit) };
            if let Some(place) = size.checked_sub(1) {
                summands.0.push((sign, row[place]));
            }
        }
    }
}

/// Whether a multiple is added or taken away.
#[derive(Clone, Copy, Debug)]
enum Sign {
    Plus,
    Minus,
}

/// Multiples to be added up. They are all fetched before the first is added: they stand far apart in memory, and waiting
/// for each in its turn takes a third of the time.
#[derive(Default)]
pub(super) struct Summands(Vec<(Sign, EdwardsPoint)>);

impl Summands {
    /// Room for the multiples of two scalars.
    pub(super) fn for_two() -> Self {
        Self(Vec::with_capacity(SUMMANDS_USUAL))
    }

    /// Their sum.
    pub(super) fn sum(&self) -> EdwardsPoint {
        self.0.iter().fold(EdwardsPoint::identity(), |sum, (sign, point)| match sign {
            Sign::Plus => sum + point,
            Sign::Minus => sum - point,
        })
    }
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
    use proptest::prelude::*;

    use super::*;

    fn times<const BITS: usize>(multiples: &Multiples<BITS>, scalar: &Scalar) -> EdwardsPoint {
        let mut summands = Summands::default();
        multiples.of_scalar(scalar, &mut summands);
        summands.sum()
    }

    fn holds<const BITS: usize>(point: EdwardsPoint, scalar: &Scalar) {
        assert_eq!(times(&Multiples::<BITS>::of(&point), scalar), point * scalar, "{BITS}: {scalar:?}");
    }

    #[test]
    fn multiples_for_scalars_at_the_edges() {
        let one = Scalar::ONE;
        let mut power = one;
        let mut scalars = vec![Scalar::ZERO, -one, -one - one];
        for _ in 0..=253 {
            scalars.extend([power, power - one, power + one, -power]);
            power += power;
        }
        // Full digits only, and digits that carry all the way.
        scalars.extend([0xff, 0x80, 0x7f, 0x81].map(|byte| Scalar::from_bytes_mod_order([byte; 32])));
        let (six, eight) = (Multiples::<6>::of(&ED25519_BASEPOINT_POINT), Multiples::<8>::of(&ED25519_BASEPOINT_POINT));
        for scalar in scalars {
            let expected = ED25519_BASEPOINT_POINT * scalar;
            assert_eq!(times(&six, &scalar), expected, "{scalar:?}");
            assert_eq!(times(&eight, &scalar), expected, "{scalar:?}");
        }
    }

    proptest! {
        #[test]
        fn multiples_for_any_point_and_scalar(point in any::<[u8; 64]>(), scalar in any::<[u8; 64]>()) {
            let point = ED25519_BASEPOINT_POINT * Scalar::from_bytes_mod_order_wide(&point);
            let scalar = Scalar::from_bytes_mod_order_wide(&scalar);
            holds::<6>(point, &scalar);
            holds::<8>(point, &scalar);
            // The widths that are not used hold the arithmetic.
            holds::<3>(point, &scalar);
            holds::<7>(point + EIGHT_TORSION[3], &scalar);
        }
    }
}
