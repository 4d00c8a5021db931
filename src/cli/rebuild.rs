//! `healthtrail rebuild`: the same lake in another place, in large sorted files.

use clap::{Args, ValueEnum};

use super::options::StoreArgs;
use super::progress::ProgressMode;
use super::values::{self, show_bytes, show_count};
use super::{Outcome, printer};
use crate::job::rebuild::{
    LakeSize, MEMORY_BYTES_MIN, RebuildOptions, RebuildSummary, Told, rebuild as job,
};
use crate::lake::layout::PartitionBy;
use crate::store::open;

/// Write the same lake anew in another place: large sorted files, today's columns, another partition
///
/// Years of nightly runs leave many small files. This merges them, partition by partition, and carries
/// over the ledger too: runs into the new lake go on where the old one is. The old lake is only read,
/// and may get new commits meanwhile; run it again to carry these over as well. It can be stopped at any
/// moment and run again. Nothing reads the new lake until you point the tables to it.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 level with the old lake; 1 failed, and safe to run again; 2 wrong usage\n\n\
    Examples:\n  \
    healthtrail rebuild --lake lake --to lake-2\n  \
    healthtrail rebuild --lake s3://my-lake/health --to s3://my-lake/health-2 --partition month"
)]
pub(super) struct RebuildArgs {
    /// Lake to read: a folder or `s3://bucket/prefix`
    #[arg(long, value_name = "LAKE", env = "HEALTHTRAIL_LAKE")]
    lake: String,

    /// Where to write: an empty folder or prefix, or a rebuild of the same lake, which goes on
    #[arg(long, value_name = "LAKE", env = "HEALTHTRAIL_REBUILD_TO")]
    to: String,

    /// Partition of the new lake [default: the old one's]
    #[arg(long, env = "HEALTHTRAIL_REBUILD_PARTITION")]
    partition: Option<PartitionArg>,

    /// Memory to stay under: at least `256MiB`
    #[arg(long, value_name = "SIZE", env = "HEALTHTRAIL_MEMORY", default_value = "1GiB", value_parser = memory)]
    memory: u64,

    /// Print what was done as JSON
    #[arg(long)]
    json: bool,

    /// How to show progress
    #[arg(long, env = "HEALTHTRAIL_PROGRESS", default_value = "auto")]
    progress: ProgressMode,

    #[command(flatten)]
    stores: StoreArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PartitionArg {
    /// `dt=2026-11-24`
    Day,
    /// `month=2026-11`
    Month,
}

fn memory(text: &str) -> Result<u64, String> {
    let bytes = values::size(text)?;
    if bytes < MEMORY_BYTES_MIN {
        return Err(format!("a rebuild needs at least {}", show_bytes(MEMORY_BYTES_MIN)));
    }
    Ok(bytes)
}

/// Runs the command.
pub(super) async fn rebuild(args: RebuildArgs) -> anyhow::Result<Outcome> {
    let old = open(&args.lake, &args.stores.lake(&args.lake, false)).await?;
    let new = open(&args.to, &args.stores.lake(&args.to, true)).await?;
    let told: Box<dyn Fn(Told) + Send + Sync> = match args.progress {
        ProgressMode::None => Box::new(|_| {}),
        ProgressMode::Auto | ProgressMode::Bar | ProgressMode::Lines => {
            Box::new(|told| printer::note(tell(told)))
        }
    };
    let partition = args.partition.map(|partition| match partition {
        PartitionArg::Day => PartitionBy::Day,
        PartitionArg::Month => PartitionBy::Month,
    });
    let options = RebuildOptions { old, new, partition, memory_bytes: args.memory, told };
    let summary = job(&options).await?;
    if args.json {
        printer::data(serde_json::to_string_pretty(&summary)?)?;
        return Ok(Outcome::Done);
    }
    for line in describe(&summary, &args) {
        printer::data(line)?;
    }
    Ok(Outcome::Done)
}

fn tell(told: Told) -> String {
    match told {
        Told::Partitions { done, of, version } => format!(
            "{} of {} partitions of version {} carried over",
            show_count(done),
            show_count(of),
            show_count(version)
        ),
        Told::Objects { done, of } => {
            format!("objects of {} of {} commits carried over", show_count(done), show_count(of))
        }
    }
}

/// The summary for a person.
fn describe(summary: &RebuildSummary, args: &RebuildArgs) -> Vec<String> {
    let (lake, to) = (&args.lake, &args.to);
    let mut lines = vec![
        format!(
            "{to} is level with version {} of {lake}, after {} new {}",
            summary.old_version,
            show_count(summary.commits),
            if summary.commits == 1 { "commit" } else { "commits" }
        ),
        format!("  old        {}", describe_size(&summary.old)),
        format!("  new        {}", describe_size(&summary.new)),
        format!(
            "  merged     {} files into {}, in {} partitions",
            show_count(summary.merged_parts),
            show_count(summary.written_parts),
            show_count(summary.partitions)
        ),
        format!(
            "  carried    {} objects, {} tombstones",
            show_count(summary.objects),
            show_count(summary.tombstones)
        ),
    ];
    if summary.lost_lists > 0 {
        lines.push(format!(
            "  lost       the objects of {} commits, whose lists are gone; the next run reads them again",
            show_count(summary.lost_lists)
        ));
    }
    lines.push(if summary.partition_changed {
        format!(
            "  next       the partition is now the {}: drop the tables, create them with `healthtrail ddl \
             --lake {to} --views`, and run into {to} from now on",
            summary.partition
        )
    } else {
        format!(
            "  next       point the tables to {to}: drop them, create them with `healthtrail ddl --lake \
             {to} --views`, and run into {to} from now on"
        )
    });
    lines
}

fn describe_size(size: &LakeSize) -> String {
    format!(
        "{} findings, {} rejects, {} files, {}",
        show_count(size.findings),
        show_count(size.rejects),
        show_count(size.files),
        show_bytes(size.bytes)
    )
}
