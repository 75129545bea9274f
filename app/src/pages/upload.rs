//! The files of a form, which get their rows before the note that they shall hang on. What has no row after all is swept from
//! the file store.

use objects::FileStore;

use super::form::{Content, SentFile};
use crate::files::service::{self, Upload};
use crate::notes::{Desk, Error};

/// Stores the files; gives their public ids. All or none.
pub(super) async fn store_all(desk: &Desk<'_>, store: &FileStore, sent: Vec<SentFile>) -> Result<Vec<String>, Error> {
    let mut stored = Vec::with_capacity(sent.len());
    for file in sent {
        let upload = |content| Upload { filename: file.name, kind: file.kind, content, ..Upload::default() };
        let made = match file.content {
            Content::Held(content, _room) => service::create(desk, store, upload(content)).await,
            Content::Stored(start, stored) => service::create_stored(desk, upload(start), stored).await,
        };
        match made {
            Ok(row) => stored.push(row.uid),
            Err(error) => return Err(take_back(desk, &stored, error).await),
        }
    }
    Ok(stored)
}

/// Deletes files whose note did not come to be; gives the error that was in the way.
pub(super) async fn take_back(desk: &Desk<'_>, stored: &[String], error: Error) -> Error {
    if !stored.is_empty()
        && let Err(second) = service::delete_many(desk, stored).await
    {
        tracing::warn!(error = %second, "files of a note that was not stored could not be deleted");
    }
    error
}
