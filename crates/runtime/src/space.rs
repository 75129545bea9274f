//! Free space on the disks that writes end up on: below a floor, nothing more is stored.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use nix::sys::statvfs::statvfs;

/// How often the disks are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// Tells the free bytes of the disk that a path is on.
pub type Reader = Arc<dyn Fn(&Path) -> io::Result<u64> + Send + Sync>;

/// A disk to be watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What is on it: `data`, `database`, `files`.
    pub name: &'static str,
    /// A path on it.
    pub path: PathBuf,
}

/// What was seen of a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The disk.
    pub place: Place,
    /// Its free bytes; none when they cannot be told.
    pub free: Option<u64>,
}

/// Watches the disks. Cheap to clone.
#[derive(Clone)]
pub struct Space(Arc<Inner>);

struct Inner {
    places: Vec<Place>,
    floor: u64,
    reader: Reader,
    low: RwLock<Option<&'static str>>,
}

impl Space {
    /// Watching these disks. `floor`: free bytes below which nothing more is stored.
    pub fn new(places: Vec<Place>, floor: u64) -> Self {
        Self::with_reader(places, floor, Arc::new(free))
    }

    /// The same with another way of telling.
    pub fn with_reader(places: Vec<Place>, floor: u64, reader: Reader) -> Self {
        Self(Arc::new(Inner { places, floor, reader, low: RwLock::new(None) }))
    }

    /// The disk that is below the floor, if one is.
    pub fn low(&self) -> Option<&'static str> {
        *self.0.low.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The floor.
    pub fn floor(&self) -> u64 {
        self.0.floor
    }

    /// Looks at every disk. One that cannot be told is not low.
    pub fn look(&self) -> Vec<Seen> {
        let look = |place: &Place| Seen { place: place.clone(), free: (self.0.reader)(&place.path).ok() };
        let seen: Vec<Seen> = self.0.places.iter().map(look).collect();
        for one in &seen {
            if let Some(free) = one.free {
                metrics::gauge!("holdfast_free_space_bytes", "place" => one.place.name).set(free as f64);
            }
        }
        let low = seen.iter().find(|one| one.free.is_some_and(|free| free < self.0.floor)).map(|one| one.place.name);
        let before = std::mem::replace(&mut *self.0.low.write().unwrap_or_else(PoisonError::into_inner), low);
        match (before, low) {
            (None, Some(place)) => {
                tracing::error!(place, floor = self.0.floor, "little space is left: nothing more is stored");
            }
            (Some(place), None) => {
                tracing::warn!(place, "there is space again");
            }
            _ => {}
        }
        seen
    }

    /// Looks again and again.
    pub async fn tend(self) {
        let mut ticks = tokio::time::interval(LOOK);
        loop {
            ticks.tick().await;
            let this = self.clone();
            // A disk behind a network may not answer.
            tokio::task::spawn_blocking(move || this.look()).await.ok();
        }
    }
}

fn free(path: &Path) -> io::Result<u64> {
    let found = statvfs(path).map_err(io::Error::from)?;
    Ok(found.blocks_available().saturating_mul(found.fragment_size()))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn a_disk_is_low_below_the_floor_and_no_longer() {
        let free = Arc::new(AtomicU64::new(100));
        let told = Arc::clone(&free);
        let places = ["data", "files"].map(|name| Place { name, path: PathBuf::from(name) });
        let reader: Reader =
            Arc::new(move |path| if path == Path::new("data") { Ok(1000) } else { Ok(told.load(Ordering::Relaxed)) });
        let space = Space::with_reader(places.to_vec(), 50, reader);
        for (bytes, low) in [(100, None), (49, Some("files")), (50, None)] {
            free.store(bytes, Ordering::Relaxed);
            space.look();
            assert_eq!(space.low(), low, "{bytes} bytes free");
        }
    }

    #[test]
    fn what_cannot_be_told_is_not_low() {
        let place = Place { name: "database", path: PathBuf::from("/nowhere/at/all") };
        let space = Space::new(vec![place], u64::MAX);
        assert_eq!(space.look().first().and_then(|seen| seen.free), None);
        assert_eq!(space.low(), None);
        let here = Place { name: "data", path: std::env::temp_dir() };
        let space = Space::new(vec![here], u64::MAX);
        assert!(space.look().first().is_some_and(|seen| seen.free.is_some()));
        assert_eq!(space.low(), Some("data"));
    }
}
