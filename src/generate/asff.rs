//! Security Hub's `Security Hub Findings - Imported` events with findings in ASFF.
//!
//! In: a message of a story. Out: its JSON, appended. Health findings are filled as Security Hub
//! fills them (Security Hub User Guide, integration with AWS Health); the others look like those of
//! Security Hub's controls, GuardDuty and Inspector. Versions alternate between imports, which move
//! `UpdatedAt`, and updates by a customer, which do not.

use super::calendar;
use super::catalog::{CONTROLS, PACKAGES, THREATS};
use super::health::{entities, envelope, envelope_id};
use super::json_text::JsonText;
use super::random::{Dice, Purpose};
use super::story::{Copy, Delivery, Story};
use super::words::{Words, cut_for_asff};
use super::world::World;

/// A finding's fixed parts, the same in all its versions.
struct Finding {
    id: String,
    product: &'static str,
    company: &'static str,
    name: &'static str,
    region: &'static str,
    generator: String,
    kind: String,
    title: String,
    severity: &'static str,
}

/// ASFF's labels with the number that goes with each.
pub(super) const SEVERITIES: [(&str, u8); 5] =
    [("INFORMATIONAL", 0), ("LOW", 1), ("MEDIUM", 40), ("HIGH", 70), ("CRITICAL", 90)];

/// Appends a Health finding.
pub(super) fn write_health(world: &World, story: &Story, delivery: &Delivery, json: &mut JsonText) {
    let event = &story.event;
    let account = &world.account(event.account).id;
    let mut id = event.arn(world, account);
    id.push('/');
    // The hash of the start time: upper case, 64 digits.
    let mut hash = String::with_capacity(64);
    Dice::new(world.options.seed, Purpose::Name, u64::MAX / 2 - event.number).hex(64, &mut hash);
    id.push_str(&hash.to_uppercase());
    let code = event.kind.code;
    let finding = Finding {
        id,
        product: "health",
        company: "AWS",
        name: "Health",
        region: home(story),
        generator: code.to_owned(),
        kind: "Software and Configuration Checks".to_owned(),
        title: format!("AWS Health - {code}"),
        severity: severity(event.kind.service, code),
    };
    let blank_arn = event.arn(world, "");
    head(world, story, delivery, &finding, json);
    json.string("CreatedAt", &calendar::milli(event.start_s(world) * 1_000));
    json.string("UpdatedAt", &calendar::milli(import_s(story, delivery.version) * 1_000));
    middle(story, delivery, &finding, json);
    let mut text = Words::new(world, story, import(delivery.version)).description(
        story,
        import(delivery.version),
        "\\n\\n",
    );
    cut_for_asff(&mut text);
    json.string("Description", &text);
    json.string(
        "SourceUrl",
        &format!("https://phd.aws.amazon.com/phd/home#/event-log?eventID={blank_arn}"),
    );
    product_fields(&finding, &blank_arn, &[], json);
    json.open_array("Resources");
    let native = Delivery { account: 0, page: 0, ..*delivery };
    let affected = entities(world, story, &native, event.account);
    if affected.is_empty() {
        resource(json, "Other", account, finding.region);
    }
    for entity in &affected {
        resource(json, "Other", &entity.value, finding.region);
    }
    json.close_array();
    tail(world, story, delivery, &finding, json);
}

