//! Trades: what is sold, at which rate on which day, for how much.

use invoice::date::Date;
use invoice::rate::{Rate, RateTable, TaxTreatment};

/// By which rule an item is taxed; the rate follows from the day and from the seller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Levy {
    /// Goods: 16 %, from 2019-04-01 on 13 %.
    General,
    /// Transport, books, water: 10 %, then 9 %.
    Reduced,
    /// Services: 6 %.
    Services,
    /// The levy rate of 3 %, whoever sells.
    Levied,
    /// A relief in ten-thousandths; the levy rate when there is none on the day.
    Relief(u16),
    /// Taxed at zero.
    ZeroRated,
    /// Exempt from tax.
    Exempt,
    /// Outside the tax.
    NotTaxable,
}

impl Levy {
    /// How an item is taxed on a day.
    pub(crate) fn treatment(self, rates: &RateTable, date: Date, small_scale: bool) -> TaxTreatment {
        // The levy rate stands since the ledger's first day, and has no end.
        const LEVY: u16 = 300;
        let candidates: &[u16] = match self {
            Self::General | Self::Reduced | Self::Services if small_scale => &[100],
            Self::General => &[1_300, 1_600],
            Self::Reduced => &[900, 1_000],
            Self::Services => &[600],
            Self::Levied => &[],
            Self::Relief(rate) => &[rate],
            Self::ZeroRated => return TaxTreatment::ZeroRated,
            Self::Exempt => return TaxTreatment::Exempt,
            Self::NotTaxable => return TaxTreatment::NotTaxable,
        };
        let rate = |value: u16| Rate::from_ten_thousandths(value).expect("rates of the table above are below one");
        let in_force = candidates.iter().map(|value| rate(*value)).find(|rate| rates.is_in_force(*rate, date));
        TaxTreatment::Rate(in_force.unwrap_or_else(|| rate(LEVY)))
    }
}

/// What a line may sell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    /// Its name, with its class in front.
    pub(crate) name: &'static str,
    /// Its classification code.
    pub(crate) tax_code: &'static str,
    /// Its unit; items without one are sold as a whole, without quantity and price.
    pub(crate) unit: Option<&'static str>,
    /// Models; may be empty.
    pub(crate) models: &'static [&'static str],
    /// Its tax.
    pub(crate) levy: Levy,
    /// The price of a unit, or of the whole, from and to. Fen.
    pub(crate) price_fen: (i64, i64),
    /// The most that one line sells of it.
    pub(crate) quantity_max: i64,
    /// Decimals of the quantity: what is weighed or metered has some.
    pub(crate) quantity_decimals: u32,
}

/// A trade.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trade {
    /// As it stands in a company's name.
    pub(crate) name: &'static str,
    /// How common it is.
    pub(crate) weight: u64,
    /// How many of a thousand invoices go to natural persons.
    pub(crate) persons_per_mille: u64,
    /// How many of a thousand lines are discounted.
    pub(crate) discounts_per_mille: u64,
    /// Most lines that sell something.
    pub(crate) lines_max: i64,
    /// What it sells.
    pub(crate) items: &'static [Item],
}

const fn whole(name: &'static str, tax_code: &'static str, levy: Levy, price_fen: (i64, i64)) -> Item {
    Item { name, tax_code, unit: None, models: &[], levy, price_fen, quantity_max: 1, quantity_decimals: 0 }
}

const fn by(
    name: &'static str,
    tax_code: &'static str,
    levy: Levy,
    price_fen: (i64, i64),
    unit: &'static str,
    quantity: (i64, u32),
) -> Item {
    let (quantity_max, quantity_decimals) = quantity;
    Item { unit: Some(unit), quantity_max, quantity_decimals, ..whole(name, tax_code, levy, price_fen) }
}

const fn models(item: Item, models: &'static [&'static str]) -> Item {
    Item { models, ..item }
}

use Levy::{Exempt, General, Levied, NotTaxable, Reduced, Relief, Services, ZeroRated};

