//! Points that rest on what older ones sent: a new point's verification reads what it sent and a share of the rest.

use domain::chance::Chance;
use domain::clock::Clock;

use super::Lab;
use crate::snapshot::PointReport;
use crate::verify::{ProblemKind, VerifyReport};

/// A point as a schedule takes it after an edit, and what reading back the new part of it shows.
async fn next(lab: &Lab) -> (PointReport, VerifyReport) {
    lab.sql("UPDATE note SET content = content || ' once more' WHERE id = 700").await;
    let point = lab.backup.take_point(&lab.scope(), &super::incremental::options("schedule")).await.unwrap();
    let read = lab.backup.verify_taken(&point, "command").await.unwrap();
    (point, read)
}

/// Of a tenant whose newest point is verified and refers to older objects.
pub(super) async fn what_older_points_sent_is_read_in_turn(mut lab: Lab) {
    let (point, read) = next(&lab).await;
    let referred = point.objects.iter().filter(|object| object.referenced).count() as u64;
    assert!(read.problems.is_empty() && read.state == "verified", "{:?}", read.problems);
    assert!(read.rested > 0 && read.rested <= referred, "{} of {referred}", read.rested);
    assert!(read.bytes < point.bytes_stored / 2, "{} of {} bytes", read.bytes, point.bytes_stored);

    let victim = point.objects.iter().find(|object| object.referenced).unwrap();
    let path = lab.file_of(&victim.key);
    let sound = std::fs::read(&path).unwrap();
    // what is gone or shorter shows at once
    for left in [None, Some(sound.len() - 1)] {
        match left {
            None => std::fs::remove_file(&path).unwrap(),
            Some(left) => std::fs::write(&path, &sound[..left]).unwrap(),
        }
        let (_, read) = next(&lab).await;
        let expected = if left.is_none() { ProblemKind::Missing } else { ProblemKind::Truncated };
        assert_eq!((read.problems.len(), read.state.as_str()), (1, "damaged"));
        assert_eq!((&read.problems[0].object, read.problems[0].problem), (&victim.key, expected));
        std::fs::write(&path, &sound).unwrap();
    }
    // another bit of the same length: by hand at once, otherwise when it is its turn, within a week
    let mut rotten = sound.clone();
    rotten[sound.len() / 2] ^= 4;
    std::fs::write(&path, &rotten).unwrap();
    let (unseen, read) = next(&lab).await;
    assert!(read.problems.is_empty(), "{:?}", read.problems);
    let by_hand = lab.backup.verify_point(&unseen.point, "command").await.unwrap();
    assert_eq!((by_hand.rested, &by_hand.problems[0].object), (0, &victim.key));
    let mut days = 0;
    lab.backup.clock = Clock::fixed(lab.backup.clock.seconds());
    while next(&lab).await.1.problems.is_empty() {
        assert!(days < 8, "nobody looks at {} any more", victim.key);
        lab.backup.clock.advance(2 * 24 * 3600);
        days += 2;
    }
    std::fs::write(&path, &sound).unwrap();
    // nothing changes any more: after a week the newest good point is read again by itself, once
    assert!(lab.backup.reread_due().await.unwrap().is_empty());
    lab.backup.clock.advance(8 * 24 * 3600);
    let again = lab.backup.reread_due().await.unwrap();
    assert!(again.len() == 1 && again[0].rested == 0 && again[0].problems.is_empty(), "{again:?}");
    assert!(lab.backup.reread_due().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_due_while_a_point_is_read_is_left_for_the_next_one() {
    let mut lab = Lab::new().await;
    lab.fill(5, &Chance::seeded(36)).await;
    let clock = Clock::fixed(Clock::System.seconds());
    lab.backup.clock = clock.clone();
    let read_at = async |point: &str| lab.backup.store.control().find_point(point).await.unwrap().unwrap().verified_at;
    // a reading of ten minutes: the clock goes on as soon as it has begun
    let (first, begun) = (lab.point().await, clock.now());
    let (read, ()) =
        futures_util::join!(lab.backup.verify_point(&first.point, "command"), async { clock.advance(600) });
    assert!(read.unwrap().problems.is_empty());
    assert_eq!((read_at(&first.point).await, clock.now() > begun), (Some(begun), true), "all of it was read");
    let (next, begun) = (lab.point().await, clock.now());
    let (read, ()) = futures_util::join!(lab.backup.verify_taken(&next, "command"), async { clock.advance(600) });
    assert!(read.unwrap().rested > 0, "it rests on the one before");
    assert_eq!(read_at(&next.point).await, Some(begun));
}
