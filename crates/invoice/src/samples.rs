//! Four invoices of invented companies: the input of the demo when it is given none, and the tests' ground to stand on.
//!
//! Every name in them is invented; the taxpayer ids have right check characters. All are valid under the default
//! [`crate::Rules`] on every day from 2019-04-01 on.

/// The seller of every sample, as in the documents.
pub const SELLER_TAXPAYER_ID: &str = "91440300MA5DEM012D";

/// One sample.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// What it shows, a lowercase fragment.
    pub title: &'static str,
    /// The document as JSON.
    pub json: &'static str,
}

/// The samples, in the order in which the demo issues them.
pub fn all() -> &'static [Sample] {
    &[
        Sample { title: "a taxi ride for a company, in the blockchain profile", json: TAXI },
        Sample { title: "a hotel stay with a discount and two rates", json: HOTEL },
        Sample { title: "books and an exempt service for a person", json: BOOKS },
        Sample { title: "machine parts on a special invoice", json: PARTS },
    ]
}

const TAXI: &str = r#"{
  "profile": "blockchain-ordinary",
  "reference": "SAMPLE-0001",
  "seller": {
    "name": "深圳市示例综合服务有限公司",
    "taxpayer_id": "91440300MA5DEM012D",
    "address": "深圳市示例区示例路1号",
    "phone": "0755-00000001",
    "bank": "示例银行深圳分行",
    "account": "6200000000000001"
  },
  "buyer": { "organisation": { "name": "深圳市示例科技有限公司", "taxpayer_id": "91440300MA5DEM0208" } },
  "lines": [
    {
      "name": "*运输服务*出租汽车客运服务",
      "tax_code": "3010101020203000000",
      "unit": "次",
      "quantity": "1",
      "unit_price": "41.75",
      "net": "41.75",
      "tax": { "rate": "0.03" },
      "tax_amount": "1.25"
    }
  ],
  "totals": { "net": "41.75", "tax": "1.25", "gross": "43.00" }
}"#;

const HOTEL: &str = r#"{
  "profile": "blockchain-ordinary",
  "reference": "SAMPLE-0002",
  "seller": { "name": "深圳市示例综合服务有限公司", "taxpayer_id": "91440300MA5DEM012D" },
  "buyer": {
    "organisation": {
      "name": "深圳市示例科技有限公司",
      "taxpayer_id": "91440300MA5DEM0208",
      "address": "深圳市示例区科技路2号",
      "phone": "0755-00000002",
      "bank": "示例银行深圳分行",
      "account": "6200000000000002"
    }
  },
  "lines": [
    {
      "name": "*住宿服务*住宿费",
      "tax_code": "3070402000000000000",
      "unit": "晚",
      "quantity": "2",
      "unit_price": "420",
      "net": "840.00",
      "tax": { "rate": "0.06" },
      "tax_amount": "50.40"
    },
    {
      "name": "*住宿服务*住宿费",
      "tax_code": "3070402000000000000",
      "net": "-84.00",
      "tax": { "rate": "0.06" },
      "tax_amount": "-5.04",
      "discount": true
    },
    {
      "name": "*软饮料*瓶装水",
      "tax_code": "1030307010000000000",
      "specification": "550ml",
      "unit": "瓶",
      "quantity": "6",
      "unit_price": "2.5",
      "net": "15.00",
      "tax": { "rate": "0.13" },
      "tax_amount": "1.95"
    }
  ],
  "totals": { "net": "771.00", "tax": "47.31", "gross": "818.31" },
  "remark": "两晚"
}"#;

const BOOKS: &str = r#"{
  "profile": "digital-ordinary",
  "reference": "SAMPLE-0003",
  "seller": { "name": "深圳市示例综合服务有限公司", "taxpayer_id": "91440300MA5DEM012D" },
  "buyer": { "person": { "id": "sample-person-0001" } },
  "lines": [
    {
      "name": "*印刷品*图书",
      "tax_code": "1060201010000000000",
      "unit": "册",
      "quantity": "2",
      "unit_price": "45.87",
      "net": "91.74",
      "tax": { "rate": "0.09" },
      "tax_amount": "8.26"
    },
    {
      "name": "*文化服务*图书借阅服务",
      "tax_code": "3070301000000000000",
      "net": "30.00",
      "tax": "exempt",
      "tax_amount": "0.00",
      "preferential": "免税"
    }
  ],
  "totals": { "net": "121.74", "tax": "8.26", "gross": "130.00" }
}"#;

const PARTS: &str = r#"{
  "profile": "digital-special",
  "reference": "SAMPLE-0004",
  "seller": { "name": "深圳市示例综合服务有限公司", "taxpayer_id": "91440300MA5DEM012D" },
  "buyer": { "organisation": { "name": "上海示例机械有限公司", "taxpayer_id": "91310000MA1DEM04XQ" } },
  "lines": [
    {
      "name": "*通用设备*滚动轴承",
      "tax_code": "1090117010000000000",
      "specification": "6204-2RS",
      "unit": "套",
      "quantity": "100",
      "unit_price": "118.5",
      "net": "11850.00",
      "tax": { "rate": "0.13" },
      "tax_amount": "1540.50"
    },
    {
      "name": "*运输服务*货物运输服务",
      "tax_code": "3010102020100000000",
      "net": "300.00",
      "tax": { "rate": "0.09" },
      "tax_amount": "27.00"
    }
  ],
  "totals": { "net": "12150.00", "tax": "1567.50", "gross": "13717.50" }
}"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;
    use crate::rules::Rules;

    #[test]
    fn every_sample_is_valid_and_without_doubts() {
        for day in ["2019-04-01", "2025-12-31", "2026-01-01", "2030-06-15"] {
            for sample in all() {
                let document = Document::parse(sample.json.as_bytes()).unwrap();
                let validation = document.validate(&Rules::default(), day.parse().unwrap());
                assert!(validation.violations.is_empty() && validation.warnings.is_empty(), "{day}: {validation:?}");
                assert_eq!(document.seller.taxpayer_id.as_str(), SELLER_TAXPAYER_ID);
            }
        }
    }

    #[test]
    fn references_are_unique() {
        let mut references: Vec<String> =
            all().iter().map(|sample| Document::parse(sample.json.as_bytes()).unwrap().reference).collect();
        references.sort_unstable();
        references.dedup();
        assert_eq!(references.len(), all().len());
    }
}
