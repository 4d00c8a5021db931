//! Shows how far a run is: a bar on a terminal, plain lines in a log.
//!
//! In: the counters of [`Progress`]. Out: a picture of them, several times a second as a bar or now
//! and then as a line. Reads the counters only; the run does not wait for it.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

use super::values::{show_bytes, show_count};
use super::{log, printer};
use crate::job::progress::Progress;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ProgressMode {
    /// A bar on a terminal, else lines.
    Auto,
    /// A bar.
    Bar,
    /// A line every ten seconds.
    Lines,
    /// Nothing.
    None,
}

const BAR_EVERY: Duration = Duration::from_millis(200);
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows progress until it is dropped.
#[derive(Debug)]
pub(super) struct Shown {
    task: Option<JoinHandle<()>>,
    bar: Option<ProgressBar>,
}

/// Begins to show `progress`.
pub(super) fn show(mode: ProgressMode, progress: Arc<Progress>) -> Shown {
    let bar_wanted = match mode {
        ProgressMode::None => return Shown { task: None, bar: None },
        ProgressMode::Auto => io::stderr().is_terminal() && !log::is_json(),
        ProgressMode::Bar => !log::is_json(),
        ProgressMode::Lines => false,
    };
    let bar = bar_wanted.then(bar);
    let task = tokio::spawn(keep_showing(progress, bar.clone()));
    Shown { task: Some(task), bar }
}

impl Drop for Shown {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{bar:32} {percent:>3}% {msg}") {
        bar.set_style(style);
    }
    bar
}

async fn keep_showing(progress: Arc<Progress>, bar: Option<ProgressBar>) {
    let begun = Instant::now();
    let every = if bar.is_some() { BAR_EVERY } else { LINE_EVERY };
    let mut ticks = tokio::time::interval(every);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let line = describe(&progress, begun.elapsed());
        match &bar {
            Some(bar) => {
                bar.set_length(Progress::get(&progress.bytes_planned));
                bar.set_position(Progress::get(&progress.bytes_read));
                bar.set_message(line);
            }
            None => printer::progress(&line),
        }
    }
}

fn describe(progress: &Progress, elapsed: Duration) -> String {
    let planned = Progress::get(&progress.objects_planned);
    if planned == 0 {
        return format!("{} objects listed", show_count(Progress::get(&progress.objects_listed)));
    }
    let (read, read_bytes) =
        (Progress::get(&progress.objects_read), Progress::get(&progress.bytes_read));
    let seconds = elapsed.as_secs_f64().max(0.001);
    let rate = read_bytes as f64 / seconds;
    let left_bytes = Progress::get(&progress.bytes_planned).saturating_sub(read_bytes);
    let left = (rate > 0.0).then(|| left_bytes as f64 / rate);
    let left = left.map_or_else(String::new, |seconds| format!(", {seconds:.0} s left"));
    let per_second =
        show_bytes((read_bytes * 1000) / u64::try_from(elapsed.as_millis()).unwrap_or(1).max(1));
    format!(
        "{} of {} objects, {}, {} rows, {} commits, {per_second}/s{left}",
        show_count(read),
        show_count(planned),
        show_bytes(read_bytes),
        show_count(Progress::get(&progress.rows_read)),
        Progress::get(&progress.commits),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_how_fast_and_how_long_still() {
        let progress = Progress::default();
        Progress::add(&progress.objects_listed, 12);
        assert_eq!(describe(&progress, Duration::from_secs(1)), "12 objects listed");
        Progress::add(&progress.objects_planned, 10);
        Progress::add(&progress.bytes_planned, 4 << 20);
        Progress::add(&progress.objects_read, 5);
        Progress::add(&progress.bytes_read, 2 << 20);
        Progress::add(&progress.rows_read, 1234);
        assert_eq!(
            describe(&progress, Duration::from_secs(2)),
            "5 of 10 objects, 2.0 MiB, 1,234 rows, 0 commits, 1.0 MiB/s, 2 s left"
        );
    }
}
