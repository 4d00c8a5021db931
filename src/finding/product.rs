//! Which findings a run wants.
//!
//! In: a finding as it was found. Out: whether it is one of the wanted products. Nothing can go
//! wrong: what does not say that it comes from AWS Health does not.

use serde::{Deserialize, Serialize};

use crate::finding::envelope::{Found, Shape};
use crate::finding::json::Json;

/// How ARNs of the product AWS Health end, in Security Hub's first and second version.
const HEALTH_ARN_ENDS: [&str; 2] = [":product/aws/health", ":productv2/aws/health"];

/// The products whose findings become rows; the order is from narrow to wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Products {
    /// AWS Health only.
    Health,
    /// Every product.
    All,
}

impl Products {
    /// The name in options, in `lake.json` and in summaries.
    pub fn name(self) -> &'static str {
        match self {
            Products::Health => "health",
            Products::All => "all",
        }
    }

    /// Whether `found` is of a product that is wanted. A native event always is.
    pub fn wants(self, found: &Found<'_>) -> bool {
        self == Products::All || is_health(found.shape, found.body)
    }
}

/// Whether a finding comes from AWS Health. Its documented ASFF sample has neither `ProductName`
/// nor `CompanyName`, so each of three places is enough; but a product of another company that is
/// merely named `Health` is not meant.
pub(super) fn is_health(shape: Shape, body: &Json<'_>) -> bool {
    let text = |path: &[&str]| body.at(path).and_then(Json::as_str);
    match shape {
        Shape::Native => true,
        Shape::Asff => {
            let company = text(&["CompanyName"])
                .or_else(|| text(&["ProductFields", "aws/securityhub/CompanyName"]));
            let arn = text(&["ProductArn"]);
            let name = text(&["ProductName"])
                .or_else(|| text(&["ProductFields", "aws/securityhub/ProductName"]));
            arn.is_some_and(is_health_arn)
                || name.is_some_and(is_health_name)
                    && company.map_or_else(|| !arn.is_some_and(is_foreign_arn), is_aws)
        }
        Shape::Ocsf => {
            let product = |name| text(&["metadata", "product", name]);
            product("uid").is_some_and(is_health_arn)
                || product("name").is_some_and(is_health_name)
                    && product("vendor_name").is_some_and(is_aws)
        }
    }
}

/// Whether an ARN is that of the product AWS Health.
fn is_health_arn(arn: &str) -> bool {
    HEALTH_ARN_ENDS.iter().any(|end| arn.ends_with(end))
}

/// Whether a product's ARN names a company other than AWS: `…:product/<company>/<product>`.
fn is_foreign_arn(arn: &str) -> bool {
    let company = arn
        .split_once(":product/")
        .or_else(|| arn.split_once(":productv2/"))
        .and_then(|(_, product)| product.split('/').next());
    company.is_some_and(|company| !company.eq_ignore_ascii_case("aws"))
}

fn is_health_name(name: &str) -> bool {
    ["Health", "AWS Health"].iter().any(|health| name.eq_ignore_ascii_case(health))
}

fn is_aws(company: &str) -> bool {
    ["AWS", "Amazon", "Amazon Web Services"].iter().any(|aws| company.eq_ignore_ascii_case(aws))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wants(products: Products, shape: Shape, text: &str) -> bool {
        let body = Json::leaked(text).unwrap();
        products.wants(&Found { shape, body: &body, envelope: None })
    }

    #[test]
    fn health_is_told_by_any_of_its_marks_and_by_no_other_companys_name() {
        let hub = "arn:aws:securityhub:us-east-1";
        let table = [
            (Shape::Native, "{}".to_owned(), true),
            (Shape::Asff, r#"{"ProductName":"Health"}"#.to_owned(), true),
            (Shape::Asff, r#"{"ProductName":"Health","CompanyName":"AWS"}"#.to_owned(), true),
            (Shape::Asff, r#"{"ProductName":"Health","CompanyName":"Acme"}"#.to_owned(), false),
            (
                Shape::Asff,
                r#"{"ProductFields":{"aws/securityhub/ProductName":"Health"}}"#.to_owned(),
                true,
            ),
            (Shape::Asff, format!(r#"{{"ProductArn":"{hub}::product/aws/health"}}"#), true),
            (Shape::Asff, format!(r#"{{"ProductArn":"{hub}::productv2/aws/health"}}"#), true),
            (Shape::Asff, format!(r#"{{"ProductArn":"{hub}::product/aws/guardduty"}}"#), false),
            (Shape::Asff, format!(r#"{{"ProductArn":"{hub}::product/acme/health"}}"#), false),
            (
                Shape::Asff,
                format!(r#"{{"ProductArn":"{hub}::product/acme/x","ProductName":"Health"}}"#),
                false,
            ),
            (Shape::Asff, r#"{"ProductName":7}"#.to_owned(), false),
            (Shape::Ocsf, ocsf(&format!("{hub}::product/aws/health"), "", ""), true),
            (Shape::Ocsf, ocsf(&format!("{hub}::productv2/aws/health"), "", ""), true),
            (Shape::Ocsf, ocsf("x", "Health", "AWS"), true),
            (Shape::Ocsf, ocsf("x", "Health", "Amazon"), true),
            (Shape::Ocsf, ocsf("x", "Health", "Acme"), false),
            (Shape::Ocsf, r#"{"metadata":{"product":{"name":"Health"}}}"#.to_owned(), false),
            (Shape::Ocsf, r#"{"metadata":[]}"#.to_owned(), false),
        ];
        for (shape, text, expected) in table {
            assert_eq!(wants(Products::Health, shape, &text), expected, "{text}");
            assert!(wants(Products::All, shape, &text), "{text}");
        }
    }

    fn ocsf(uid: &str, name: &str, vendor: &str) -> String {
        format!(
            r#"{{"metadata":{{"product":{{"uid":"{uid}","name":"{name}","vendor_name":"{vendor}"}}}}}}"#
        )
    }
}
