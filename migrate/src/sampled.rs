//! A sample of the imported notes, read as members will read them.

use domain::id::MemberId;
use serde_json::Value as Json;
use store::TenantScope;

use crate::error::Error;
use crate::reader::value::written_time;
use crate::report::MemberPlan;
use crate::table::Cell;
use crate::write::House;

/// Reads each note as its author and compares; tells how many. Nothing is read where no API is at hand.
///
/// # Errors
/// `Differs`, naming the note and what is shown otherwise than it was sent.
pub(crate) async fn read_back(
    house: &House,
    scope: &TenantScope,
    samples: &[Vec<Cell>],
    members: &[MemberPlan],
) -> Result<u64, Error> {
    let Some(read) = &house.read_back else { return Ok(0) };
    for cells in samples {
        let (Some(uid), Some(author)) = (text(cells, 1), cells.get(2).and_then(Cell::int)) else { continue };
        let shown = read(scope.clone(), MemberId(author), uid.to_owned()).await;
        let shown =
            shown.map_err(|why| Error::Differs(format!("memos/{uid} cannot be read through the API: {why}")))?;
        let name = members.iter().find(|member| member.id == author).map_or("", |member| &member.username);
        if let Some(what) = difference(cells, &shown, name) {
            return Err(Error::Differs(format!("the API shows {what} of memos/{uid} otherwise than it was sent")));
        }
    }
    Ok(samples.len() as u64)
}

fn text(cells: &[Cell], at: usize) -> Option<&str> {
    if let Some(Cell::Text(text)) = cells.get(at) { Some(text) } else { None }
}

/// The first thing that is not as it was sent. Cells are those of `table::NOTE`.
fn difference(cells: &[Cell], shown: &Json, author: &str) -> Option<&'static str> {
    let time = |key: &str| shown[key].as_str().and_then(written_time).map(Cell::Int);
    let is =
        |key: &str, at: usize| shown[key].as_bool().unwrap_or_default() == (cells.get(at) == Some(&Cell::Bool(true)));
    let tags: Vec<String> =
        shown["tags"].as_array().into_iter().flatten().filter_map(|tag| tag.as_str().map(str::to_owned)).collect();
    let comment = cells.get(3).and_then(Cell::int).is_some();
    let archived = shown["state"] == "ARCHIVED";
    let same = [
        ("the name", shown["name"].as_str() == text(cells, 1).map(|uid| format!("memos/{uid}")).as_deref()),
        ("the text", shown["content"].as_str().unwrap_or_default() == text(cells, 9).unwrap_or_default()),
        ("the author", author.is_empty() || shown["creator"].as_str() == Some(&format!("users/{author}"))),
        ("the time of creation", time("createTime").as_ref() == cells.get(4)),
        ("the time of the last change", time("updateTime").as_ref() == cells.get(5)),
        ("the state", archived == (cells.get(6) == Some(&Cell::Bool(true)))),
        ("the pin", is("pinned", 7)),
        // A comment is shown with its note's visibility.
        ("the visibility", comment || shown["visibility"].as_str() == text(cells, 8)),
        ("the tags", cells.get(10) == Some(&Cell::Texts(tags))),
    ];
    same.into_iter().find(|(_, same)| !same).map(|(what, _)| what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_otherwise_is_named() {
        let mut cells = vec![Cell::Null; 19];
        cells[1] = "u".into();
        cells[4] = 1_767_323_045.into();
        cells[5] = (-1).into();
        cells[6] = false.into();
        cells[7] = true.into();
        cells[8] = "PUBLIC".into();
        cells[9] = "text #a".into();
        cells[10] = Cell::Texts(vec!["a".into()]);
        let mut shown = serde_json::json!({
            "name": "memos/u", "state": "NORMAL", "creator": "users/ann", "createTime": "2026-01-02T03:04:05Z",
            "updateTime": "1969-12-31T23:59:59Z", "content": "text #a", "visibility": "PUBLIC", "tags": ["a"], "pinned": true,
        });
        assert_eq!(difference(&cells, &shown, "ann"), None);
        assert_eq!(difference(&cells, &shown, "eve"), Some("the author"));
        shown["content"] = "text".into();
        assert_eq!(difference(&cells, &shown, "ann"), Some("the text"));
    }
}
