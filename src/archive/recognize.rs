//! Placeholder.
use crate::finding::json::Json;
/// x
pub fn is_restart(json: &Json<'_>) -> bool {
    let text = |name: &str| json.get(name).and_then(Json::as_str);
    text("detail-type").is_some() && json.get("detail").is_some_and(|d| d.as_object().is_some())
        || text("Message").is_some() && (text("Type") == Some("Notification") || text("TopicArn").is_some())
        || text("rawData").is_some()
            && ["attemptsMade", "arrivalTimestamp", "attemptEndingTimestamp", "errorCode", "lastErrorCode"]
                .iter()
                .any(|name| json.get(name).is_some())
}
