//! One object: its messages written, spoiled where asked, packed and named.
//!
//! In: a plan of one object. Out: its key, its stored bytes and what it holds. A function of seed
//! and plan alone, so that objects can be made in any order on any thread. Memory: the stored bytes
//! and one message. Only a compressor can fail.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::json_text::JsonText;
use super::pack::{Format, Packer};
use super::plan::ObjectPlan;
use super::random::{Dice, Purpose, hex_digit};
use super::report::Tally;
use super::story::{Delivery, Product, Story};
use super::world::World;
use super::{Compression, asff, calendar, health, noise, ocsf};

/// The delivery stream's configuration changes after this share of the archive: its version rises.
const VERSION_RISES_AT_PERCENT: u64 = 60;
/// The share of objects whose suffix is not that of their content, under a mixed compression.
const WRONG_SUFFIX: f64 = 0.04;
/// The numbers of error objects begin here, far from those of the others.
const ERROR_OBJECT_INDEX: u64 = 1 << 48;
/// Where a message is cut, so that the cut lies inside a string.
const CUT_AFTER: [&str; 4] =
    ["\"latestDescription\":\"", "\"Description\":\"", "\"desc\":\"", "\"insightArn\":\""];
/// How far behind that place.
const CUT_BYTES: u64 = 28;
/// Bytes that belong to no document, in no encoding.
const GARBAGE: [u8; 6] = [0x00, 0x01, 0x7f, 0xc1, 0xf5, 0xff];

/// A finished object.
#[derive(Debug)]
pub(super) struct MadeObject {
    pub(super) key: String,
    pub(super) bytes: Bytes,
    /// In lower-case hexadecimal digits.
    pub(super) sha256: String,
    pub(super) tally: Tally,
}

/// Makes an object.
pub(super) fn make(world: &World, plan: &ObjectPlan) -> io::Result<MadeObject> {
    let index = if plan.failed { plan.index + ERROR_OBJECT_INDEX } else { plan.index };
    let mut dice = Dice::new(world.options.seed, Purpose::Object, index);
    let format = format(world.options.compression, &mut dice);
    let key = key(world, plan, format, &mut dice);
    let mut packer = Packer::new(format, &dice.uuid())?;
    let mut tally = Tally::default();
    let (mut message, mut record) = (JsonText::default(), JsonText::default());
    for (place, delivery) in plan.deliveries.iter().enumerate() {
        message.clear();
        write_message(world, delivery, &mut message);
        tally.message(delivery);
        if plan.failed {
            record.clear();
            write_error_record(delivery, message.as_str(), &mut dice, &mut record);
            tally.error_records += 1;
            add(record.as_str().as_bytes(), &mut packer, &mut tally)?;
            continue;
        }
        // Never at the very beginning, where it would hide what the object is made of.
        if dice.chance(world.options.bad_bytes) && place > 0 {
            tally.bad_pieces += 1;
            add(&bad_piece(message.as_str(), &mut dice), &mut packer, &mut tally)?;
        }
        add(message.as_str().as_bytes(), &mut packer, &mut tally)?;
    }
    let bytes = packer.finish()?;
    tally.objects = 1;
    tally.error_objects = u64::from(plan.failed);
    tally.stored_bytes = bytes.len() as u64;
    tally.by_compression.insert(format.name(), 1);
    let sha256 = hexadecimal(&Sha256::digest(&bytes));
    Ok(MadeObject { key, bytes: Bytes::from(bytes), sha256, tally })
}

fn add(bytes: &[u8], packer: &mut Packer, tally: &mut Tally) -> io::Result<()> {
    tally.raw_bytes += bytes.len() as u64;
    packer.write(bytes)
}

/// Appends the message of a delivery.
fn write_message(world: &World, delivery: &Delivery, json: &mut JsonText) {
    let story = &Story::roll(world, delivery.story);
    match story.product {
        Product::Native => health::write(world, story, delivery, json),
        Product::HealthAsff => asff::write_health(world, story, delivery, json),
        Product::HealthOcsf => ocsf::write_health(world, story, delivery, json),
        Product::OtherAsff => asff::write_other(world, story, delivery, json),
        Product::OtherOcsf => ocsf::write_other(world, story, delivery, json),
        Product::InsightResults => noise::write_insight(world, story, delivery, json),
        Product::ApiCall => noise::write_api_call(world, story, delivery, json),
    }
}

