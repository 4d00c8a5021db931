//! Messages that hold no finding and yet lie in such archives.
//!
//! In: a message of a story. Out: its JSON, appended: Insight Results of Security Hub, and calls of
//! the Health API that a rule on `source` alone lets through.

use super::asff::home;
use super::catalog::APPLICATIONS;
use super::health::{envelope, envelope_id};
use super::json_text::JsonText;
use super::random::{Dice, Purpose};
use super::story::{Delivery, Story};
use super::world::World;

const CALLS: [&str; 4] =
    ["DescribeEvents", "DescribeEventDetails", "DescribeAffectedEntities", "DescribeEventTypes"];

/// Appends Insight Results.
pub(super) fn write_insight(
    world: &World,
    story: &Story,
    delivery: &Delivery,
    json: &mut JsonText,
) {
    let mut dice = Dice::new(world.options.seed, Purpose::Name, story.number);
    let account = &world.account(1).id;
    let region = home(story);
    let id = envelope_id(world, delivery);
    let kind = "Security Hub Insight Results";
    let time_s = story.time_s(0);
    envelope(json, &id, kind, "aws.securityhub", account, time_s, region);
    let number = dice.between(1, 60);
    let insight = format!("arn:aws:securityhub:::insight/securityhub/default/{number}");
    json.strings("resources", &[&insight]);
    json.open("detail");
    json.string("actionName", "send-to-soc");
    json.string("actionDescription", "Sends the chosen results to the operations centre");
    json.string("insightArn", &insight);
    json.string("insightName", "Resources with the most findings");
    json.string("resultType", "ResourceId");
    let results = dice.between(1, 12);
    json.string("number of results", &results.to_string());
    json.open_array("insightResults");
    for _ in 0..results {
        let application = dice.pick(APPLICATIONS);
        let mut hex = String::new();
        dice.hex(8, &mut hex);
        json.open_element();
        json.literal(&format!("arn:aws:s3:::{application}-{hex}"), dice.between(1, 90));
        json.close();
    }
    json.close_array();
    json.close();
    json.close();
}

/// Appends a call of the Health API.
pub(super) fn write_api_call(
    world: &World,
    story: &Story,
    delivery: &Delivery,
    json: &mut JsonText,
) {
    let mut dice = Dice::new(world.options.seed, Purpose::Name, story.number);
    let account = &world.account(story.event.account).id;
    let id = envelope_id(world, delivery);
    let time_s = story.time_s(0);
    let kind = "AWS API Call via CloudTrail";
    envelope(json, &id, kind, "aws.health", account, time_s, "us-east-1");
    json.open_array("resources");
    json.close_array();
    json.open("detail");
    json.string("eventVersion", "1.09");
    json.open("userIdentity");
    json.string("type", "AssumedRole");
    let application = dice.pick(APPLICATIONS);
    json.string("arn", &format!("arn:aws:sts::{account}:assumed-role/{application}/poller"));
    json.string("accountId", account);
    json.close();
    json.string("eventTime", &super::calendar::second(time_s - 3));
    json.string("eventSource", "health.amazonaws.com");
    json.string("eventName", dice.pick(&CALLS));
    json.string("awsRegion", "us-east-1");
    json.string("sourceIPAddress", &format!("192.0.2.{}", dice.between(1, 254)));
    json.string("userAgent", "Boto3/1.40");
    json.literal("requestParameters", "null");
    json.literal("responseElements", "null");
    json.string("requestID", &dice.uuid());
    json.string("eventID", &dice.uuid());
    json.literal("readOnly", true);
    json.string("eventType", "AwsApiCall");
    json.literal("managementEvent", true);
    json.close();
    json.close();
}
