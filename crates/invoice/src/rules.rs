//! The parameters of the document rules: tolerances, limits, rates. The ledger holds them and hands them in.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::amount::Amount;
use crate::rate::RateTable;

/// Parameters of the document rules. Part of the ledger's genesis: changing one is a change of rules.
///
/// In JSON every field may be left out; the default stands for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// How far a line's tax may be from net times rate.
    pub line_tax_tolerance: Amount,
    /// How far a line's net may be from unit price times quantity.
    pub line_net_tolerance: Amount,
    /// How far the tax of all lines may be from their net times rate, over the whole invoice.
    pub total_tax_tolerance: Amount,
    /// Largest absolute amount of a line or total.
    pub amount_max: Amount,
    /// Most lines of an invoice, discount lines included.
    pub lines_max: u32,
    /// Longest name of a seller or buyer, bytes in GBK.
    pub name_gbk_bytes_max: u32,
    /// Longest name of goods or services, characters.
    pub item_name_chars_max: u32,
    /// Longest specification, characters.
    pub specification_chars_max: u32,
    /// Longest unit, characters.
    pub unit_chars_max: u32,
    /// Longest preferential policy, characters.
    pub preferential_chars_max: u32,
    /// Longest address, characters.
    pub address_chars_max: u32,
    /// Longest phone number, characters.
    pub phone_chars_max: u32,
    /// Longest name of a bank, characters.
    pub bank_chars_max: u32,
    /// Longest account number, characters.
    pub account_chars_max: u32,
    /// Longest remark, characters.
    pub remark_chars_max: u32,
    /// Most decimals of a quantity or unit price.
    pub number_decimals_max: u32,
    /// Most characters of a quantity or unit price, point included.
    pub number_chars_max: u32,
    /// Which rates may be used when.
    pub rates: RateTable,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            line_tax_tolerance: Amount::from_fen(6),
            line_net_tolerance: Amount::from_fen(1),
            total_tax_tolerance: Amount::from_fen(127),
            // decimal(13,2) in the tax systems that receive the invoices.
            amount_max: Amount::from_fen(9_999_999_999_999),
            lines_max: 100,
            name_gbk_bytes_max: 100,
            item_name_chars_max: 128,
            specification_chars_max: 40,
            unit_chars_max: 20,
            preferential_chars_max: 50,
            address_chars_max: 128,
            phone_chars_max: 32,
            bank_chars_max: 128,
            account_chars_max: 32,
            remark_chars_max: 200,
            number_decimals_max: 13,
            number_chars_max: 17,
            rates: RateTable::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_object_is_the_default() {
        assert_eq!(serde_json::from_str::<Rules>("{}").unwrap(), Rules::default());
        assert!(serde_json::from_str::<Rules>("{\"lines\":5}").is_err());
    }

    #[test]
    fn json_and_bytes_give_the_rules_back() {
        let rules = Rules::default();
        let json = serde_json::to_string(&rules).unwrap();
        assert_eq!(serde_json::from_str::<Rules>(&json).unwrap(), rules);
        assert_eq!(borsh::from_slice::<Rules>(&borsh::to_vec(&rules).unwrap()).unwrap(), rules);
    }
}
