//! What kind of finding a JSON value is, by the members it has.
//!
//! In: a value. Out: yes or no. Nothing can go wrong: what fits no kind is none.

use crate::finding::json::Json;

/// A finding of Security Hub, in either schema.
pub(super) fn is_finding(json: &Json<'_>) -> bool {
    is_ocsf(json) || is_asff(json)
}

/// ASFF: a product's ARN, or the account and generator, beside anything else that ASFF has.
pub(super) fn is_asff(json: &Json<'_>) -> bool {
    let others =
        ["Id", "GeneratorId", "AwsAccountId", "SchemaVersion", "Severity", "Title", "Types"];
    let has = |name: &str| json.get(name).is_some();
    has("ProductArn") && has_any(json, &others)
        || has("AwsAccountId")
            && (has("SchemaVersion") || has("GeneratorId"))
            && has_any(json, &["Id", "Severity"])
}

/// OCSF: a class beside other members of its base event.
pub(super) fn is_ocsf(json: &Json<'_>) -> bool {
    let has = |name: &str| json.get(name).is_some();
    has("class_uid") && has_any(json, &["category_uid", "type_uid", "activity_id", "metadata"])
        || has("finding_info") && is_object(json, "metadata")
}

/// A class of OCSF's category 2, Findings; without a class, what only a finding has.
pub(super) fn is_ocsf_finding(json: &Json<'_>) -> bool {
    let number = |name: &str| match json.get(name) {
        Some(Json::Number(number)) => number.parse::<u64>().ok(),
        Some(Json::String(text)) => text.parse().ok(),
        _ => None,
    };
    match (number("category_uid"), number("class_uid")) {
        (Some(category), _) => category == 2,
        (None, Some(class)) => (2_000..3_000).contains(&class),
        (None, None) => json.get("finding_info").is_some(),
    }
}

/// The `detail` of a Health event: its ARN beside anything that only an event has, or so much of an
/// event that its ARN is what is missing.
pub(super) fn is_health_detail(json: &Json<'_>) -> bool {
    let has = |name: &str| json.get(name).is_some();
    if has("eventArn") {
        let others = [
            "communicationId",
            "eventDescription",
            "eventScopeCode",
            "eventTypeCategory",
            "eventTypeCode",
            "service",
        ];
        return has_any(json, &others);
    }
    !has("arn") && has("eventTypeCode") && has_any(json, &["eventDescription", "eventTypeCategory"])
}

/// An event or entity as the Health API returns it.
pub(super) fn is_health_api(json: &Json<'_>) -> bool {
    let is_event = text(json, "arn").is_some_and(|arn| arn.contains(":health:"))
        || json.get("arn").is_some() && json.get("eventTypeCode").is_some();
    let is_entity = json.get("entityArn").is_some() && json.get("eventArn").is_some();
    is_event || is_entity
}

pub(super) fn text<'j>(json: &'j Json<'_>, name: &str) -> Option<&'j str> {
    json.get(name).and_then(Json::as_str)
}

pub(super) fn is_object(json: &Json<'_>, name: &str) -> bool {
    json.get(name).is_some_and(|member| member.as_object().is_some())
}

pub(super) fn has_any(json: &Json<'_>, names: &[&str]) -> bool {
    names.iter().any(|name| json.get(name).is_some())
}
