//! Several at once on one lake: runs, the other commands, readers, and archives that move under them.
//!
//! [`rules`] forces the bad order of each rule of the commit log, one test for each; [`orders`] goes
//! through the orders in which two or three can meet, operation by operation; [`commands`] does so for
//! each command beside a run; [`runs`] starts real processes at once; [`readers`] scans with DuckDB and
//! `PyArrow` while runs commit; [`moving`] changes the archive under a run. What must hold of the lake is
//! said by [`oracle`] (plain JSON and Parquet, no code of the program), and of each single operation by
//! [`warden`]. The long matrices are `#[ignore]`d here and run by `tests/attack races`.
//!
//! | rule | test |
//! | --- | --- |
//! | a number is taken only after the one before it is done | `rules::an_open_commit_is_completed_before_the_next_number_is_taken`, [`warden`] |
//! | the loser drops what the winner consumed and stages again under the next number, without reading again | `rules::the_loser_of_a_number_keeps_what_it_read` |
//! | pieces staged for a number that is lost are read again | `rules::pieces_of_a_lost_number_are_read_again` |
//! | one's own record is told by its commit id, also after others went on | `rules::a_record_whose_reply_was_lost_is_ones_own` |
//! | on a conflict the same bytes are sent again | `rules::a_record_whose_reply_was_lost_is_ones_own`, [`warden`] |
//! | a run paused before its record deletes nothing, and loses | `rules::a_run_paused_before_its_record_comes_late` |
//! | a sweep clears only numbers that are done | `rules::a_sweep_leaves_what_is_not_done`, [`warden`] |
//! | what is staged late under a done number is swept by the next | `rules::what_is_staged_late_is_swept` |
//! | two complete one commit while a third deletes its staging | `rules::two_complete_a_commit_while_its_staging_goes`, `orders::an_open_commit_is_completed_in_any_order` |
//! | a done mark without files stops only its partitions, with the key | `rules::a_done_mark_without_its_files_stops_only_their_partitions` |
//! | a done mark without a record stops all, with the key | `rules::a_done_mark_without_a_record_stops_everyone` |
//! | files without a done mark are completed, and copied no second time | `rules::published_files_without_a_done_mark_are_not_copied_again` |
//! | a checkpoint holds only what is done, and an old one that comes late does no harm | `rules::a_checkpoint_beside_an_open_commit_holds_what_is_done`, `rules::a_checkpoint_that_comes_late_is_only_old` |
//! | what narrower settings read meanwhile is read again | `rules::wider_settings_beside_narrower_ones_hold` |

mod commands;
mod hooked;
mod moving;
mod oracle;
mod orders;
mod readers;
mod rules;
mod runs;
mod turns;
mod warden;

use std::sync::Arc;

use healthtrail::store::{Folder, Memory, Store, open};

use crate::races::warden::Warden;
use crate::stores::with_s3;

/// A place for a lake and its archive, in which every operation on the lake is judged.
pub(crate) struct Place {
    /// `memory`, `folder` or `s3`.
    pub(crate) name: &'static str,
    pub(crate) archive: Arc<dyn Store>,
    /// Judged by the warden.
    pub(crate) lake: Arc<dyn Store>,
    /// The same lake, for the test's own hand.
    pub(crate) bare: Arc<dyn Store>,
    warden: Arc<Warden>,
}

impl Place {
    fn of(name: &'static str, archive: Arc<dyn Store>, bare: Arc<dyn Store>) -> Self {
        let (lake, warden) = Warden::over(&bare);
        Self { name, archive, lake, bare, warden }
    }

    pub(crate) fn memory() -> Self {
        Self::of("memory", Arc::new(Memory::new("archive")), Arc::new(Memory::new("lake")))
    }

    /// Nobody has broken a law so far.
    #[track_caller]
    pub(crate) fn assert_lawful(&self) {
        self.warden.assert_lawful(self.name);
    }
}

/// Runs a test in memory, in a folder and, where a server is, on S3.
pub(crate) async fn in_every_place<Test, Running>(test: Test)
where
    Test: Fn(Arc<Place>) -> Running,
    Running: Future<Output = ()>,
{
    in_memory_and_folder(&test).await;
    with_s3(|uri, options| {
        let test = &test;
        async move {
            let archive = open(&format!("{uri}/archive"), &options).await.unwrap();
            let lake = open(&format!("{uri}/lake"), &options).await.unwrap();
            let place = Arc::new(Place::of("s3", archive, lake));
            test(Arc::clone(&place)).await;
            place.assert_lawful();
        }
    })
    .await;
}

/// Runs a test in memory and in a folder.
pub(crate) async fn in_memory_and_folder<Test, Running>(test: &Test)
where
    Test: Fn(Arc<Place>) -> Running,
    Running: Future<Output = ()>,
{
    let folder = tempfile::tempdir().unwrap();
    let archive = Folder::open(&folder.path().join("archive"), true).await.unwrap();
    let lake = Folder::open(&folder.path().join("lake"), true).await.unwrap();
    let in_folder = Place::of("folder", Arc::new(archive), Arc::new(lake));
    for place in [Place::memory(), in_folder] {
        let place = Arc::new(place);
        test(Arc::clone(&place)).await;
        place.assert_lawful();
    }
}
