//! How fast records may be put: a bucket that fills with time, for records and for bytes.
//!
//! In: the time, and what is about to be put. Out: how long to wait first. Pure. What was put may go into
//! debt for one batch, so that a batch needs no second that is whole.

use std::time::Duration;

/// The rate that is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    records_per_second: f64,
    bytes_per_second: f64,
    /// When the bucket is full again, counted from the beginning.
    free_at: Duration,
}

impl Pace {
    pub(super) fn new(records_per_second: u64, bytes_per_second: u64) -> Self {
        Self {
            records_per_second: records_per_second.max(1) as f64,
            bytes_per_second: bytes_per_second.max(1) as f64,
            free_at: Duration::ZERO,
        }
    }

    /// Takes what a batch needs, at `now`, and says how long to wait before it is put.
    pub(super) fn take(&mut self, now: Duration, records: usize, bytes: usize) -> Duration {
        let for_records = records as f64 / self.records_per_second;
        let for_bytes = bytes as f64 / self.bytes_per_second;
        let wait = self.free_at.saturating_sub(now);
        self.free_at = now + wait + Duration::from_secs_f64(for_records.max(for_bytes));
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_rate_is_exceeded_whatever_comes() {
        let batches = [(500, 1_000), (1, 1_024_000), (500, 500), (10, 100_000), (500, 1_000)];
        for (records_per_second, bytes_per_second) in
            [(900, 524_288), (50, 1 << 20), (100_000, 1_000)]
        {
            let mut pace = Pace::new(records_per_second, bytes_per_second);
            let (mut now, mut records, mut bytes) = (Duration::ZERO, 0_u64, 0_u64);
            for (count, size) in batches.iter().cycle().take(200) {
                now += pace.take(now, *count, *size);
                // What was put before this batch has had its time.
                let seconds = now.as_secs_f64() + 1e-6;
                assert!(
                    records as f64 <= seconds * records_per_second as f64,
                    "{records} in {now:?}"
                );
                assert!(bytes as f64 <= seconds * bytes_per_second as f64, "{bytes} in {now:?}");
                (records, bytes) = (records + *count as u64, bytes + *size as u64);
                now += Duration::from_millis(3);
            }
        }
    }

    #[test]
    fn time_that_was_not_used_is_not_saved_up() {
        let mut pace = Pace::new(10, 1_000);
        assert_eq!(pace.take(Duration::from_secs(100), 10, 1), Duration::ZERO);
        assert_eq!(pace.take(Duration::from_secs(100), 10, 1), Duration::from_secs(1));
        assert_eq!(pace.take(Duration::from_secs(101), 10, 1), Duration::from_secs(1));
    }
}
