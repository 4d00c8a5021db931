//! A story: one event or finding, from its first message to its last.
//!
//! In: the world (options, accounts, seed) and a story's number. Out: what happens in it, when, and
//! which messages it sends; always the same for the same number. Rolling a story takes about a
//! microsecond, so that it is rolled again wherever one of its messages is written.

use super::calendar::DAY_S;
use super::catalog::{EVENT_TYPES, EventType, GLOBAL_SERVICES, INVESTIGATION, REGIONS};
use super::random::{Dice, Purpose};
use super::world::World;

/// The versions that a story can have.
pub(super) const VERSIONS_MAX: usize = 8;
/// No story lasts longer.
pub(super) const STORY_S_MAX: i64 = 5 * DAY_S;

/// The category of a Health event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Category {
    Issue,
    Change,
    Notification,
    Investigation,
}

/// What a story's messages are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Product {
    /// A native Health event.
    Native,
    /// A Health finding in ASFF.
    HealthAsff,
    /// A Health finding in OCSF.
    HealthOcsf,
    /// Another product's finding in ASFF.
    OtherAsff,
    /// Another product's finding in OCSF.
    OtherOcsf,
    /// Insight Results of Security Hub: no finding inside.
    InsightResults,
    /// A call of the Health API, as `CloudTrail` reports it: no finding inside.
    ApiCall,
}

/// All products, in the order of [`Product`].
pub(super) const PRODUCTS: [Product; 7] = [
    Product::Native,
    Product::HealthAsff,
    Product::HealthOcsf,
    Product::OtherAsff,
    Product::OtherOcsf,
    Product::InsightResults,
    Product::ApiCall,
];

/// Which Health event it is about: the same for native events and for the findings made from them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    /// The number of the story that first told of it.
    pub(super) number: u64,
    pub(super) kind: &'static EventType,
    /// Index of the affected account; public events go on to the ones after it.
    pub(super) account: usize,
    /// Index of the affected Region, `None` for `global`.
    pub(super) region: Option<usize>,
    /// Seconds from its first message to its `startTime`; below 0 for what began before.
    lead_s: i64,
}

/// How a native event departs from the documented form, as old and odd ones do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Oddity {
    None,
    /// From before communication ids, scope and update times.
    Legacy,
    /// Without `resources` in the envelope.
    NoResources,
    /// `lastUpdatedtime` in the entities.
    Spelling,
    /// Days below ten with one digit.
    ShortDay,
    /// A weekday that does not fit its date.
    WrongWeekday,
    /// Told again long after the last update.
    Stale,
}

/// One story.
#[derive(Debug)]
pub(super) struct Story {
    pub(super) number: u64,
    pub(super) product: Product,
    pub(super) event: Event,
    pub(super) oddity: Oddity,
    /// Seconds since 1970 of its first message.
    pub(super) begin_s: i64,
    /// How many versions it has.
    pub(super) versions: u8,
    /// To how many accounts each version goes.
    pub(super) accounts: u8,
    /// In how many pages each version comes.
    pub(super) pages: u8,
    /// Seconds from the first message to each version.
    offsets_s: [i64; VERSIONS_MAX],
}

/// One message of a story and how it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Delivery {
    /// Seconds since 1970 at which Firehose takes it.
    pub(super) arrival_s: i64,
    /// The story's number.
    pub(super) story: u64,
    /// From 0.
    pub(super) version: u8,
    /// Which of the accounts it goes to, from 0.
    pub(super) account: u8,
    /// From 0.
    pub(super) page: u8,
    /// Why it comes.
    pub(super) copy: Copy,
    /// It comes in a record under the error prefix.
    pub(super) failed: bool,
    pub(super) product: Product,
}

/// Why a message comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Copy {
    /// For the first time.
    First,
    /// By way of another Region, under another envelope id.
    OtherRegion,
    /// Once more, byte for byte.
    Again,
}

impl Story {
    /// The story of this number.
    pub(super) fn roll(world: &World, number: u64) -> Self {
        let mut dice = Dice::new(world.options.seed, Purpose::Story, number);
        let product = world.product(&mut dice);
        Self::roll_as(world, number, product, &mut dice)
    }

