//! In which order the members of an object lie when they are sorted by name.
//!
//! In: members as they were read. Out: their places, in the order of their names, of equal names the
//! last alone. Most objects have the members of one before, in the same order, so the orders found are
//! kept and tried first: one look along the members tells whether they fit. Nothing can go wrong. Memory:
//! [`KEPT`] orders of at most [`KEPT_MEMBERS_MAX`] members, and one more of any length.

use super::Member;

/// How many orders are kept.
const KEPT: usize = 64;
/// Objects of more members are sorted each time.
const KEPT_MEMBERS_MAX: usize = 256;

/// The orders of objects before.
#[derive(Debug, Default)]
pub(super) struct Orders {
    kept: Vec<Vec<u32>>,
    /// The start of each name, and its place.
    sorting: Vec<(u64, u32)>,
    long: Vec<u32>,
}

impl Orders {
    /// About how many bytes it holds.
    pub(super) fn bytes(&self) -> usize {
        let kept: usize = self.kept.iter().map(Vec::capacity).sum();
        (kept + self.long.capacity()) * size_of::<u32>()
            + self.sorting.capacity() * size_of::<(u64, u32)>()
    }

    /// The places of these members in the order of their names.
    pub(super) fn of(&mut self, members: &[Member<'_>]) -> &[u32] {
        self.kept.resize_with(KEPT, Vec::new);
        let is_kept = members.len() <= KEPT_MEMBERS_MAX;
        let slot = self.kept.get_mut(place(members)).filter(|_| is_kept);
        let order = slot.unwrap_or(&mut self.long);
        if !fits(order, members) {
            sort(members, &mut self.sorting, order);
        }
        order
    }
}

/// Where the order of these members is kept.
fn place(members: &[Member<'_>]) -> usize {
    let start = |member: Option<&Member<'_>>| member.map_or(0, |member| member.start);
    let (first, last) = (start(members.first()), start(members.last()));
    let mixed = first.rotate_left(17) ^ last ^ members.len() as u64;
    (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as usize % KEPT
}

/// Whether this order puts the names in order, none twice. It has each place at most once, so that
/// with as many places as there are members it has all of them.
fn fits(order: &[u32], members: &[Member<'_>]) -> bool {
    let sorted = order.iter().map(|at| members.get(*at as usize));
    order.len() == members.len()
        && sorted.is_sorted_by(|one, two| match (one, two) {
            (Some(one), Some(two)) => one.precedes(two),
            _ => false,
        })
}

/// Finds the order of these members anew.
fn sort(members: &[Member<'_>], sorting: &mut Vec<(u64, u32)>, order: &mut Vec<u32>) {
    let name = |at: u32| members.get(at as usize).map(|member| member.name);
    sorting.clear();
    sorting.extend(members.iter().map(|member| member.start).zip(0..));
    // Of equal names the last comes first, so that it is the one kept.
    sorting.sort_unstable_by(|one, two| {
        one.0.cmp(&two.0).then_with(|| name(one.1).cmp(&name(two.1)).then(two.1.cmp(&one.1)))
    });
    sorting.dedup_by(|later, kept| later.0 == kept.0 && name(later.1) == name(kept.1));
    order.clear();
    order.extend(sorting.iter().map(|(_, at)| *at));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::json::Json;

    type Placed = (&'static str, u32);

    fn sorted(orders: &mut Orders, names: &[&'static str]) -> Vec<Placed> {
        let members: Vec<Member<'_>> =
            names.iter().map(|name| Member::new(name, Json::Null)).collect();
        let order = orders.of(&members).iter();
        order.map(|at| (names[*at as usize], *at)).collect()
    }

    #[test]
    fn an_order_is_used_again_only_where_it_fits() {
        let mut orders = Orders::default();
        let cases: [(&[&str], &[Placed]); 6] = [
            (&["c", "a", "b"], &[("a", 1), ("b", 2), ("c", 0)]),
            // The same length, first and last name: the order of the one before, and not.
            (&["c", "aa", "b"], &[("aa", 1), ("b", 2), ("c", 0)]),
            (&["c", "d", "b"], &[("b", 2), ("c", 0), ("d", 1)]),
            (&["c", "b", "b"], &[("b", 2), ("c", 0)]),
            (&["c", "a", "b"], &[("a", 1), ("b", 2), ("c", 0)]),
            // Names that begin alike.
            (
                &["eventTypeCode", "eventTypeCategory"],
                &[("eventTypeCategory", 1), ("eventTypeCode", 0)],
            ),
        ];
        for _ in 0..2 {
            for (names, expected) in cases {
                assert_eq!(sorted(&mut orders, names), expected, "{names:?}");
            }
        }
    }

    #[test]
    fn long_objects_are_sorted_and_not_kept() {
        let names: Vec<&'static str> =
            (0..1_000).rev().map(|number| &*format!("{number:04}").leak()).collect();
        let mut orders = Orders::default();
        let order = sorted(&mut orders, &names);
        assert!(order.is_sorted() && order.len() == 1_000);
        assert!(orders.kept.iter().all(Vec::is_empty));
        assert_eq!(sorted(&mut orders, &["b", "a"]), [("a", 1), ("b", 0)]);
    }
}
