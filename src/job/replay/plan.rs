//! Which objects a replay reads, and which of them are left behind a cursor.
//!
//! In: the archives' listings. Out: objects in the order of their last change, so that what comes later lies
//! behind what was sent. What can go wrong: the store. Memory: some 300 bytes for each object.

use std::cmp::Ordering;

use super::Replayed;
use super::records::{Cursor, Source};
use crate::archive::discover::{DiscoverOptions, Skip, discover};
use crate::job::plan::{Archive, Hours};
use crate::job::progress::Progress;
use crate::store::ObjectMeta;

/// Lists the archives, in the order of the objects' last change: what comes later lies behind.
pub(super) async fn list(
    archives: &[Archive],
    hours: Hours,
    options: &DiscoverOptions,
    progress: &Progress,
    replayed: &mut Replayed,
) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    for (index, archive) in archives.iter().enumerate() {
        let store = &archive.store;
        let visit = |meta: ObjectMeta, skip: Option<Skip>| {
            Progress::add(&progress.objects_listed, 1);
            replayed.listed += 1;
            let is_wanted = matches!(skip, None | Some(Skip::Archived))
                && hours.contain(options.arrival(&meta).hour_ms);
            if is_wanted {
                let uri = store.uri(&meta.key);
                sources.push(Source { archive: index, meta, uri, from: 0, turns: 0 });
            } else {
                replayed.left += 1;
            }
        };
        discover(store.as_ref(), &archive.prefix, options, visit).await?;
    }
    sources.sort_unstable_by(|a, b| {
        let at = |source: &Source| source.meta.last_modified_ms;
        at(a).cmp(&at(b)).then_with(|| a.uri.cmp(&b.uri))
    });
    let (mut moment, mut turns) = (None, 0);
    for source in &mut sources {
        let at = Some(source.meta.last_modified_ms);
        turns = if moment == at { turns + 1 } else { 1 };
        (moment, source.turns) = (at, turns);
    }
    Ok(sources)
}

/// What is left behind a cursor.
pub(super) fn go_on(sources: Vec<Source>, cursor: &Cursor) -> Vec<Source> {
    let Cursor::Archive { last_modified_ms, object, etag, offset, turns } = cursor else {
        return sources;
    };
    let at = |source: &Source| source.meta.last_modified_ms.cmp(last_modified_ms);
    let of_moment = sources.iter().filter(|source| at(source).is_eq() && source.uri <= *object);
    // Others were there then: it cannot be told which of that moment were done.
    let is_known = of_moment.count() as u64 == *turns;
    let left = |mut source: Source| {
        let order = at(&source)
            .then_with(|| if is_known { source.uri.cmp(object) } else { Ordering::Greater });
        if order.is_eq() {
            source.from = if source.meta.etag == *etag { (*offset)? } else { 0 };
        }
        order.is_ge().then_some(source)
    };
    sources.into_iter().filter_map(left).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(last_modified_ms: i64, name: &str) -> Source {
        let meta = ObjectMeta {
            key: name.to_owned(),
            size: 1,
            etag: "e".to_owned(),
            last_modified_ms,
            archived: false,
            sha256: None,
        };
        Source { archive: 0, meta, uri: format!("s3://b/{name}"), from: 0, turns: 0 }
    }

    fn left(sources: &[(i64, &str)], cursor: (i64, &str, &str, Option<u64>, u64)) -> Vec<String> {
        let sources = sources.iter().map(|(at, name)| source(*at, name)).collect();
        let (last_modified_ms, name, etag, offset, turns) = cursor;
        let object = format!("s3://b/{name}");
        let cursor =
            Cursor::Archive { last_modified_ms, object, etag: etag.to_owned(), offset, turns };
        let left = go_on(sources, &cursor).into_iter();
        left.map(|source| format!("{}+{}", source.meta.key, source.from)).collect()
    }

    #[test]
    fn a_replay_goes_on_behind_its_cursor_and_misses_nothing() {
        let all = [(1, "a"), (2, "b"), (2, "d"), (3, "c")];
        assert_eq!(left(&all, (2, "b", "e", None, 1)), ["d+0", "c+0"]);
        assert_eq!(left(&all, (2, "b", "e", Some(7), 1)), ["b+7", "d+0", "c+0"]);
        assert_eq!(left(&all, (2, "d", "e", None, 2)), ["c+0"]);
        assert_eq!(left(&all, (3, "c", "e", None, 1)), [""; 0]);
        // Rewritten within the moment, under the same name: it is another object.
        assert_eq!(left(&all, (3, "c", "old", Some(3), 1)), ["c+0"]);
        // One that nobody saw, of the moment that the cursor stands in.
        let with_late = [(1, "a"), (2, "aa"), (2, "b"), (2, "d"), (3, "c")];
        assert_eq!(left(&with_late, (2, "b", "e", Some(7), 1)), ["aa+0", "b+0", "d+0", "c+0"]);
        // The object at the cursor expired.
        let without = [(1, "a"), (2, "d"), (3, "c")];
        assert_eq!(left(&without, (2, "b", "e", Some(7), 1)), ["d+0", "c+0"]);
    }
}
