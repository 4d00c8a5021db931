//! The new Security Hub's `Findings Imported V2` events with findings in OCSF 1.6
//! (Security Hub User Guide, OCSF findings).
//!
//! In: a message of a story. Out: its JSON, appended. Health findings are detection findings of
//! the product `productv2/aws/health`; the others are those of GuardDuty, Inspector and CSPM.

use super::asff::{SEVERITIES, home, severity};
use super::calendar;
use super::catalog::{CONTROLS, PACKAGES, THREATS};
use super::health::{Entity, entities, envelope, envelope_id};
use super::json_text::JsonText;
use super::random::{Dice, Purpose};
use super::story::{Copy, Delivery, Story};
use super::words::Words;
use super::world::World;

/// What differs between products.
struct Finding {
    class: u32,
    class_name: &'static str,
    product: &'static str,
    product_name: &'static str,
    uid: String,
    title: String,
    kind: String,
    severity: usize,
}

const SEVERITY_NAMES: [&str; 6] = ["Unknown", "Informational", "Low", "Medium", "High", "Critical"];

/// Appends a Health finding.
pub(super) fn write_health(world: &World, story: &Story, delivery: &Delivery, json: &mut JsonText) {
    let event = &story.event;
    let code = event.kind.code;
    let label = severity(event.kind.service, code);
    let finding = Finding {
        class: 2004,
        class_name: "Detection Finding",
        product: "health",
        product_name: "Health",
        uid: event.arn(world, &world.account(event.account).id),
        title: format!("AWS Health - {code}"),
        kind: "Software and Configuration Checks".to_owned(),
        severity: SEVERITIES.iter().position(|(name, _)| *name == label).unwrap_or(0) + 1,
    };
    let text =
        Words::new(world, story, delivery.version).description(story, delivery.version, "\n");
    let native = Delivery { account: 0, page: 0, ..*delivery };
    let affected = entities(world, story, &native, event.account);
    write(world, story, delivery, &finding, &text, &affected, json);
}

/// Appends another product's finding.
pub(super) fn write_other(world: &World, story: &Story, delivery: &Delivery, json: &mut JsonText) {
    let account = &world.account(story.event.account).id;
    let region = home(story);
    let mut dice = Dice::new(world.options.seed, Purpose::Name, story.number);
    let mut hex = String::new();
    dice.hex(32, &mut hex);
    let (threat, says) = dice.pick(THREATS);
    let (package, version) = dice.pick(PACKAGES);
    let (control, control_title, _) = dice.pick(CONTROLS);
    let severity = dice.index(5) + 1;
    let finding = match dice.below(3) {
        0 => Finding {
            class: 2004,
            class_name: "Detection Finding",
            product: "guardduty",
            product_name: "GuardDuty",
            uid: format!("arn:aws:guardduty:{region}:{account}:detector/{hex:.16}/finding/{hex}"),
            title: format!("On an instance, {says}"),
            kind: threat.to_owned(),
            severity,
        },
        1 => Finding {
            class: 2002,
            class_name: "Vulnerability Finding",
            product: "inspector",
            product_name: "Inspector",
            uid: format!("arn:aws:inspector2:{region}:{account}:finding/{hex}"),
            title: format!("A known weakness in {package} {version}"),
            kind: "Software and Configuration Checks/Vulnerabilities/CVE".to_owned(),
            severity,
        },
        _ => Finding {
            class: 2003,
            class_name: "Compliance Finding",
            product: "securityhub",
            product_name: "Security Hub CSPM",
            uid: format!("arn:aws:securityhub:{region}:{account}:control/{control}/finding/{hex}"),
            title: control_title.to_owned(),
            kind: "Posture Management".to_owned(),
            severity,
        },
    };
    let text = Words::new(world, story, delivery.version).remark(3);
    write(world, story, delivery, &finding, &text, &[], json);
}

