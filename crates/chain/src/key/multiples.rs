//! Multiples of one point, kept: the point is multiplied by a scalar without a doubling.
//!
//! A scalar is a sum of signed digits, each times a power of two, and every such product is in the table (fixed-base
//! windowing: Brickell et al., "Fast exponentiation with precomputation", EUROCRYPT '92). Which
//! entries are read depends on the scalar, and so does the time: for verification alone, where nothing is secret.

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;

/// Bits of a scalar's encoding.
const SCALAR_BITS: usize = 256;

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

    /// `sum` and the point times a scalar, added.
    pub(super) fn add_times(&self, mut sum: EdwardsPoint, scalar: &Scalar) -> EdwardsPoint {
        // Two bytes more than a scalar has, so that the highest digit is read like the others.
        let mut bytes = [0; SCALAR_BITS / 8 + 2];
        bytes[..SCALAR_BITS / 8].copy_from_slice(scalar.as_bytes());
        let mut carry = 0;
        for (position, row) in self.points.chunks_exact(Self::HALF).enumerate() {
            let bit = position * BITS;
            let two = u16::from_le_bytes([bytes[bit / 8], bytes[bit / 8 + 1]]);
            let digit = (usize::from(two >> (bit % 8)) & (2 * Self::HALF - 1)) + carry;
            carry = usize::from(digit > Self::HALF);
            if carry == 1 {
                // 2^BITS less, and one more of the next digit. Nothing is left of a digit that was full and carried to.
                if let Some(less) = (2 * Self::HALF - digit).checked_sub(1) {
                    sum -= row[less];
                }
            } else if let Some(more) = digit.checked_sub(1) {
                sum += row[more];
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
    use curve25519_dalek::traits::Identity;
    use proptest::prelude::*;

    use super::*;

    fn holds<const BITS: usize>(point: EdwardsPoint, scalar: &Scalar) {
        let start = EIGHT_TORSION[1];
        assert_eq!(
            Multiples::<BITS>::of(&point).add_times(start, scalar),
            start + point * scalar,
            "{BITS}: {scalar:?}"
        );
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
            assert_eq!(six.add_times(EdwardsPoint::identity(), &scalar), expected, "{scalar:?}");
            assert_eq!(eight.add_times(EdwardsPoint::identity(), &scalar), expected, "{scalar:?}");
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
