//! What a row is called, and what it belongs to.

use crate::table::{Cell, Target};
use crate::verify::REFERENCES;

/// The notes that a row belongs to.
pub(super) fn notes_of(target: &Target, cells: &[Cell]) -> Vec<i64> {
    let leads = REFERENCES.iter().filter(|(table, _, to)| *table == target.name && *to == "note");
    leads.filter_map(|(_, column, _)| cells.get(*column)?.int()).collect()
}

/// What people call a row.
pub(super) fn name_of(target: &Target, cells: &[Cell]) -> String {
    let shown = |at: usize| cells.get(at).map(Cell::shown).unwrap_or_default();
    match target.name {
        "member" => format!("users/{}", shown(1)),
        "note" => format!("memos/{}", shown(1)),
        "attachment" => format!("attachments/{}", shown(1)),
        "reaction" => format!("reactions/{}", shown(0)),
        "note_share" => format!("memos/shares/{}", shown(1)),
        "note_relation" => format!("relation of note {} to note {}", shown(0), shown(1)),
        "member_setting" => format!("setting {} of member {}", shown(1), shown(0)),
        "setting" => format!("setting {}", shown(0)),
        other => format!("{other} {}", shown(0)),
    }
}
