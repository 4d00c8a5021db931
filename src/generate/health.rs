//! Native AWS Health events, in their EventBridge envelope (Health User Guide, event schema).
//!
//! In: a message of a story. Out: its JSON, appended. A page, a copy through another Region and the
//! original differ in nothing but what the documentation says: entities and page number, or
//! envelope id, Region and `backupEvent`.

use super::calendar;
use super::catalog::{EntityKind, METADATA};
use super::json_text::JsonText;
use super::random::{Dice, Purpose};
use super::story::{Category, Copy, Delivery, Event, Oddity, Story};
use super::words::Words;
use super::world::World;

/// The Region that backup copies come from, and that of those whose primary it is.
const BACKUP_REGION: &str = "us-west-2";
const BACKUP_OF_BACKUP: &str = "us-east-1";

/// One affected entity.
#[derive(Debug)]
pub(super) struct Entity {
    pub(super) value: String,
    pub(super) status: &'static str,
    updated_s: i64,
    application: &'static str,
    environment: &'static str,
    tagged: bool,
}

/// The fields of an EventBridge envelope up to `region`; `resources` and `detail` follow.
pub(super) fn envelope(
    json: &mut JsonText,
    id: &str,
    detail_type: &str,
    source: &str,
    account: &str,
    time_s: i64,
    region: &str,
) {
    json.start();
    json.string("version", "0");
    json.string("id", id);
    json.string("detail-type", detail_type);
    json.string("source", source);
    json.string("account", account);
    json.string("time", &calendar::second(time_s));
    json.string("region", region);
}

/// The id of a message's envelope: a copy through another Region has one of its own.
pub(super) fn envelope_id(world: &World, delivery: &Delivery) -> String {
    let other = u64::from(delivery.copy == Copy::OtherRegion);
    let index = (delivery.story << 20)
        | (u64::from(delivery.version) << 14)
        | (u64::from(delivery.account) << 8)
        | (u64::from(delivery.page) << 1)
        | other;
    Dice::new(world.options.seed, Purpose::Message, index).uuid()
}

/// Appends a native event.
pub(super) fn write(world: &World, story: &Story, delivery: &Delivery, json: &mut JsonText) {
    let event = &story.event;
    let backup = delivery.copy == Copy::OtherRegion;
    let home = if event.region.is_some() { event.region_code() } else { "us-east-1" };
    let region = match (backup, home) {
        (false, home) => home,
        (true, BACKUP_REGION) => BACKUP_OF_BACKUP,
        (true, _) => BACKUP_REGION,
    };
    let detail_type = match event.kind.service {
        "ABUSE" => "AWS Health Abuse Event",
        _ => "AWS Health Event",
    };
    let time_s = story.time_s(delivery.version);
    let receiver = &world.account(0).id;
    let affected = event.account + usize::from(delivery.account);
    let entities = entities(world, story, delivery, affected);
    let id = envelope_id(world, delivery);
    envelope(json, &id, detail_type, "aws.health", receiver, time_s, region);
    if story.oddity != Oddity::NoResources {
        json.open_array("resources");
        for entity in &entities {
            json.element(&entity.value);
        }
        json.close_array();
    }
    json.open("detail");
    identity(world, story, delivery, json);
    times(world, story, delivery, json);
    description(world, story, delivery, json);
    write_entities(story, &entities, json);
    if story.oddity != Oddity::Legacy {
        json.string("page", &(delivery.page + 1).to_string());
        json.string("totalPages", &story.pages.to_string());
        json.string("backupEvent", if backup { "true" } else { "false" });
        json.string("affectedAccount", &world.account(affected).id);
        actionability(event, story, json);
    }
    json.close();
    json.close();
}

fn identity(world: &World, story: &Story, delivery: &Delivery, json: &mut JsonText) {
    let event = &story.event;
    json.string("eventArn", &event.arn(world, ""));
    json.string("service", event.kind.service);
    json.string("eventTypeCode", event.kind.code);
    json.string("eventTypeCategory", category_name(event.kind.category));
    if story.oddity == Oddity::Legacy {
        return;
    }
    json.string("eventScopeCode", if event.kind.public { "PUBLIC" } else { "ACCOUNT_SPECIFIC" });
    let index = (story.number << 8) | 0x80 | u64::from(delivery.version);
    let mut communication = String::with_capacity(66);
    Dice::new(world.options.seed, Purpose::Name, u64::MAX - index).hex(64, &mut communication);
    communication.push('-');
    communication.push_str(&(delivery.page + 1).to_string());
    json.string("communicationId", &communication);
}