/// Appends another product's finding.
pub(super) fn write_other(world: &World, story: &Story, delivery: &Delivery, json: &mut JsonText) {
    let account = &world.account(story.event.account).id;
    let region = home(story);
    let mut dice = Dice::new(world.options.seed, Purpose::Name, story.number);
    let mut hex = String::new();
    dice.hex(32, &mut hex);
    let (control, threat, package) = (dice.pick(CONTROLS), dice.pick(THREATS), dice.pick(PACKAGES));
    let (severity, _) = dice.pick(&SEVERITIES);
    let cve = format!("CVE-{}-{}", dice.between(2021, 2026), dice.between(1_000, 59_999));
    let resource_name = hex.split_at(17).0.to_owned();
    let (finding, resource_type) = match dice.below(10) {
        0..5 => {
            let finding = control_finding(control, region, account, &dice.uuid(), severity);
            (finding, control.2)
        }
        5..8 => (threat_finding(threat, region, account, &hex, severity), "AwsEc2Instance"),
        _ => (package_finding(package, region, account, &hex, &cve, severity), "AwsEc2Instance"),
    };
    let observed_ms = import_s(story, delivery.version) * 1_000 + 7;
    head(world, story, delivery, &finding, json);
    json.string("FirstObservedAt", &calendar::milli(story.begin_s * 1_000 - 900_000));
    json.string("LastObservedAt", &calendar::milli(observed_ms));
    json.string("CreatedAt", &calendar::milli(story.begin_s * 1_000 - 900_000));
    json.string("UpdatedAt", &calendar::milli(observed_ms));
    middle(story, delivery, &finding, json);
    json.string("Description", &remark(world, story, delivery, &finding.title));
    remediation(&finding, json);
    let about = [("count", u64::from(import(delivery.version)) + 1)];
    product_fields(&finding, &finding.id, &about, json);
    json.open_array("Resources");
    let id = resource_id(resource_type, region, account, &resource_name);
    resource(json, resource_type, &id, region);
    json.close_array();
    match finding.product {
        "securityhub" => compliance(control.0, severity, json),
        "inspector" => vulnerability(&cve, package, json),
        _ => {}
    }
    tail(world, story, delivery, &finding, json);
}

/// Where the finding was made: findings of global events are made in us-east-1.
pub(super) fn home(story: &Story) -> &'static str {
    if story.event.region.is_some() { story.event.region_code() } else { "us-east-1" }
}

/// The import that a version repeats: every other version is a customer's update of the one before.
fn import(version: u8) -> u8 {
    version & !1
}

fn import_s(story: &Story, version: u8) -> i64 {
    story.time_s(import(version))
}

fn remark(world: &World, story: &Story, delivery: &Delivery, title: &str) -> String {
    let mut words = Words::new(world, story, import(delivery.version));
    let mut text = format!("{title}. {}", words.remark(3));
    cut_for_asff(&mut text);
    text
}

fn control_finding(
    (control, title, _): (&str, &str, &str),
    region: &'static str,
    account: &str,
    uuid: &str,
    severity: &'static str,
) -> Finding {
    Finding {
        id: format!(
            "arn:aws:securityhub:{region}:{account}:security-control/{control}/finding/{uuid}"
        ),
        product: "securityhub",
        company: "AWS",
        name: "Security Hub",
        region,
        generator: format!("security-control/{control}"),
        kind: "Software and Configuration Checks/Industry and Regulatory Standards".to_owned(),
        title: title.to_owned(),
        severity,
    }
}

fn threat_finding(
    (kind, says): (&str, &str),
    region: &'static str,
    account: &str,
    hex: &str,
    severity: &'static str,
) -> Finding {
    let detector = format!("arn:aws:guardduty:{region}:{account}:detector/{hex:.16}");
    Finding {
        id: format!("{detector}/finding/{hex}"),
        product: "guardduty",
        company: "Amazon",
        name: "GuardDuty",
        region,
        generator: detector,
        kind: kind.to_owned(),
        title: format!("On an instance, {says}"),
        severity,
    }
}

fn package_finding(
    (package, version): (&str, &str),
    region: &'static str,
    account: &str,
    hex: &str,
    cve: &str,
    severity: &'static str,
) -> Finding {
    Finding {
        id: format!("arn:aws:inspector2:{region}:{account}:finding/{hex}"),
        product: "inspector",
        company: "Amazon",
        name: "Inspector",
        region,
        generator: "AWSInspector".to_owned(),
        kind: "Software and Configuration Checks/Vulnerabilities/CVE".to_owned(),
        title: format!("{cve} - {package} {version}"),
        severity,
    }
}

