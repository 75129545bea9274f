//! What a schedule asks of all tenants at once, apart from each other: each tenant waits a share of its own of a short span.
//!
//! The share is no chance but follows from schedule and tenant, so that a tenant's runs keep their distance, and a run that is
//! asked for again after a crash falls on the same moment.

use domain::id::TenantId;
use time::Duration;

/// Such a part of the time between two runs is the span.
const PART: i32 = 10;
/// It is never longer.
const MOST: Duration = Duration::minutes(5);

/// Over how much time the runs are spread that fall due together.
pub(crate) fn span_of(interval: Duration) -> Duration {
    (interval / PART).clamp(Duration::ZERO, MOST)
}

/// A tenant's own wait within the span.
pub(crate) fn wait_of(schedule: i64, tenant: TenantId, span: Duration) -> Duration {
    let bytes = schedule.to_be_bytes().into_iter().chain(tenant.0.into_bytes());
    // FNV-1a: stable over versions and machines, which a hasher of the standard library is not
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    // its low bits are its good ones
    let share = f64::from((hash ^ (hash >> 32)) as u32) / (f64::from(u32::MAX) + 1.0);
    span * share
}

#[cfg(test)]
mod tests {
    use domain::chance::Chance;

    use super::*;

    #[test]
    fn spans_are_a_tenth_and_five_minutes_at_most() {
        assert_eq!(span_of(Duration::seconds(5)), Duration::milliseconds(500));
        assert_eq!(span_of(Duration::hours(24)), Duration::minutes(5));
        assert_eq!(span_of(Duration::seconds(-1)), Duration::ZERO);
    }

    #[test]
    fn tenants_keep_their_places_and_fill_the_span_evenly() {
        let (chance, span) = (Chance::seeded(20_261_123), Duration::seconds(100));
        let tenants: Vec<TenantId> = (0..1000).map(|_| TenantId(chance.uuid())).collect();
        let mut tenths = [0_u32; 10];
        for tenant in &tenants {
            let wait = wait_of(7, *tenant, span);
            assert_eq!(wait, wait_of(7, *tenant, span));
            assert!(!wait.is_negative() && wait < span, "{wait}");
            tenths[(wait.whole_seconds() / 10) as usize] += 1;
        }
        assert!(tenths.iter().all(|tenth| (60..=140).contains(tenth)), "{tenths:?}");
        let moved = tenants.iter().filter(|tenant| wait_of(7, **tenant, span) != wait_of(8, **tenant, span));
        assert!(moved.count() > 990, "another schedule has other places");
    }
}
