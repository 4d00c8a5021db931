//! How a command ended: the last line of a JSON log, and the metrics of `--metrics`.
//!
//! In: what the command counted, and whether it failed. Out: at most one line on each of the two streams. One
//! process runs one command, so what it is stands in one place. The metrics are CloudWatch's embedded metric
//! format, version 0: one JSON object on one line, with each metric and the dimension as members of its root
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use super::log::{self, LogEvent};
use super::{Outcome, printer};
use crate::job::options::UsageError;
use crate::job::progress::Progress;
use crate::job::redrive::Redriven;
use crate::job::summary::Summary;
use crate::job::verify::VerifyReport;

/// The namespace of all metrics.
pub const NAMESPACE: &str = "healthtrail";
/// The one dimension.
pub const DIMENSION: &str = "Lake";
/// The longest value of a dimension
/// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_Dimension.html>).
const DIMENSION_CHARACTERS_MAX: usize = 1024;

static ENDING: OnceLock<Ending> = OnceLock::new();

/// Metrics of a command that a scheduler starts.
#[derive(Debug, Clone, Args)]
pub(super) struct MetricsArgs {
    /// Write metrics to standard output when the command ends, also when it fails
    ///
    /// `emf` is one line of CloudWatch's embedded metric format. Standard output then holds nothing else:
    /// the summary for people goes to standard error, and one of JSON needs a file of its own.
    #[arg(long, value_name = "FORMAT", env = "HEALTHTRAIL_METRICS")]
    metrics: Option<MetricsFormat>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum MetricsFormat {
    /// CloudWatch's embedded metric format
    Emf,
}

/// A figure, with its name as a metric and the unit that CloudWatch knows.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Figure {
    metric: &'static str,
    unit: Unit,
    value: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Count,
    Seconds,
    Bytes,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Seconds => "Seconds",
            Self::Bytes => "Bytes",
        }
    }
}

/// What a command has said of itself so far.
#[derive(Debug)]
struct Ending {
    begun: Instant,
    command: String,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    /// The lake, once metrics are asked for.
    metrics: Option<String>,
    progress: Option<Arc<Progress>>,
    figures: Vec<Figure>,
    version: Option<u64>,
}

impl MetricsArgs {
    /// Keeps standard output for the metrics, if they are asked for. `json` is whether the command was asked for
    /// JSON on it.
    pub(super) fn begin(&self, lake: &str, json: bool) -> Result<(), UsageError> {
        if self.metrics.is_none() {
            return Ok(());
        }
        if json {
            let both = "`--metrics` and JSON both want standard output; write the JSON to a file \
                        (`run --summary FILE`), or leave one of them out";
            return Err(UsageError(both.to_owned()));
        }
        printer::keep_for_metrics();
        if let Some(mut told) = told() {
            told.metrics = Some(dimension(lake));
        }
        Ok(())
    }
}