/// Envelope and the first fields of the finding. A copy comes from the aggregation Region, where
/// Security Hub processed it a moment later.
fn head(world: &World, story: &Story, delivery: &Delivery, finding: &Finding, json: &mut JsonText) {
    let copied = delivery.copy == Copy::OtherRegion;
    let region = match (copied, finding.region) {
        (false, home) => home,
        (true, "us-east-1") => "us-west-2",
        (true, _) => "us-east-1",
    };
    let time_s = story.time_s(delivery.version);
    let id = envelope_id(world, delivery);
    let receiver = &world.account(1).id;
    let kind = "Security Hub Findings - Imported";
    envelope(json, &id, kind, "aws.securityhub", receiver, time_s, region);
    let product_arn = product_arn(finding);
    json.strings("resources", &[&format!("{product_arn}/{}", finding.id)]);
    json.open("detail");
    json.open_array("findings");
    json.open_element();
    let account = world.account(story.event.account);
    json.string("SchemaVersion", "2018-10-08");
    json.string("Id", &finding.id);
    json.string("ProductArn", &product_arn);
    json.string("ProductName", finding.name);
    json.string("CompanyName", finding.company);
    json.string("Region", finding.region);
    json.string("GeneratorId", &finding.generator);
    json.string("AwsAccountId", &account.id);
    json.string("AwsAccountName", &account.name);
    let processed_ms = time_s * 1_000 - 900 + i64::from(copied) * 400;
    json.string("ProcessedAt", &calendar::milli(processed_ms));
}

fn product_arn(finding: &Finding) -> String {
    format!("arn:aws:securityhub:{}::product/aws/{}", finding.region, finding.product)
}

fn middle(story: &Story, delivery: &Delivery, finding: &Finding, json: &mut JsonText) {
    json.strings("Types", &[&finding.kind]);
    // Now and then a customer rates a finding otherwise than its provider.
    let lowered = delivery.version & 1 == 1 && story.number.is_multiple_of(7);
    severity_object(if lowered { "LOW" } else { finding.severity }, json);
    json.string("Title", &finding.title);
}

fn severity_object(label: &str, json: &mut JsonText) {
    let normalized = SEVERITIES.iter().find(|(name, _)| *name == label).map_or(0, |(_, n)| *n);
    json.open("Severity");
    json.string("Label", label);
    json.literal("Normalized", normalized);
    json.string("Original", label);
    json.close();
}

fn remediation(finding: &Finding, json: &mut JsonText) {
    json.open("Remediation");
    json.open("Recommendation");
    json.string("Text", "See the documentation of this check for how to set it right.");
    json.string(
        "Url",
        &format!("https://docs.aws.amazon.com/console/{}/remediation", finding.product),
    );
    json.close();
    json.close();
}

fn product_fields(finding: &Finding, id: &str, about: &[(&str, u64)], json: &mut JsonText) {
    json.open("ProductFields");
    for (name, value) in about {
        json.string(&format!("aws/{}/service/{name}", finding.product), &value.to_string());
    }
    json.string("aws/securityhub/FindingId", &format!("{}/{id}", product_arn(finding)));
    json.string("aws/securityhub/ProductName", finding.name);
    json.string("aws/securityhub/CompanyName", finding.company);
    json.close();
}

fn resource(json: &mut JsonText, kind: &str, id: &str, region: &str) {
    json.open_element();
    json.string("Type", kind);
    json.string("Id", id);
    json.string("Partition", "aws");
    json.string("Region", region);
    json.close();
}

