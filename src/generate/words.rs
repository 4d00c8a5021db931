//! Descriptions: what a person would read in an event or a finding.
//!
//! In: a story, a version. Out: 300 to 3,000 characters of made-up but plausible text, the same for
//! every copy, page and account of a version. Text between pages differs enough that an archive
//! compresses about as well as a real one.

use super::calendar;
use super::catalog::REGIONS;
use super::phrases::{
    ADVICE, CAUSES, CLOSINGS, ENDINGS, MIDDLES, OPENINGS, TRANSLATIONS, UPDATES, WORDS,
};
use super::random::{Dice, Purpose};
use super::story::{Category, Story};
use super::world::World;

/// The longest `Description` in ASFF, in characters.
const ASFF_DESCRIPTION_CHARS: usize = 1_024;
const TRUNCATED: &str = "(truncated)";

/// The words of one version of a story.
#[derive(Debug)]
pub(super) struct Words {
    dice: Dice,
    service: &'static str,
    noun: &'static str,
    region: &'static str,
    time_s: i64,
}

impl Words {
    /// The words for this version.
    pub(super) fn new(world: &World, story: &Story, version: u8) -> Self {
        let index = (story.number << 8) | u64::from(version);
        let region = story.event.region.and_then(|region| REGIONS.get(region));
        Self {
            dice: Dice::new(world.options.seed, Purpose::Words, index),
            service: story.event.kind.service,
            noun: story.event.kind.noun,
            region: region.map_or("all Regions", |(_, name)| name),
            time_s: story.time_s(version),
        }
    }

    /// The description of a Health event; `breaks` stands between paragraphs.
    pub(super) fn description(&mut self, story: &Story, version: u8, breaks: &str) -> String {
        // Short ones are more usual than long ones.
        let short = self.dice.below(2_600).min(self.dice.below(2_600)).min(self.dice.below(2_600));
        let wanted = 300 + usize::try_from(short).unwrap_or(0);
        let mut text = String::with_capacity(wanted + 400);
        if story.closes(version) && self.dice.chance(0.8) {
            self.sentence(of_category(CLOSINGS, story), &mut text);
        } else {
            if version > 0 && story.event.kind.category == Category::Issue {
                self.sentence(UPDATES, &mut text);
                text.push_str(breaks);
            }
            self.sentence(of_category(OPENINGS, story), &mut text);
        }
        while text.len() < wanted {
            text.push_str(if self.dice.chance(0.4) { breaks } else { " " });
            self.sentence(MIDDLES, &mut text);
        }
        text.push_str(breaks);
        self.sentence(ENDINGS, &mut text);
        if self.dice.chance(0.02) {
            text.push_str(breaks);
            text.push_str(self.dice.pick(TRANSLATIONS));
        }
        text
    }

    /// A sentence or two for a finding.
    pub(super) fn remark(&mut self, sentences: usize) -> String {
        let mut text = String::new();
        for number in 0..sentences {
            if number > 0 {
                text.push(' ');
            }
            self.sentence(MIDDLES, &mut text);
        }
        text
    }

    /// One of these sentences with its blanks filled in.
    fn sentence(&mut self, sentences: &[&str], out: &mut String) {
        let sentence = self.dice.pick(sentences);
        self.fill(sentence, out);
    }

    /// This text with its blanks filled in.
    pub(super) fn fill(&mut self, text: &str, out: &mut String) {
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            out.push_str(before);
            let (blank, tail) = after.split_once('}').unwrap_or((after, ""));
            self.blank(blank, out);
            rest = tail;
        }
        out.push_str(rest);
    }

    fn blank(&mut self, blank: &str, out: &mut String) {
        match blank {
            "s" => out.push_str(self.service),
            "n" => out.push_str(self.noun),
            "r" => out.push_str(self.region),
            "c" => out.push_str(self.dice.pick(CAUSES)),
            "a" => out.push_str(self.dice.pick(ADVICE)),
            "w" => out.push_str(self.dice.pick(WORDS)),
            "u" => out.push_str(&self.service.to_lowercase()),
            "k" => out.push_str(&self.dice.between(1, 9).to_string()),
            "x" => self.dice.hex(10, out),
            "d" => {
                let days = self.dice.between(1, 60);
                out.push_str(&calendar::day(self.time_s + days * calendar::DAY_S));
            }
            "t" => {
                let earlier = self.dice.between(0, 300) * 60;
                out.push_str(&calendar::wall_clock(self.time_s - earlier));
            }
            other => out.push_str(other),
        }
    }

    /// The dice of this version, for what else changes with it.
    pub(super) fn dice(&mut self) -> &mut Dice {
        &mut self.dice
    }
}

/// The sentences for a story's category.
fn of_category(
    table: &[(Category, &'static [&'static str])],
    story: &Story,
) -> &'static [&'static str] {
    let category = story.event.kind.category;
    table.iter().find(|(of, _)| *of == category).map_or(UPDATES, |(_, sentences)| sentences)
}

/// A description as Security Hub cuts it: at most 1,024 characters.
pub(super) fn cut_for_asff(text: &mut String) {
    if text.chars().count() > ASFF_DESCRIPTION_CHARS {
        let kept = ASFF_DESCRIPTION_CHARS - TRUNCATED.len();
        let end = text.char_indices().nth(kept).map_or(text.len(), |(at, _)| at);
        text.truncate(end);
        text.push_str(TRUNCATED);
    }
}

#[cfg(test)]
mod tests {
    use super::super::GenerateOptions;
    use super::*;

    #[test]
    fn descriptions_have_no_blanks_left_and_a_plausible_length() {
        let options = GenerateOptions { events: 3_000, ..GenerateOptions::default() };
        let world = World::new(&options).expect("good options");
        for number in 0..300 {
            let story = Story::roll(&world, number);
            for version in 0..story.versions {
                let words = || Words::new(&world, &story, version);
                let mut text = words().description(&story, version, "\n");
                assert_eq!(text, words().description(&story, version, "\n"));
                assert!(!text.contains(['{', '}']), "{text}");
                assert!((300..3_600).contains(&text.len()), "{}", text.len());
                cut_for_asff(&mut text);
                assert!(text.chars().count() <= ASFF_DESCRIPTION_CHARS);
            }
        }
    }
}
