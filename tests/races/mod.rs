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

/// Each line of the page's tables, by how it begins, and the test that holds it.
const PAGE: [(&str, &str); 37] = [
    ("runs on the same archive", "processes_at_once_fill_a_lake_in_a_folder"),
    ("runs on archives that overlap", "processes_at_once_fill_a_lake_on_s3"),
    ("a run loses its number |", "the_loser_of_a_number_keeps_what_it_read"),
    ("a run loses its number after", "pieces_of_a_lost_number_are_read_again"),
    ("a run stops before its record", "a_run_paused_before_its_record_comes_late"),
    ("the reply to a record", "a_record_whose_reply_was_lost_is_ones_own"),
    ("a run dies after its record", "an_open_commit_is_completed_before_the_next_number_is_taken"),
    ("two complete one commit", "two_complete_a_commit_while_its_staging_goes"),
    ("files are published", "published_files_without_a_done_mark_are_not_copied_again"),
    ("a done mark, the files", "a_done_mark_without_its_files_stops_only_their_partitions"),
    ("a done mark, the record", "a_done_mark_without_a_record_stops_everyone"),
    ("a run with `--products all`", "wider_settings_beside_narrower_ones_hold"),
    ("runs that make a lake at once", "two_that_make_a_lake_at_once_agree"),
    ("`run` beside `redrive`", "each_command_beside_another_ends_as_one_after_the_other"),
    ("`run` beside `verify --repair`", "each_command_beside_another_ends_as_one_after_the_other"),
    ("two that rewrite", "each_command_beside_another_ends_as_one_after_the_other"),
    ("`ledger accept` of an object", "each_command_beside_another_ends_as_one_after_the_other"),
    ("files of a commit", "readers_of_a_folder_see_a_hundred_commits_and_no_error"),
    ("counts, query", "readers_of_a_folder_see_a_hundred_commits_and_no_error"),
    ("a file that a query", "a_reader_of_a_bucket_sees_a_hundred_commits_and_no_error"),
    ("a query while `forget`", "a_reader_beside_an_erasure_misses_rows_and_counts_none_twice"),
    ("an object comes late", "a_late_object_of_a_closed_hour_is_read"),
    ("an object is rewritten", "a_rewritten_object_is_read_again_and_its_rows_are_duplicates"),
    (
        "an object is replaced",
        "an_object_replaced_between_list_and_read_fails_and_is_the_next_runs",
    ),
    ("an object is deleted", "an_object_deleted_between_list_and_read_fails_once"),
    ("a large object is replaced", "an_object_replaced_while_it_streams_leaves_nothing_behind"),
    ("objects come while", "objects_that_come_after_the_list_are_the_next_runs"),
    (
        "an object becomes empty",
        "an_object_that_becomes_empty_or_a_marker_is_skipped_and_its_rows_stay",
    ),
    ("a file becomes a folder", "a_file_of_the_same_size_and_time_is_the_same_object"),
    ("an object is moved", "an_object_that_moves_to_an_archive_class_is_skipped_or_fails"),
    (
        "the same after it was listed",
        "an_object_that_moves_to_an_archive_class_is_skipped_or_fails",
    ),
    ("the same bytes come", "the_same_bytes_under_two_keys_are_rows_once"),
    ("a folder is copied anew", "a_folder_uploaded_anew_is_read_again_and_changes_no_row"),
    ("a bucket is uploaded anew with", "a_bucket_uploaded_anew_changes_no_row"),
    ("a bucket is uploaded anew in", "a_bucket_uploaded_anew_changes_no_row"),
    ("objects expire", "an_archive_that_expires_leaves_its_rows"),
    ("a file is written over", "a_file_of_the_same_size_and_time_is_the_same_object"),
];

#[test]
fn the_page_and_the_tests_name_the_same_situations() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/robustness.md")).unwrap();
    let (_, section) = page.split_once("\n## Two runs at once").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let is_row = |line: &&str| line.starts_with("| ") && !line.starts_with("| ---");
    let rows: Vec<&str> = section.lines().filter(is_row).map(|row| &row[2..]).collect();
    let has_test = |row: &&&str| PAGE.iter().any(|(begins, _)| row.starts_with(begins));
    let heads: Vec<&&str> = rows.iter().filter(|row| !has_test(row)).collect();
    assert_eq!(heads.len(), 3, "besides the three heads each line has its test: {heads:#?}");
    let mut sources = String::new();
    for entry in std::fs::read_dir(root.join("tests/races")).unwrap() {
        sources += &std::fs::read_to_string(entry.unwrap().path()).unwrap();
    }
    let is_there = |test: &str| {
        sources.contains(&format!("async fn {test}()"))
            || sources.contains(&format!("\nfn {test}()"))
    };
    for (begins, test) in PAGE {
        assert_eq!(rows.iter().filter(|row| row.starts_with(begins)).count(), 1, "{begins}");
        assert!(is_there(test), "{begins}: there is no {test}");
    }
    // So do the rules for maintainers above.
    let rules = include_str!("mod.rs").lines().filter(|line| line.starts_with("//! | "));
    let tests: Vec<&str> = rules
        .flat_map(|line| line.split('`'))
        .filter_map(|part| Some(part.split_once("::")?.1))
        .collect();
    assert!(tests.len() > 12 && tests.iter().all(|test| is_there(test)), "{tests:#?}");
}
