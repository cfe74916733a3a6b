//! Names and numbers of invented organisations. Every name says that it is an example.

use invoice::taxpayer::TaxpayerId;

use crate::dice::Dice;

const FIRST: [&str; 16] =
    ["云", "海", "星", "恒", "瑞", "嘉", "新", "华", "启", "汇", "远", "明", "安", "泰", "宏", "朗"];
const SECOND: [&str; 16] =
    ["达", "丰", "源", "盛", "合", "信", "成", "通", "润", "康", "景", "程", "诚", "利", "和", "越"];
const STREETS: [&str; 8] = ["深南大道", "科技路", "滨河路", "红荔路", "人民路", "创业路", "海秀路", "翠竹路"];
const BANKS: [&str; 4] = ["示例银行深圳分行", "示例商业银行南山支行", "示例农村银行", "示例发展银行福田支行"];

/// The letters of a unified social credit code.
const ALPHABET: &[u8; 31] = b"0123456789ABCDEFGHJKLMNPQRTUWXY";

/// The registered name of an enterprise of a trade.
pub(crate) fn enterprise(dice: &mut Dice, trade: &str) -> String {
    let (first, second) = (dice.pick(&FIRST), dice.pick(&SECOND));
    format!("深圳市示例{first}{second}{trade}有限公司")
}

/// A taxpayer id: 91 (an enterprise) and the region, then the kind's two letters and the number in six.
pub(crate) fn taxpayer_id(region: &str, kind: &str, number: u64) -> TaxpayerId {
    const SIX: u64 = 31_u64.pow(6);
    // An odd multiplier that shares no factor with 31 spreads the numbers and keeps them apart.
    let mut rest = (number * 387_420_489) % SIX;
    let mut letters = [b'0'; 6];
    for letter in letters.iter_mut().rev() {
        *letter = ALPHABET[usize::try_from(rest % 31).expect("a remainder of 31")];
        rest /= 31;
    }
    let letters = std::str::from_utf8(&letters).expect("letters of the alphabet above");
    TaxpayerId::complete(&format!("91{region}{kind}{letters}")).expect("regions and kinds of this crate fit the code")
}

/// An address.
pub(crate) fn address(dice: &mut Dice) -> String {
    format!("深圳市示例区{}{}号", dice.pick(&STREETS), dice.between(1, 400))
}

/// A phone number that nobody has.
pub(crate) fn phone(dice: &mut Dice) -> String {
    format!("0755-0000{:04}", dice.below(10_000))
}

/// A bank.
pub(crate) fn bank(dice: &mut Dice) -> &'static str {
    dice.pick::<&str>(&BANKS)
}

/// An account number.
pub(crate) fn account(dice: &mut Dice) -> String {
    format!("6200{:012}", dice.below(1_000_000_000_000))
}