    /// The story of this number as if it were of this product.
    pub(super) fn roll_as(world: &World, number: u64, product: Product, dice: &mut Dice) -> Self {
        let event = match product {
            Product::HealthAsff | Product::HealthOcsf => Event::security(world, number),
            _ => Event::roll(world, number, false),
        };
        let mut story = Self {
            number,
            product,
            event,
            oddity: Oddity::None,
            begin_s: world.begin_s(number),
            versions: 1,
            accounts: 1,
            pages: 1,
            offsets_s: [0; VERSIONS_MAX],
        };
        story.roll_course(world, dice);
        story.roll_times(world, dice);
        story
    }

    /// How many versions, accounts and pages.
    fn roll_course(&mut self, world: &World, dice: &mut Dice) {
        let category = self.event.kind.category;
        let versions = match (self.product, category) {
            (Product::Native, Category::Issue) => dice.between(2, 6),
            (Product::Native, Category::Change) => dice.between(2, 4),
            (Product::Native, Category::Notification) => dice.between(1, 2),
            (Product::Native, Category::Investigation) => dice.between(2, 3),
            (Product::HealthAsff | Product::HealthOcsf, _) => dice.between(1, 4),
            (Product::OtherAsff | Product::OtherOcsf, _) => dice.between(1, 5),
            (Product::InsightResults | Product::ApiCall, _) => 1,
        };
        self.versions = u8::try_from(versions).unwrap_or(1);
        if self.product != Product::Native {
            return;
        }
        if self.event.kind.public || dice.chance(0.05) {
            let most = world.accounts.len().min(6);
            self.accounts = u8::try_from(dice.index(most) + 1).unwrap_or(1);
        } else if dice.chance(world.options.pages) {
            self.pages = u8::try_from(dice.between(2, 5)).unwrap_or(1);
        } else if dice.chance(world.options.oddities) {
            self.oddity = dice.pick(&[
                Oddity::Legacy,
                Oddity::NoResources,
                Oddity::Spelling,
                Oddity::ShortDay,
                Oddity::WrongWeekday,
                Oddity::Stale,
            ]);
        }
    }

    /// When each version comes: ever later, and all before the archive ends.
    fn roll_times(&mut self, world: &World, dice: &mut Dice) {
        let longest = STORY_S_MAX.min(world.span_s / 4);
        let typical = match self.event.kind.category {
            Category::Issue => 6 * 3_600,
            Category::Change => STORY_S_MAX,
            Category::Notification | Category::Investigation => 2 * DAY_S,
        };
        let left = (world.end_s() - 1 - self.begin_s).max(0);
        let length = dice.between(typical / 8, typical).min(longest).min(left);
        let versions = i64::from(self.versions);
        for (version, offset) in (0_i64..).zip(self.offsets_s.iter_mut().take(self.versions.into()))
        {
            let step = length / versions;
            *offset = version * step + dice.between(0, step / 2);
        }
    }

    /// The second in the envelope of this version, and so close to its updates.
    pub(super) fn time_s(&self, version: u8) -> i64 {
        self.begin_s + self.offsets_s.get(usize::from(version)).copied().unwrap_or(0)
    }

    /// Whether this version is the last and tells of the end.
    pub(super) fn closes(&self, version: u8) -> bool {
        version > 0 && version + 1 == self.versions
    }

    /// All its messages, in the order of versions, the first of each version before its copies.
    pub(super) fn deliveries(&self, world: &World, out: &mut Vec<Delivery>) {
        let options = &world.options;
        let mut dice = Dice::new(options.seed, Purpose::Delivery, self.number);
        let copied = !matches!(self.product, Product::InsightResults | Product::ApiCall)
            && !matches!(self.oddity, Oddity::Legacy | Oddity::Stale);
        for version in 0..self.versions {
            for account in 0..self.accounts {
                let backup = dice.chance(options.backup_copies) && copied;
                for page in 0..self.pages {
                    let late = if dice.chance(options.late) {
                        dice.between(3_600, 2 * DAY_S)
                    } else {
                        dice.between(1, 40)
                    };
                    let first = Delivery {
                        arrival_s: self.time_s(version) + late,
                        story: self.number,
                        version,
                        account,
                        page,
                        copy: Copy::First,
                        failed: dice.chance(options.error_records) && world.error_objects > 0,
                        product: self.product,
                    };
                    out.push(first);
                    if backup {
                        let arrival_s = first.arrival_s + dice.between(0, 20);
                        let copy = Copy::OtherRegion;
                        out.push(Delivery { arrival_s, copy, failed: false, ..first });
                    }
                    if dice.chance(options.duplicates) {
                        let arrival_s = first.arrival_s + dice.between(1, DAY_S);
                        out.push(Delivery { arrival_s, copy: Copy::Again, failed: false, ..first });
                    }
                }
            }
        }
    }
}

