//! Which message lies in which object.
//!
//! In: the world. Out: one [`ObjectPlan`] after the other, in the order of time. Stories are swept
//! once; what is held are the messages of stories that began and have not all arrived yet, so
//! memory grows with the messages of a few days, not with the archive.

use std::collections::BTreeMap;

use super::story::{Delivery, Story};
use super::world::World;

/// The messages of one object.
#[derive(Debug)]
pub(super) struct ObjectPlan {
    /// The object's number; those under the error prefix have numbers of their own.
    pub(super) index: u64,
    /// It lies under the error prefix.
    pub(super) failed: bool,
    /// In the order of arrival; not empty.
    pub(super) deliveries: Vec<Delivery>,
}

/// The sweep.
#[derive(Debug)]
pub(super) struct Plan<'w> {
    world: &'w World,
    next_story: u64,
    next_object: u64,
    /// Messages that may still be given out.
    left: u64,
    waiting: BTreeMap<u64, Vec<Delivery>>,
    failed: Vec<Delivery>,
    /// An error object that follows the object just given.
    follower: Option<ObjectPlan>,
    sent: Vec<Delivery>,
}

impl<'w> Plan<'w> {
    /// The plan of this world's archive.
    pub(super) fn new(world: &'w World) -> Self {
        Self {
            world,
            next_story: 0,
            next_object: 0,
            left: world.options.events,
            waiting: BTreeMap::new(),
            failed: Vec::new(),
            follower: None,
            sent: Vec::new(),
        }
    }

    /// Takes up every story that may send something into the object.
    fn begin_stories(&mut self, object: u64) {
        while self.next_story < self.world.stories
            && self.world.object_at(self.world.begin_s(self.next_story)) <= object
        {
            let story = Story::roll(self.world, self.next_story);
            self.next_story += 1;
            self.sent.clear();
            story.deliveries(self.world, &mut self.sent);
            for delivery in self.sent.drain(..) {
                if self.left == 0 {
                    break;
                }
                self.left -= 1;
                let object = self.world.object_at(delivery.arrival_s);
                self.waiting.entry(object).or_default().push(delivery);
            }
        }
    }
}

impl Iterator for Plan<'_> {
    type Item = ObjectPlan;

    fn next(&mut self) -> Option<ObjectPlan> {
        if let Some(follower) = self.follower.take() {
            return Some(follower);
        }
        while self.next_object < self.world.main_objects {
            let (index, of) = (u128::from(self.next_object), u128::from(self.world.main_objects));
            self.begin_stories(self.next_object);
            let all = self.waiting.remove(&self.next_object).unwrap_or_default();
            self.next_object += 1;
            let (failed, mut deliveries): (Vec<_>, Vec<_>) =
                all.into_iter().partition(|delivery| delivery.failed);
            self.failed.extend(failed);
            let errors = u128::from(self.world.error_objects);
            let error_object = index * errors / of;
            if (index + 1) * errors / of > error_object && !self.failed.is_empty() {
                let mut deliveries = std::mem::take(&mut self.failed);
                deliveries.sort_unstable();
                let index = u64::try_from(error_object).unwrap_or(0);
                self.follower = Some(ObjectPlan { index, failed: true, deliveries });
            }
            if !deliveries.is_empty() {
                deliveries.sort_unstable();
                let index = u64::try_from(index).unwrap_or(0);
                return Some(ObjectPlan { index, failed: false, deliveries });
            }
            if let Some(follower) = self.follower.take() {
                return Some(follower);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::GenerateOptions;
    use super::*;

    #[test]
    fn all_messages_lie_in_some_object_and_times_rise() {
        let options = GenerateOptions {
            objects: 40,
            events: 5_000,
            days: 4,
            error_records: 0.01,
            ..GenerateOptions::default()
        };
        let world = World::new(&options).expect("good options");
        let mut total = 0;
        let mut indexes = std::collections::BTreeSet::new();
        for object in Plan::new(&world) {
            assert!(object.deliveries.is_sorted());
            assert!(object.deliveries.iter().all(|d| d.failed == object.failed));
            assert!(indexes.insert((object.failed, object.index)));
            total += object.deliveries.len();
        }
        assert_eq!(total, 5_000);
        assert_eq!(indexes.len(), 40);
    }
}