fn write(
    world: &World,
    story: &Story,
    delivery: &Delivery,
    finding: &Finding,
    text: &str,
    affected: &[Entity],
    json: &mut JsonText,
) {
    let copied = delivery.copy == Copy::OtherRegion;
    let region = match (copied, home(story)) {
        (false, home) => home,
        (true, "us-east-1") => "us-west-2",
        (true, _) => "us-east-1",
    };
    let time_s = story.time_s(delivery.version);
    let id = envelope_id(world, delivery);
    let receiver = &world.account(1).id;
    envelope(json, &id, "Findings Imported V2", "aws.securityhub", receiver, time_s, region);
    // An opaque hash, not an ARN.
    let mut hash = String::new();
    Dice::new(world.options.seed, Purpose::Name, story.number).hex(64, &mut hash);
    json.strings("resources", &[&hash]);
    json.open("detail");
    json.open_array("findings");
    json.open_element();
    classes(story, delivery, finding, json);
    cloud(world, story, json);
    finding_info(story, delivery, finding, text, json);
    metadata(story, delivery, finding, copied, json);
    resources(world, story, affected, json);
    json.string("severity", SEVERITY_NAMES.get(finding.severity).copied().unwrap_or("Unknown"));
    json.literal("severity_id", finding.severity);
    let (status, status_id) = match delivery.version {
        _ if story.closes(delivery.version) => ("Resolved", 4),
        0 => ("New", 1),
        _ => ("In Progress", 2),
    };
    json.string("status", status);
    json.literal("status_id", status_id);
    let modified_ms = time_s * 1_000 - 2_345;
    json.literal("time", modified_ms);
    json.string("time_dt", &calendar::milli(modified_ms));
    json.close();
    json.close_array();
    json.close();
    json.close();
}

fn classes(story: &Story, delivery: &Delivery, finding: &Finding, json: &mut JsonText) {
    let (activity, activity_name) = match delivery.version {
        _ if story.closes(delivery.version) => (3, "Close"),
        0 => (1, "Create"),
        _ => (2, "Update"),
    };
    json.literal("activity_id", activity);
    json.string("activity_name", activity_name);
    json.literal("category_uid", 2);
    json.string("category_name", "Findings");
    json.literal("class_uid", finding.class);
    json.string("class_name", finding.class_name);
    json.literal("type_uid", finding.class * 100 + activity);
    json.string("type_name", &format!("{}: {activity_name}", finding.class_name));
}

fn cloud(world: &World, story: &Story, json: &mut JsonText) {
    let account = world.account(story.event.account);
    json.open("cloud");
    json.open("account");
    json.string("name", &account.name);
    json.string("type", "AWS Account");
    json.literal("type_id", 10);
    json.string("uid", &account.id);
    json.close();
    json.string("cloud_partition", "aws");
    json.string("provider", "AWS");
    json.string("region", home(story));
    json.close();
}

fn finding_info(
    story: &Story,
    delivery: &Delivery,
    finding: &Finding,
    text: &str,
    json: &mut JsonText,
) {
    let created_ms = story.begin_s * 1_000 - 4_321;
    let modified_ms = story.time_s(delivery.version) * 1_000 - 2_345;
    json.open("finding_info");
    json.string("uid", &finding.uid);
    json.string("title", &finding.title);
    json.string("desc", text);
    json.strings("types", &[&finding.kind]);
    json.literal("created_time", created_ms);
    json.string("created_time_dt", &calendar::milli(created_ms));
    json.literal("modified_time", modified_ms);
    json.string("modified_time_dt", &calendar::milli(modified_ms));
    json.close();
}

fn metadata(
    story: &Story,
    delivery: &Delivery,
    finding: &Finding,
    copied: bool,
    json: &mut JsonText,
) {
    let processed_ms = story.time_s(delivery.version) * 1_000 - 900 + i64::from(copied) * 400;
    json.open("metadata");
    json.open("product");
    json.string("name", finding.product_name);
    let product = finding.product;
    let home = home(story);
    json.string("uid", &format!("arn:aws:securityhub:{home}::productv2/aws/{product}"));
    json.string("vendor_name", "AWS");
    if product == "health" {
        json.open("feature");
        json.string("uid", story.event.kind.code);
        json.close();
    }
    json.close();
    json.literal("processed_time", processed_ms);
    json.string("processed_time_dt", &calendar::milli(processed_ms));
    json.strings("profiles", &["cloud", "datetime"]);
    json.string("version", "1.6.0");
    json.close();
}

fn resources(world: &World, story: &Story, affected: &[Entity], json: &mut JsonText) {
    let account = &world.account(story.event.account).id;
    json.open_array("resources");
    let one = |uid: &str, kind: &str, json: &mut JsonText| {
        json.open_element();
        json.string("uid", uid);
        json.string("type", kind);
        json.string("region", home(story));
        json.string("cloud_partition", "aws");
        json.open("owner");
        json.open("account");
        json.string("uid", account);
        json.close();
        json.close();
        json.close();
    };
    for entity in affected {
        one(&entity.value, "Other", json);
    }
    if affected.is_empty() {
        let region = home(story);
        let mut name = String::new();
        Dice::new(world.options.seed, Purpose::Entity, story.number << 24).hex(17, &mut name);
        let id = format!("arn:aws:ec2:{region}:{account}:instance/i-{name}");
        one(&id, "AwsEc2Instance", json);
    }
    json.close_array();
}
