//! A tenant as a folder of Markdown files: `notes/<uid>.md` with front matter, files below `files/<uid>/`.

use std::path::Path;

use domain::id::NoteId;
use store::Snapshot;

use super::{Exported, copy_out, each_row, leave_out_rest, safe_name};
use crate::error::Error;
use crate::table::{self, Cell};
use crate::write::House;

/// Notes read at once.
const AT_ONCE: i64 = 200;

pub(super) async fn write(
    house: &House,
    snapshot: &mut Snapshot,
    folder: &Path,
    report: &mut Exported,
) -> Result<(), Error> {
    let notes = folder.join("notes");
    std::fs::create_dir_all(&notes).map_err(Error::file("create", &notes))?;
    let mut after = NoteId(i64::MIN);
    loop {
        let some = snapshot.notes_after(after, AT_ONCE).await?;
        let Some(last) = some.last() else { break };
        after = last.id;
        for note in &some {
            let path = folder.join(::markdown::note_path(&note.uid, note.id.0));
            if path.exists() {
                // A file system that takes A for a.
                let other = notes.join(format!("{}-{}.md", note.uid, note.id.0));
                std::fs::write(&other, ::markdown::note_file(note)).map_err(Error::file("write", &other))?;
            } else {
                std::fs::write(&path, ::markdown::note_file(note)).map_err(Error::file("write", &path))?;
            }
            report.wrote("note");
        }
    }
    files(house, snapshot, folder, report).await?;
    leave_out_rest(snapshot, &["note", "attachment", "note_relation", "reaction"], report).await
}

async fn files(house: &House, snapshot: &mut Snapshot, folder: &Path, report: &mut Exported) -> Result<(), Error> {
    let mut rows = Vec::new();
    each_row(snapshot, &table::ATTACHMENT, &mut |row| {
        let text = |at: usize| if let Some(Cell::Text(text)) = row.get(at) { text.clone() } else { String::new() };
        rows.push((text(1), text(7), text(10), text(11), text(12)));
        Ok(())
    })
    .await?;
    for (uid, filename, sha256, key, link) in rows {
        if key.is_empty() {
            let message =
                if link.is_empty() { "its bytes are missing".to_owned() } else { format!("it is elsewhere: {link}") };
            report.left("attachment", &uid, message);
            continue;
        }
        let place = folder.join("files").join(safe_name(&uid));
        std::fs::create_dir_all(&place).map_err(Error::file("create", &place))?;
        match copy_out(house, &key, &sha256, &place.join(safe_name(&filename))).await? {
            Some(bytes) => {
                report.files += 1;
                report.bytes += bytes;
                report.wrote("attachment");
            }
            None => report.left("attachment", &uid, "its bytes are not in the file store"),
        }
    }
    Ok(())
}