fn times(world: &World, story: &Story, delivery: &Delivery, json: &mut JsonText) {
    let event = &story.event;
    let time_s = story.time_s(delivery.version);
    let start_s = event.start_s(world);
    let text = |seconds: i64| {
        let mut text = calendar::health(seconds, story.oddity == Oddity::ShortDay);
        if story.oddity == Oddity::WrongWeekday {
            text.replace_range(..3, "Sun");
        }
        text
    };
    json.string("startTime", &text(start_s));
    match event.kind.category {
        Category::Change => json.string("endTime", &text(start_s + 4 * 3_600)),
        _ if story.closes(delivery.version) => json.string("endTime", &text(time_s - 120)),
        _ => {}
    }
    if story.oddity == Oddity::Legacy {
        return;
    }
    let behind_s = match story.oddity {
        Oddity::Stale => 5 * calendar::DAY_S,
        // Some seconds, the same for all copies of a version.
        _ => i64::try_from((story.number + u64::from(delivery.version)) % 37).unwrap_or(0),
    };
    json.string("lastUpdatedTime", &text(time_s - behind_s));
    json.string("statusCode", status(story, delivery.version));
    json.string("eventRegion", event.region_code());
}

fn description(world: &World, story: &Story, delivery: &Delivery, json: &mut JsonText) {
    let mut words = Words::new(world, story, delivery.version);
    // Newer services break lines; older ones send a backslash and an n.
    let breaks = if story.number % 5 < 2 { "\n\n" } else { "\\n\\n" };
    let text = words.description(story, delivery.version, breaks);
    json.open_array("eventDescription");
    json.open_element();
    json.string("language", "en_US");
    json.string("latestDescription", &text);
    json.close();
    json.close_array();
    let fields = words.dice().index(4);
    if fields > 0 && !story.event.kind.public {
        let from = words.dice().index(METADATA.len());
        json.open("eventMetadata");
        for (name, value) in METADATA.iter().cycle().skip(from).take(fields) {
            let mut filled = String::new();
            words.fill(value, &mut filled);
            json.string(name, &filled);
        }
        json.close();
    }
}

fn write_entities(story: &Story, entities: &[Entity], json: &mut JsonText) {
    let updated = match story.oddity {
        Oddity::Spelling => "lastUpdatedtime",
        _ => "lastUpdatedTime",
    };
    json.open_array("affectedEntities");
    for entity in entities {
        json.open_element();
        json.string("entityValue", &entity.value);
        if story.oddity != Oddity::Legacy {
            let text = calendar::health(entity.updated_s, story.oddity == Oddity::ShortDay);
            json.string(updated, &text);
            json.string("status", entity.status);
        }
        if entity.tagged {
            json.open("tags");
            json.string("app", entity.application);
            json.string("env", entity.environment);
            json.close();
        }
        json.close();
    }
    json.close_array();
}

fn actionability(event: &Event, story: &Story, json: &mut JsonText) {
    // Not set for outages of a service.
    if event.kind.public {
        return;
    }
    let (actionability, personas): (_, &[&str]) = match event.kind.category {
        _ if event.kind.service == "BILLING" => ("ACTION_MAY_BE_REQUIRED", &["BILLING"]),
        _ if event.kind.security => ("ACTION_REQUIRED", &["SECURITY", "OPERATIONS"]),
        Category::Change => ("ACTION_REQUIRED", &["OPERATIONS"]),
        _ if story.number.is_multiple_of(2) => ("INFORMATIONAL", &["OPERATIONS"]),
        _ => ("ACTION_MAY_BE_REQUIRED", &["OPERATIONS"]),
    };
    json.string("actionability", actionability);
    json.strings("personas", personas);
}

fn category_name(category: Category) -> &'static str {
    match category {
        Category::Issue => "issue",
        Category::Change => "scheduledChange",
        Category::Notification => "accountNotification",
        Category::Investigation => "investigation",
    }
}

