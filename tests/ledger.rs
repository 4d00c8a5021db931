//! The ledger over a simulated archive of some years, and its laws over histories of any kind.

use std::sync::Arc;

use healthtrail::store::Memory;

use crate::simulated::{FAILS, HEALED, Scale, Simulation};

#[tokio::test(flavor = "multi_thread")]
async fn sixty_nights_read_each_object_once_whatever_happens_to_old_hours() {
    let scale = Scale { days_before: 140, per_hour: 4, per_record: 1_000, nights: 60, list_each: 4 };
    let mut simulation = Simulation::new(scale, Arc::new(Memory::new("lake")));
    for number in 1..=scale.nights {
        let night = simulation.night(number, || 0).await;
        simulation.check(&night);
        if (FAILS..HEALED).contains(&number) {
            let ledger = simulation.open().await;
            assert_eq!(ledger.failed_count(), 1);
        }
        assert!(night.checkpoint_bytes < 2_000_000, "{night:?}");
    }
    simulation.check_the_log_alone().await;
}
