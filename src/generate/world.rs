//! The world that an archive tells of: accounts, Regions, the span of time, and how many stories.
//!
//! In: the options. Out: a [`World`], which all else is a function of. Wrong options are told in a
//! sentence. Counting the stories rolls each one once, on all cores.

use rayon::prelude::*;

use super::calendar::DAY_S;
use super::catalog::{APPLICATIONS, REGIONS};
use super::random::{Dice, Purpose};
use super::story::{PRODUCTS, Product, Story};
use super::{GenerateError, GenerateOptions};

/// Stories rolled for each product to learn how many messages one sends.
const SAMPLE_STORIES: u64 = 300;
/// Stories counted at a time, at most.
const COUNT_STORIES: u64 = 32_768;
/// One object in so many lies under the error prefix.
const OBJECTS_PER_ERROR_OBJECT: u64 = 96;

/// An AWS account.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) id: String,
    pub(super) name: String,
}

/// What an archive is a function of.
#[derive(Debug)]
pub(super) struct World {
    pub(super) options: GenerateOptions,
    /// The first is the management account, the second the delegated administrator of Security Hub.
    pub(super) accounts: Vec<Account>,
    /// Seconds since 1970 of the archive's first second.
    pub(super) start_s: i64,
    /// Seconds that the archive spans.
    pub(super) span_s: i64,
    pub(super) stories: u64,
    pub(super) main_objects: u64,
    pub(super) error_objects: u64,
    /// For each of [`PRODUCTS`], the share of stories up to and including it.
    products: [f64; PRODUCTS.len()],
}

impl World {
    /// Checks the options and counts the stories.
    pub(super) fn new(options: &GenerateOptions) -> Result<Self, GenerateError> {
        options.check()?;
        let midnight = options.start.at(0, 0, 0, 0);
        let start = jiff::tz::TimeZone::UTC
            .to_timestamp(midnight)
            .map_err(|error| GenerateError::Options(error.to_string()))?;
        let failing = options.error_records > 0.0 && options.objects > 1;
        let error_objects =
            if failing { (options.objects / OBJECTS_PER_ERROR_OBJECT).max(1) } else { 0 };
        let mut world = Self {
            accounts: accounts(options),
            start_s: start.as_second(),
            span_s: i64::from(options.days) * DAY_S,
            stories: 1,
            main_objects: options.objects - error_objects,
            error_objects,
            products: [0.0; PRODUCTS.len()],
            options: options.clone(),
        };
        world.products = world.shares_of_stories();
        world.stories = world.count_stories();
        Ok(world)
    }

    /// The first second after the archive.
    pub(super) fn end_s(&self) -> i64 {
        self.start_s + self.span_s
    }

    /// When a story begins: stories follow one another evenly.
    pub(super) fn begin_s(&self, story: u64) -> i64 {
        let story = story.min(self.stories.saturating_sub(1));
        let offset = i128::from(self.span_s) * i128::from(story) / i128::from(self.stories.max(1));
        self.start_s + i64::try_from(offset).unwrap_or(0)
    }

    /// The object that is open at this second; what comes after the end lies in the last one.
    pub(super) fn object_at(&self, seconds: i64) -> u64 {
        let offset = (seconds - self.start_s).clamp(0, self.span_s - 1);
        let object = i128::from(offset) * i128::from(self.main_objects) / i128::from(self.span_s);
        u64::try_from(object).unwrap_or(0)
    }

    /// How many Regions are in use.
    pub(super) fn regions(&self) -> usize {
        usize::from(self.options.regions).clamp(1, REGIONS.len())
    }

    /// The account of this index, counted around.
    #[expect(clippy::indexing_slicing, reason = "there is at least one account")]
    pub(super) fn account(&self, index: usize) -> &Account {
        &self.accounts[index % self.accounts.len()]
    }

    /// Which product a story is about.
    pub(super) fn product(&self, dice: &mut Dice) -> Product {
        let at = dice.fraction();
        let found = self.products.iter().zip(PRODUCTS).find(|(up_to, _)| at < **up_to);
        found.map_or(Product::Native, |(_, product)| product)
    }

    /// The options give shares of messages; stories of one product send more than those of another.
    fn shares_of_stories(&self) -> [f64; PRODUCTS.len()] {
        let options = &self.options;
        let wanted = [
            options.native,
            options.asff,
            options.ocsf,
            options.other_asff,
            options.other_ocsf,
            options.noise * 0.3,
            options.noise * 0.7,
        ];
        let mut up_to = [0.0; PRODUCTS.len()];
        let mut sum = 0.0;
        for ((slot, share), product) in up_to.iter_mut().zip(wanted).zip(PRODUCTS) {
            let mut sent = Vec::new();
            for number in 0..SAMPLE_STORIES {
                let mut dice = Dice::new(options.seed, Purpose::Story, number);
                let story = Story::roll_as(self, number, product, &mut dice);
                story.deliveries(self, &mut sent);
            }
            sum += share * SAMPLE_STORIES as f64 / sent.len().max(1) as f64;
            *slot = sum;
        }
        up_to.map(|share| share / sum)
    }

    /// How many stories it takes to send all messages; the last one may be cut.
    fn count_stories(&self) -> u64 {
        // A story sends at least one message.
        let step = self.options.events.min(COUNT_STORIES);
        let mut messages = 0_u64;
        let mut counted = 0_u64;
        loop {
            let counts: Vec<u64> = (counted..counted + step)
                .into_par_iter()
                .map_init(Vec::new, |sent, number| {
                    sent.clear();
                    Story::roll(self, number).deliveries(self, sent);
                    sent.len() as u64
                })
                .collect();
            for (number, count) in (counted..).zip(counts) {
                messages += count;
                if messages >= self.options.events {
                    return number + 1;
                }
            }
            counted += step;
        }
    }
}

fn accounts(options: &GenerateOptions) -> Vec<Account> {
    let mut dice = Dice::new(options.seed, Purpose::World, 0);
    (0..options.accounts)
        .map(|number| {
            let id = dice.between(100_000_000_000, 999_999_999_999).to_string();
            let name = match number {
                0 => "management".to_owned(),
                1 => "security-tooling".to_owned(),
                _ => format!("{}-{number:03}", dice.pick(APPLICATIONS)),
            };
            Account { id, name }
        })
        .collect()
}