/// What Firehose writes when a Lambda could not transform a record (Firehose
/// Developer Guide, data transformation failures).
fn write_error_record(delivery: &Delivery, message: &str, dice: &mut Dice, json: &mut JsonText) {
    let arrival_ms = delivery.arrival_s * 1_000 + dice.between(0, 999);
    json.start();
    json.literal("attemptsMade", 4);
    json.literal("arrivalTimestamp", arrival_ms);
    json.string("errorCode", "Lambda.FunctionTimedOut");
    json.string("errorMessage", "The Lambda function did not answer in time");
    json.literal("attemptEndingTimestamp", arrival_ms + dice.between(60_000, 120_000));
    json.string("rawData", &STANDARD.encode(message));
    json.string("lambdaArn", "arn:aws:lambda:us-east-1:111122223333:function:enrich:$LATEST");
    json.close();
}

/// Bytes that are no document and stand before one: mostly the beginning of a message that was cut
/// off inside a string, else bytes that are no text at all.
fn bad_piece(message: &str, dice: &mut Dice) -> Vec<u8> {
    let start = CUT_AFTER.iter().find_map(|mark| Some(message.find(mark)? + mark.len()));
    if let (Some(start), true) = (start, dice.chance(0.7)) {
        let cut = start + usize::try_from(dice.below(CUT_BYTES)).unwrap_or(0);
        let piece = message.as_bytes().get(..cut).unwrap_or_default();
        // An escape cut in the middle would swallow the quote that follows.
        let whole = piece.iter().rposition(|byte| *byte != b'\\').map_or(0, |last| last + 1);
        return piece.get(..whole).unwrap_or_default().to_vec();
    }
    (0..dice.between(3, 60)).map(|_| dice.pick(&GARBAGE)).collect()
}

fn format(compression: Compression, dice: &mut Dice) -> Format {
    let mixed = match dice.below(100) {
        0..70 => Format::Gzip,
        70..78 => Format::GzipMembers,
        78..83 => Format::Plain,
        83..88 => Format::Zip,
        88..92 => Format::Zstd,
        92..96 => Format::Snappy,
        _ => Format::HadoopSnappy,
    };
    match compression {
        Compression::Mix => mixed,
        Compression::Gzip => Format::Gzip,
        Compression::None => Format::Plain,
        Compression::Zip => Format::Zip,
        Compression::Zstd => Format::Zstd,
        Compression::Snappy => Format::Snappy,
        Compression::HadoopSnappy => Format::HadoopSnappy,
    }
}

/// The key, as Firehose makes it from the arrival of the oldest record (Firehose
/// Developer Guide, Amazon S3 object names).
fn key(world: &World, plan: &ObjectPlan, format: Format, dice: &mut Dice) -> String {
    let options = &world.options;
    let arrival_s = plan.deliveries.first().map_or(world.start_s, |first| first.arrival_s);
    let arrival_s = arrival_s.min(world.end_s() - 1);
    let version =
        if world.object_at(arrival_s) * 100 < world.main_objects * VERSION_RISES_AT_PERCENT {
            1
        } else {
            2
        };
    let prefix = if plan.failed { "error/processing-failed/" } else { &options.prefix };
    let wrong = dice.chance(WRONG_SUFFIX) && options.compression == Compression::Mix;
    let suffix = if wrong { dice.pick(&["", ".gz", ".json", ".zip"]) } else { format.suffix() };
    format!(
        "{prefix}{}{}-{version}-{}-{}{suffix}",
        calendar::prefix(arrival_s),
        options.stream,
        calendar::name(arrival_s),
        dice.uuid(),
    )
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [hex_digit(u64::from(byte >> 4)), hex_digit(u64::from(byte & 15))])
        .collect()
}