fn status(story: &Story, version: u8) -> &'static str {
    match story.event.kind.category {
        _ if story.closes(version) => "closed",
        Category::Change => "upcoming",
        _ => "open",
    }
}

/// The entities of one page of a message, none for public events.
pub(super) fn entities(
    world: &World,
    story: &Story,
    delivery: &Delivery,
    affected: usize,
) -> Vec<Entity> {
    if story.event.kind.public {
        return Vec::new();
    }
    let salt = story.number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    let count = if story.pages > 1 { 20 + salt % 60 } else { 1 + (salt % 7) * (salt >> 8 & 7) / 9 };
    let first = u64::from(delivery.page) * count;
    (first..first + count).map(|number| entity(world, story, delivery, affected, number)).collect()
}

fn entity(
    world: &World,
    story: &Story,
    delivery: &Delivery,
    affected: usize,
    number: u64,
) -> Entity {
    use super::catalog::{APPLICATIONS, ENVIRONMENTS};
    let account_place = (affected % world.accounts.len()) as u64;
    let index = (story.event.number << 24) | (account_place << 12) | number;
    let mut dice = Dice::new(world.options.seed, Purpose::Entity, index);
    let application = dice.pick(APPLICATIONS);
    let environment = dice.pick(ENVIRONMENTS);
    let account = &world.account(affected).id;
    let value = entity_value(&story.event, account, application, environment, &mut dice);
    let time_s = story.time_s(delivery.version);
    let status = match story.event.kind.category {
        _ if story.closes(delivery.version) => "RESOLVED",
        Category::Change => "PENDING",
        Category::Issue if delivery.version > 0 && number % 3 == 1 => "UNIMPAIRED",
        Category::Issue => "IMPAIRED",
        _ if number % 4 == 3 => "UNKNOWN",
        _ => "PENDING",
    };
    let updated_s = time_s - dice.between(30, 7_200);
    Entity { value, status, updated_s, application, environment, tagged: dice.chance(0.35) }
}

fn entity_value(
    event: &Event,
    account: &str,
    application: &str,
    environment: &str,
    dice: &mut Dice,
) -> String {
    let region = if event.region.is_some() { event.region_code() } else { "us-east-1" };
    let mut id = String::new();
    dice.hex(17, &mut id);
    let (head, _) = id.split_at(8);
    match event.kind.entity {
        EntityKind::Instance if event.kind.service == "ABUSE" => {
            format!("arn:aws:ec2:{region}:{account}:instance/i-{id}")
        }
        EntityKind::Instance => format!("i-{id}"),
        EntityKind::Volume => format!("vol-{id}"),
        EntityKind::Database => {
            format!("arn:aws:rds:{region}:{account}:db:{application}-{environment}-{head}")
        }
        EntityKind::Bucket => format!("arn:aws:s3:::{application}-{environment}-{head}"),
        EntityKind::Function => {
            format!("arn:aws:lambda:{region}:{account}:function:{application}-{head}:$LATEST")
        }
        EntityKind::Cluster if event.kind.service == "ECS" => {
            format!("{environment}-cluster/{application}-{head}")
        }
        EntityKind::Cluster => {
            let service = event.kind.service.to_lowercase();
            format!("arn:aws:{service}:{region}:{account}:cluster/{application}-{head}")
        }
        EntityKind::Certificate => {
            format!("arn:aws:acm:{region}:{account}:certificate/{}", dice.uuid())
        }
        EntityKind::User => format!("arn:aws:iam::{account}:user/{application}-{head}"),
        EntityKind::AccessKey => format!("AKIA{}", id.to_uppercase().split_at(16).0),
        EntityKind::LoadBalancer => format!(
            "arn:aws:elasticloadbalancing:{region}:{account}:loadbalancer/app/{application}/{id}"
        ),
        EntityKind::Vpn => format!("vpn-{id}"),
        EntityKind::Domain => format!("{application}-{head}.{environment}.example.com"),
        EntityKind::Email => format!("{application}+{head}@example.com"),
        EntityKind::Account => account.to_owned(),
        EntityKind::Unknown => "UNKNOWN".to_owned(),
    }
}
