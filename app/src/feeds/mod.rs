//! Feeds of public notes (RSS, Atom), and what crawlers ask for.

mod atom;
mod entry;
mod routes;
mod rss;
mod xml;

pub use routes::routes;

use domain::note::Note;

/// What a feed is about and where it is.
#[derive(Clone, Debug)]
struct Channel {
    title: String,
    about: String,
    /// What every link begins with, without a slash at the end.
    origin: String,
    /// The address of the feed itself, below the origin.
    own: String,
    /// When the newest note was changed, in seconds since 1970.
    changed: i64,
}

/// A note with the name of who wrote it.
#[derive(Clone, Debug)]
struct Entry {
    note: Note,
    author: String,
}