impl Event {
    fn roll(world: &World, number: u64, security: bool) -> Self {
        let mut dice = Dice::new(world.options.seed, Purpose::Event, number);
        let chosen = kind(&mut dice, security);
        let account = dice.index(world.accounts.len()).min(dice.index(world.accounts.len()));
        let region = dice.index(world.regions()).min(dice.index(world.regions()));
        let region = (!GLOBAL_SERVICES.contains(&chosen.service)).then_some(region);
        let lead_s = match chosen.category {
            Category::Change if chosen.code.ends_with("PLANNED_LIFECYCLE_EVENT") => {
                dice.between(60, 300) * DAY_S
            }
            Category::Change => dice.between(2, 30) * DAY_S,
            Category::Issue | Category::Investigation => -dice.between(60, 1_800),
            Category::Notification => -dice.between(0, 3_600),
        };
        Self { number, kind: chosen, account, region, lead_s }
    }

    /// Seconds since 1970 of its `startTime`.
    pub(super) fn start_s(&self, world: &World) -> i64 {
        world.begin_s(self.number) + self.lead_s
    }

    /// The Region's code, or `global`.
    pub(super) fn region_code(&self) -> &'static str {
        self.region.and_then(|region| REGIONS.get(region)).map_or("global", |(code, _)| code)
    }

    /// Its ARN with this text in the account's place.
    pub(super) fn arn(&self, world: &World, account: &str) -> String {
        let mut dice = Dice::new(world.options.seed, Purpose::Name, self.number);
        let (region, service, code) = (self.region_code(), self.kind.service, self.kind.code);
        let mut arn = format!("arn:aws:health:{region}:{account}:event/{service}/{code}/{code}_");
        match dice.below(3) {
            0 => arn.push_str(&dice.uuid()),
            1 => dice.hex(64, &mut arn),
            _ => {
                arn.push_str(service);
                arn.push('_');
                dice.hex(12, &mut arn);
            }
        }
        arn
    }

    /// The event of the story before, where Security Hub would take it over and it is told natively
    /// too; else one of its own. So some events come in two shapes.
    fn security(world: &World, number: u64) -> Self {
        if let Some(before) = number.checked_sub(1) {
            let product = world.product(&mut Dice::new(world.options.seed, Purpose::Story, before));
            let event = Self::roll(world, before, false);
            if product == Product::Native && event.kind.security {
                return event;
            }
        }
        Self::roll(world, number, true)
    }
}

/// One of the event types, by weight; only of those that Security Hub takes over, if `security`.
fn kind(dice: &mut Dice, security: bool) -> &'static EventType {
    let eligible = || EVENT_TYPES.iter().filter(|kind| kind.security || !security);
    let mut left = dice.below(eligible().map(|kind| kind.weight).sum());
    let found = eligible().find(|kind| match left.checked_sub(kind.weight) {
        Some(less) => {
            left = less;
            false
        }
        None => true,
    });
    found.unwrap_or(&INVESTIGATION)
}

#[cfg(test)]
mod tests {
    use super::super::GenerateOptions;
    use super::*;

    #[test]
    fn stories_stay_inside_the_archive_and_move_forward() {
        let options = GenerateOptions { events: 2_000, days: 3, ..GenerateOptions::default() };
        let world = World::new(&options).expect("good options");
        for number in 0..world.stories {
            let story = Story::roll(&world, number);
            let times: Vec<i64> = (0..story.versions).map(|v| story.time_s(v)).collect();
            assert!(times.is_sorted(), "{times:?}");
            assert!(times.iter().all(|t| (world.start_s..world.end_s()).contains(t)));
            let mut deliveries = Vec::new();
            story.deliveries(&world, &mut deliveries);
            let firsts = deliveries.iter().filter(|d| d.copy == Copy::First).count();
            let expected =
                u32::from(story.versions) * u32::from(story.accounts) * u32::from(story.pages);
            assert_eq!(firsts, expected as usize);
        }
    }

    #[test]
    fn some_findings_share_their_event_with_a_native_one() {
        let options = GenerateOptions { events: 20_000, ..GenerateOptions::default() };
        let world = World::new(&options).expect("good options");
        let shared = (0..world.stories)
            .map(|number| Story::roll(&world, number))
            .filter(|story| story.event.number != story.number)
            .count();
        assert!(shared > 10, "{shared}");
    }
}