/// An id as Security Hub gives it to a resource of this type.
fn resource_id(kind: &str, region: &str, account: &str, name: &str) -> String {
    let within =
        |service: &str, rest: &str| format!("arn:aws:{service}:{region}:{account}:{rest}{name}");
    match kind {
        "AwsAccount" => format!("AWS::::Account:{account}"),
        "AwsS3Bucket" => format!("arn:aws:s3:::bucket-{name}"),
        "AwsIamUser" => format!("arn:aws:iam::{account}:user/user-{name}"),
        "AwsEc2SecurityGroup" => within("ec2", "security-group/sg-"),
        "AwsRdsDbInstance" => within("rds", "db:db-"),
        "AwsLambdaFunction" => within("lambda", "function:fn-"),
        "AwsKmsKey" => within("kms", "key/"),
        "AwsEksCluster" => within("eks", "cluster/"),
        _ => within("ec2", "instance/i-"),
    }
}

fn compliance(control: &str, severity: &str, json: &mut JsonText) {
    let passed = severity == "INFORMATIONAL";
    json.open("Compliance");
    json.string("Status", if passed { "PASSED" } else { "FAILED" });
    json.string("SecurityControlId", control);
    json.strings("RelatedRequirements", &["NIST.800-53.r5 AC-3", "PCI DSS v4.0.1/1.2.1"]);
    json.open_array("AssociatedStandards");
    json.open_element();
    json.string("StandardsId", "standards/aws-foundational-security-best-practices/v/1.0.0");
    json.close();
    json.close_array();
    json.close();
}

fn vulnerability(cve: &str, (package, version): (&str, &str), json: &mut JsonText) {
    json.open_array("Vulnerabilities");
    json.open_element();
    json.string("Id", cve);
    json.open_array("VulnerablePackages");
    json.open_element();
    json.string("Name", package);
    json.string("Version", version);
    json.string("PackageManager", "OS");
    json.close();
    json.close_array();
    json.open_array("Cvss");
    json.open_element();
    json.string("Version", "3.1");
    json.literal("BaseScore", "7.5");
    json.string("BaseVector", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H");
    json.close();
    json.close_array();
    json.string("FixAvailable", "YES");
    json.close();
    json.close_array();
}

/// The last fields: the states, which a customer's update changes, and the provider's own view.
fn tail(world: &World, story: &Story, delivery: &Delivery, finding: &Finding, json: &mut JsonText) {
    let updated = delivery.version & 1 == 1;
    let last = story.closes(delivery.version);
    json.string("WorkflowState", "NEW");
    json.open("Workflow");
    json.string(
        "Status",
        match (updated, last) {
            (true, true) => "RESOLVED",
            (true, false) => "NOTIFIED",
            _ => "NEW",
        },
    );
    json.close();
    json.string("RecordState", if last && !updated { "ARCHIVED" } else { "ACTIVE" });
    if updated {
        let mut words = Words::new(world, story, delivery.version);
        json.open("Note");
        json.string("Text", &words.remark(1));
        json.string("UpdatedBy", "soc-automation");
        let time_ms = story.time_s(delivery.version) * 1_000 - 1_250;
        json.string("UpdatedAt", &calendar::milli(time_ms));
        json.close();
        json.open("UserDefinedFields");
        json.string("ticket", &format!("SEC-{}", words.dice().between(1_000, 99_999)));
        json.close();
    }
    json.open("FindingProviderFields");
    json.open("Severity");
    json.string("Label", finding.severity);
    json.string("Original", finding.severity);
    json.close();
    json.strings("Types", &[&finding.kind]);
    json.close();
    json.close();
    json.close_array();
    json.close();
    json.close();
}

/// Security Hub's rules for Health findings (Security Hub User Guide, integration with AWS Health).
pub(super) fn severity(service: &str, code: &str) -> &'static str {
    let contains = |part: &str| code.contains(part);
    match service {
        "RISK" => "CRITICAL",
        _ if code == "AWS_S3_OPEN_ACCESS_BUCKET_NOTIFICATION" => "CRITICAL",
        "ABUSE" => "HIGH",
        _ if contains("SECURITY_NOTIFICATION") || contains("ABUSE_DETECTION") => "HIGH",
        _ => "MEDIUM",
    }
}