/// The trades, the commonest first.
pub(crate) const TRADES: [Trade; 14] = [
    Trade {
        name: "餐饮",
        weight: 260,
        persons_per_mille: 550,
        discounts_per_mille: 60,
        lines_max: 2,
        items: &[whole("*餐饮服务*餐费", "3070401000000000000", Services, (800, 300_000))],
    },
    Trade {
        name: "商贸",
        weight: 200,
        persons_per_mille: 500,
        discounts_per_mille: 160,
        lines_max: 24,
        items: &[
            models(
                by("*软饮料*瓶装水", "1030307010000000000", General, (100, 800), "瓶", (48, 0)),
                &["350ml", "550ml", "1.5L"],
            ),
            by("*蔬菜*鲜蔬菜", "1010115020000000000", Exempt, (150, 3_000), "千克", (40, 3)),
            by("*纸制品*复印纸", "1060105040000000000", General, (1_500, 4_000), "包", (30, 0)),
            by("*预付卡销售*预付卡", "6010000000000000000", NotTaxable, (10_000, 100_000), "张", (5, 0)),
            models(
                by("*计算机配套产品*鼠标", "1090511030000000000", General, (2_900, 39_900), "个", (10, 0)),
                &["M100", "M320"],
            ),
        ],
    },
    Trade {
        name: "出租汽车",
        weight: 120,
        persons_per_mille: 300,
        discounts_per_mille: 0,
        lines_max: 1,
        items: &[by("*运输服务*出租汽车客运服务", "3010101020203000000", Levied, (1_000, 30_000), "次", (1, 0))],
    },
    Trade {
        name: "酒店管理",
        weight: 90,
        persons_per_mille: 250,
        discounts_per_mille: 120,
        lines_max: 3,
        items: &[
            by("*住宿服务*住宿费", "3070402000000000000", Services, (15_000, 160_000), "晚", (7, 0)),
            whole("*餐饮服务*餐费", "3070401000000000000", Services, (3_000, 80_000)),
            by("*会展服务*会议室", "3040303000000000000", Services, (50_000, 900_000), "天", (3, 1)),
        ],
    },
    Trade {
        name: "物业管理",
        weight: 70,
        persons_per_mille: 450,
        discounts_per_mille: 20,
        lines_max: 4,
        items: &[
            by("*企业管理服务*物业管理费", "3040801000000000000", Services, (250, 1_800), "平方米", (3_000, 2)),
            by("*水冰雪*自来水", "1100301010000000000", Levied, (267, 480), "立方米", (900, 1)),
            whole("*经营租赁*停车费", "3040502020200000000", Relief(500), (500, 40_000)),
        ],
    },
    Trade {
        name: "信息技术",
        weight: 70,
        persons_per_mille: 50,
        discounts_per_mille: 40,
        lines_max: 5,
        items: &[
            whole("*信息技术服务*软件服务费", "3040203000000000000", Services, (100_000, 90_000_000)),
            models(
                by("*软件*基础软件", "1090603010000000000", General, (50_000, 6_000_000), "套", (20, 0)),
                &["V3.0", "V5.2"],
            ),
            whole("*研发和技术服务*技术开发", "3040101000000000000", Exempt, (500_000, 200_000_000)),
        ],
    },
    Trade {
        name: "机械设备",
        weight: 60,
        persons_per_mille: 10,
        discounts_per_mille: 50,
        lines_max: 16,
        items: &[
            models(
                by("*通用设备*滚动轴承", "1090117010000000000", General, (800, 180_000), "套", (600, 0)),
                &["6204-2RS", "6305-ZZ", "NU208"],
            ),
            by("*金属制品*紧固件", "1080411000000000000", General, (5, 900), "千克", (2_000, 3)),
            whole("*运输服务*货物运输服务", "3010102020100000000", Reduced, (5_000, 2_000_000)),
            by("*机床*旧设备", "1090121000000000000", Relief(200), (100_000, 30_000_000), "台", (2, 0)),
        ],
    },
    Trade {
        name: "图书",
        weight: 40,
        persons_per_mille: 650,
        discounts_per_mille: 250,
        lines_max: 12,
        items: &[
            by("*印刷品*图书", "1060201010000000000", Reduced, (900, 18_000), "册", (12, 0)),
            whole("*文化服务*图书借阅服务", "3070301000000000000", Exempt, (1_000, 20_000)),
        ],
    },
    Trade {
        name: "医药",
        weight: 30,
        persons_per_mille: 800,
        discounts_per_mille: 30,
        lines_max: 8,
        items: &[
            by("*化学药品制剂*口服药", "1070304010000000000", General, (600, 60_000), "盒", (12, 0)),
            whole("*医疗服务*诊疗费", "3070202000000000000", Exempt, (1_000, 200_000)),
            by("*生物药品*疫苗", "1070306000000000000", Levied, (3_000, 130_000), "支", (3, 0)),
        ],
    },
    Trade {
        name: "建筑工程",
        weight: 20,
        persons_per_mille: 10,
        discounts_per_mille: 0,
        lines_max: 2,
        items: &[whole("*建筑服务*工程款", "3050000000000000000", Reduced, (5_000_000, 5_000_000_000))],
    },
    Trade {
        name: "国际货运",
        weight: 15,
        persons_per_mille: 0,
        discounts_per_mille: 0,
        lines_max: 3,
        items: &[
            whole("*运输服务*国际货物运输", "3010502020200000000", ZeroRated, (200_000, 80_000_000)),
            whole("*物流辅助服务*港口服务", "3040404000000000000", Services, (50_000, 3_000_000)),
        ],
    },
    Trade {
        name: "住房租赁",
        weight: 12,
        persons_per_mille: 900,
        discounts_per_mille: 20,
        lines_max: 1,
        items: &[by("*经营租赁*住房租金", "3040502020101000000", Relief(150), (180_000, 1_500_000), "月", (12, 0))],
    },
    Trade {
        name: "二手车",
        weight: 8,
        persons_per_mille: 700,
        discounts_per_mille: 0,
        lines_max: 1,
        items: &[by("*机动车*二手车", "1090305000000000000", Relief(50), (2_000_000, 60_000_000), "辆", (1, 0))],
    },
    Trade {
        name: "电力",
        weight: 5,
        persons_per_mille: 600,
        discounts_per_mille: 0,
        lines_max: 2,
        items: &[by("*供电*电力", "1100101020000000000", General, (52, 119), "千瓦时", (90_000, 2))],
    },
];
