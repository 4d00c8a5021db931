//! A lake of ten million objects, and 400 nightly runs over it: what each takes to open its ledger and to
//! hold the archive's listing against it, how large its checkpoint is, and how much memory it takes.
//!
//!     cargo bench --bench ledger                 # lists in each 20th night, and where something happens
//!     cargo bench --bench ledger -- 400 1        # nights, and in which of them the archive is listed
//!
//! Nothing is measured that the small version in `tests/ledger.rs` does not assert. The lake is a folder; the
//! archive is generated as it is listed, which alone takes the time in the last column.

#![allow(clippy::print_stdout, clippy::expect_used, clippy::unwrap_used, reason = "a bench")]
#![allow(clippy::indexing_slicing, reason = "a bench")]
#![allow(clippy::use_debug, reason = "a bench")]

#[path = "../tests/simulated.rs"]
mod simulated;

use std::sync::Arc;

use healthtrail::store::Folder;

use simulated::{Scale, Simulation};

const SECONDS_MAX: f64 = 10.0;
const PEAK_BYTES_MAX: u64 = 300_000_000;

/// The peak memory since the last call, and begins to measure anew; 0 where the system does not tell.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
    drop(std::fs::write("/proc/self/clear_refs", "5"));
    kilobytes.unwrap_or(0_u64) * 1024
}

#[tokio::main]
async fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    let nights = numbers.first().copied().unwrap_or(400);
    let list_each = numbers.get(1).copied().unwrap_or(20);
    // Eight years of 2,922 days, the last of them by night; 143 objects an hour make ten million.
    let days_before = 2_922 - i64::try_from(nights).unwrap();
    let scale = Scale { days_before, per_hour: 143, per_record: 10_000, nights, list_each };
    let folder = tempfile::tempdir().unwrap();
    let store = Folder::open(&folder.path().join("lake"), true).await.unwrap();
    let mut simulation = Simulation::new(scale, Arc::new(store));
    println!("the first run folds {} commits without a checkpoint", simulation.backfill_commits());
    println!(
        "{:>5} {:>11} {:>6} {:>8} {:>10} {:>8} {:>10} {:>12} {:>8} {:>8}",
        "run",
        "listed",
        "new",
        "compared",
        "expired",
        "open s",
        "compare s",
        "checkpoint B",
        "peak MB",
        "list s"
    );
    for number in 1..=nights {
        let night = simulation.night(number, peak).await;
        simulation.check(&night);
        if number == 1 {
            println!(
                "that took {:.1} s and {:.0} MB at most; each later run opens a checkpoint",
                night.open_seconds,
                night.peak_bytes as f64 / 1e6
            );
        }
        let Some(compare_seconds) = night.compare_seconds else { continue };
        let list_seconds = simulation.list_seconds().await;
        println!(
            "{:>5} {:>11} {:>6} {:>8} {:>10} {:>8.2} {:>10.2} {:>12} {:>8.0} {:>8.2}",
            night.number,
            night.listed,
            night.new,
            night.hours_compared,
            night.expired,
            night.open_seconds,
            compare_seconds,
            night.checkpoint_bytes,
            night.peak_bytes as f64 / 1e6,
            list_seconds
        );
        // The first run has no checkpoint to open.
        let seconds = compare_seconds + if number == 1 { 0.0 } else { night.open_seconds };
        assert!(seconds <= SECONDS_MAX, "{night:?}");
        assert!(night.peak_bytes <= PEAK_BYTES_MAX, "{night:?}");
    }
    simulation.check_the_log_alone().await;
    println!("the log alone gives the same as the checkpoints");
}