fn told() -> Option<MutexGuard<'static, Told>> {
    // Nothing that is done under the lock can panic.
    Some(ENDING.get()?.told.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Begins a command.
pub(super) fn begin(command: &str) {
    let command = command.to_owned();
    ENDING.get_or_init(|| Ending { begun: Instant::now(), command, told: Mutex::default() });
}

/// The counters that still tell something when the command fails.
pub(super) fn watch(progress: &Arc<Progress>) {
    if let Some(mut told) = told() {
        told.progress = Some(Arc::clone(progress));
    }
}

/// What a run came to.
pub(super) fn of_run(summary: &Summary) {
    tell(run_figures(summary), summary.version);
}

/// What a redrive came to.
pub(super) fn of_redrive(redriven: &Redriven) {
    let mut figures = run_figures(&redriven.read);
    // What its archives got since is for `run` to say.
    figures.retain(|figure| !matches!(figure.metric, "LagSeconds" | "ObjectsLeft"));
    let objects = &redriven.objects;
    figures.push(count("ObjectsGone", objects.gone + objects.changed));
    tell(figures, redriven.read.version);
}

/// What a verification found.
pub(super) fn of_verify(report: &VerifyReport, seconds: f64) {
    let left = report.repaired.as_ref().map_or(&report.findings, |repaired| &repaired.left);
    let figures = vec![
        count("Damage", left.len() as u64),
        count("PartsVerified", report.parts),
        count("RowsVerified", report.findings_rows + report.rejects_rows),
        Figure { metric: "BytesVerified", unit: Unit::Bytes, value: report.bytes as f64 },
        Figure { metric: "VerifySeconds", unit: Unit::Seconds, value: seconds },
    ];
    tell(figures, report.version);
}

fn tell(figures: Vec<Figure>, version: u64) {
    if let Some(mut told) = told() {
        told.figures = figures;
        told.version = Some(version);
    }
}

fn run_figures(summary: &Summary) -> Vec<Figure> {
    let (objects, findings) = (&summary.objects, &summary.findings);
    let mut figures = vec![
        count("Objects", objects.read),
        count("ObjectsFailed", objects.failed),
        count("ObjectsLeft", objects.left),
        count("Rows", findings.added),
        count("Duplicates", findings.duplicates),
        count("Rejects", summary.rejects()),
        Figure { metric: "Bytes", unit: Unit::Bytes, value: summary.bytes.compressed as f64 },
        count("Commits", summary.commits),
        Figure { metric: "Seconds", unit: Unit::Seconds, value: summary.seconds.total },
    ];
    figures.extend(summary.lag_seconds.map(|lag| Figure {
        metric: "LagSeconds",
        unit: Unit::Seconds,
        value: lag as f64,
    }));
    figures
}

fn count(metric: &'static str, count: u64) -> Figure {
    Figure { metric, unit: Unit::Count, value: count as f64 }
}

/// Says how the command ended, where that is asked for, and gives the exit code: metrics that cannot be written
/// are a failure.
pub(super) fn end(result: &anyhow::Result<Outcome>, code: u8) -> u8 {
    let Some(ending) = ENDING.get() else { return code };
    let Some(told) = told() else { return code };
    let figures = figures(&told, result);
    let outcome = match result {
        Ok(Outcome::Done) => "done",
        Ok(Outcome::Lost) => "lost",
        Err(_) => "failed",
    };
    let mut said = Map::from_iter([
        ("command".to_owned(), json!(ending.command)),
        ("outcome".to_owned(), json!(outcome)),
        ("exit_code".to_owned(), json!(code)),
        ("program".to_owned(), json!(concat!("healthtrail ", env!("CARGO_PKG_VERSION")))),
    ]);
    said.extend(told.version.map(|version| ("lake_version".to_owned(), json!(version))));
    let mut code = code;
    if let Some(lake) = &told.metrics {
        let now = jiff::Timestamp::now().as_millisecond();
        if let Err(error) = printer::metrics(emf(now, lake, &figures, said.clone())) {
            printer::error(&anyhow::Error::new(error).context("writing the metrics"));
            code = code.max(1);
            said.insert("exit_code".to_owned(), json!(code));
        }
    }
    if log::is_json() {
        let seconds = ending.begun.elapsed().as_secs_f64();
        said.insert("elapsed_seconds".to_owned(), number(seconds));
        said.extend(figures.iter().map(|one| (snake_case(one.metric), number(one.value))));
        let level = if matches!(result, Ok(Outcome::Done)) { "info" } else { "error" };
        let message = format!("{} ended: {outcome}, exit code {code}", ending.command);
        log::line(level, LogEvent::Outcome, &message, said);
    }
    code
}

/// What is known of a command that has ended in this way.
fn figures(told: &Told, result: &anyhow::Result<Outcome>) -> Vec<Figure> {
    let mut figures = told.figures.clone();
    if result.is_err() {
        let commits = told.progress.as_ref().map(|counters| Progress::get(&counters.commits));
        figures = commits.map(|commits| count("Commits", commits)).into_iter().collect();
    }
    figures.push(count("Failed", u64::from(result.is_err())));
    figures.push(count("Lost", u64::from(matches!(result, Ok(Outcome::Lost)))));
    figures
}

/// One document of the embedded metric format.
fn emf(now_ms: i64, lake: &str, figures: &[Figure], properties: Map<String, Value>) -> String {
    let metrics: Vec<Value> = figures
        .iter()
        .map(|figure| json!({ "Name": figure.metric, "Unit": figure.unit.name() }))
        .collect();
    let directive =
        json!({ "Namespace": NAMESPACE, "Dimensions": [[DIMENSION]], "Metrics": metrics });
    let mut root = properties;
    root.insert("_aws".into(), json!({ "Timestamp": now_ms, "CloudWatchMetrics": [directive] }));
    root.insert(DIMENSION.to_owned(), json!(lake));
    root.extend(figures.iter().map(|figure| (figure.metric.to_owned(), number(figure.value))));
    Value::Object(root).to_string()
}

/// Whole where it is whole, else to the millisecond.
fn number(value: f64) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "rounded, and far below 2^53")]
    let whole = value.round() as i64;
    if (value - whole as f64).abs() < 1e-9 {
        json!(whole)
    } else {
        json!((value * 1e3).round() / 1e3)
    }
}

/// `LagSeconds` → `lag_seconds`.
fn snake_case(metric: &str) -> String {
    let mut name = String::new();
    for c in metric.chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

/// What CloudWatch takes as a dimension's value: printable ASCII, 1 to 1,024 characters, no colon in front.
fn dimension(lake: &str) -> String {
    let plain = lake.trim_end_matches('/').trim_start_matches(':').chars();
    let plain = plain.map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' });
    let value: String = plain.take(DIMENSION_CHARACTERS_MAX).collect();
    if value.trim().is_empty() { "/".to_owned() } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lake_becomes_a_value_that_cloudwatch_takes() {
        let table = [
            ("s3://my-lake/health/", "s3://my-lake/health"),
            ("lake", "lake"),
            ("/", "/"),
            ("größe\n", "gr??e?"),
            (":x", "x"),
        ];
        for (lake, expected) in table {
            assert_eq!(dimension(lake), expected, "{lake}");
        }
        assert_eq!(dimension(&"x".repeat(5000)).len(), DIMENSION_CHARACTERS_MAX);
    }

    #[test]
    fn numbers_are_whole_where_they_are() {
        assert_eq!(number(3.0).to_string(), "3");
        assert_eq!(number(0.0).to_string(), "0");
        assert_eq!(number(1.234_567).to_string(), "1.235");
        assert_eq!(number(9_007_199_254_740_991.0).to_string(), "9007199254740991");
    }

    #[test]
    fn every_metric_that_is_named_stands_in_the_root() {
        let figures = run_figures(&Summary { lag_seconds: Some(7), ..Summary::default() });
        let document = emf(1_795_478_400_000, "lake", &figures, Map::new());
        assert!(!document.contains('\n'));
        let document: Value = serde_json::from_str(&document).unwrap();
        let directive = &document["_aws"]["CloudWatchMetrics"][0];
        for metric in directive["Metrics"].as_array().unwrap() {
            assert!(document[metric["Name"].as_str().unwrap()].is_number(), "{metric}");
        }
        assert_eq!(document["LagSeconds"], 7);
        assert_eq!(document["Lake"], "lake");
    }

    #[test]
    fn names_of_fields_come_from_those_of_metrics() {
        assert_eq!(snake_case("Objects"), "objects");
        assert_eq!(snake_case("LagSeconds"), "lag_seconds");
    }
}
