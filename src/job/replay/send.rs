//! One batch of records into a stream, however often it takes.
//!
//! In: records. Out: what Firehose will never take of them; all others were taken. Records that it did not
//! take for now are put again by themselves, after a pause that grows, and no faster than the [`Pace`].
//! Wrong: it takes nothing for [`ATTEMPTS`] times in a row, or refuses the whole request. Order is not kept.

use std::time::{Duration, Instant};

use anyhow::bail;
use bytes::Bytes;

use super::pace::Pace;
use crate::store::firehose::{Firehose, PutFailure};

/// How often in a row nothing may be taken.
const ATTEMPTS: u32 = 10;

/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(20);

/// Puts batches into a stream.
#[derive(Debug)]
pub(super) struct Sending<'a> {
    firehose: &'a Firehose,
    pace: Pace,
    begun: Instant,
    pause: Duration,
    /// Records that were put again.
    pub(super) again: u64,
    /// Requests.
    pub(super) requests: u64,
}

impl<'a> Sending<'a> {
    pub(super) fn new(firehose: &'a Firehose, pace: Pace, pause: Duration) -> Self {
        Self { firehose, pace, begun: Instant::now(), pause, again: 0, requests: 0 }
    }

    /// Puts all of them; gives those that will never be taken, by their place.
    pub(super) async fn put(
        &mut self,
        records: &[Bytes],
    ) -> anyhow::Result<Vec<(usize, PutFailure)>> {
        let mut waiting: Vec<usize> = (0..records.len()).collect();
        let (mut refused, mut attempt) = (Vec::new(), 0);
        while !waiting.is_empty() {
            let batch: Vec<Bytes> =
                waiting.iter().filter_map(|index| records.get(*index)).cloned().collect();
            let bytes = batch.iter().map(Bytes::len).sum();
            let wait = self.pace.take(self.begun.elapsed(), batch.len(), bytes);
            tokio::time::sleep(wait).await;
            self.requests += 1;
            let before = waiting.len();
            let why = match self.firehose.put_batch(&batch).await {
                Ok(puts) => {
                    let mut why = None;
                    let put = std::mem::take(&mut waiting).into_iter().zip(puts);
                    for (index, put) in put {
                        match put {
                            Ok(()) => {}
                            Err(failure) if failure.is_passing() => {
                                why.get_or_insert_with(|| {
                                    format!("{}: {}", failure.code, failure.message)
                                });
                                waiting.push(index);
                            }
                            Err(failure) => refused.push((index, failure)),
                        }
                    }
                    why.unwrap_or_default()
                }
                Err(error) if error.kind.is_passing() => error.to_string(),
                Err(error) => return Err(error.into()),
            };
            if waiting.is_empty() {
                break;
            }
            attempt = if waiting.len() < before { 1 } else { attempt + 1 };
            self.again += waiting.len() as u64;
            if attempt >= ATTEMPTS {
                bail!(
                    "`{}` took none of {} records, {ATTEMPTS} times in a row ({why}); hint: run again \
                     later, with the same --state, or more slowly with --bytes-per-second",
                    self.firehose.uri(),
                    waiting.len()
                );
            }
            tracing::info!(
                stream = self.firehose.uri(),
                records = waiting.len(),
                why,
                "putting again"
            );
            tokio::time::sleep(pause(self.pause, attempt)).await;
        }
        Ok(refused)
    }
}

/// Random, and twice as long each time.
fn pause(first: Duration, attempt: u32) -> Duration {
    let longest = first.saturating_mul(2_u32.saturating_pow(attempt - 1)).min(PAUSE_MAX);
    longest.mul_f64(0.5 + rand::random::<f64>() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_differ() {
        let first = Duration::from_millis(200);
        for attempt in 1..ATTEMPTS {
            let longest = (first * 2_u32.pow(attempt - 1)).min(PAUSE_MAX);
            let pause = pause(first, attempt);
            assert!(pause >= longest / 2 && pause <= longest, "{attempt}: {pause:?}");
        }
    }
}
