//! The check code of the blockchain profile: five characters that a person can type from an invoice.

/// The check code of a record in the log: the last five hex digits of its leaf hash.
///
/// Twenty bits, so it can be guessed: a lookup aid, never proof.
pub fn check_code(leaf_hash: &[u8; 32]) -> String {
    hex::encode(leaf_hash).split_off(59)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_code_is_the_end_of_the_leaf_hash() {
        let mut leaf_hash = [0_u8; 32];
        leaf_hash[29..].copy_from_slice(&[0xab, 0xc8, 0x34]);
        assert_eq!(check_code(&leaf_hash), "bc834");
    }
}
