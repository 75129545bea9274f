//! A note as a page shows it.

use domain::note::{CardEnd, Note, RelationKind, Visibility};
use markdown::{HtmlOptions, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use crate::notes::{Desk, access};

/// What the cards of a page have in common.
pub(super) struct Look<'a> {
    /// The tenant's base path.
    pub(super) base: &'a str,
    /// Whether anything may be changed at present.
    pub(super) writable: bool,
    /// The reactions that are offered.
    pub(super) offered: &'a [String],
}

/// A note ready for the template.
pub(super) struct NoteCard {
    pub(super) uid: String,
    pub(super) creator: String,
    pub(super) stamp: String,
    pub(super) when: String,
    pub(super) exactly: String,
    pub(super) visibility: &'static str,
    pub(super) pinned: bool,
    pub(super) archived: bool,
    pub(super) html: String,
    pub(super) files: Vec<FileLink>,
    pub(super) reactions: Vec<ReactionCount>,
    /// Reactions that the reader may add; empty when none may.
    pub(super) offered: Vec<String>,
    pub(super) may_react: bool,
    pub(super) comments: usize,
    pub(super) may_comment: bool,
    pub(super) is_comment: bool,
    pub(super) may_change: bool,
}

/// A file of a note.
pub(super) struct FileLink {
    pub(super) uid: String,
    pub(super) url: String,
    pub(super) name: String,
    pub(super) size: String,
    pub(super) image: bool,
}

/// Reactions of one kind.
pub(super) struct ReactionCount {
    pub(super) sign: String,
    pub(super) count: usize,
    pub(super) who: String,
    pub(super) mine: bool,
}

pub(super) const fn words(visibility: Visibility) -> &'static str {
    match visibility {
        Visibility::Private => "only me",
        Visibility::Protected => "this workspace",
        Visibility::Public => "public",
    }
}

/// 2026-11-22 14:35 UTC.
pub(super) fn moment(seconds: i64) -> String {
    let shape = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    OffsetDateTime::from_unix_timestamp(seconds).ok().and_then(|at| at.format(&shape).ok()).unwrap_or_default()
}

/// "just now", "5 minutes ago", "3 hours ago", "yesterday", "12 Mar", "12 Mar 2024".
pub(super) fn ago(now: i64, seconds: i64) -> String {
    let some = |count: i64, unit: &str| format!("{count} {unit}{} ago", if count == 1 { "" } else { "s" });
    match now - seconds {
        -60..60 => "just now".to_owned(),
        past @ 60..3_600 => some(past / 60, "minute"),
        past @ 3_600..86_400 => some(past / 3_600, "hour"),
        86_400..172_800 => "yesterday".to_owned(),
        _ => day(now, seconds),
    }
}

fn day(now: i64, seconds: i64) -> String {
    let (Ok(now), Ok(at)) = (OffsetDateTime::from_unix_timestamp(now), OffsetDateTime::from_unix_timestamp(seconds))
    else {
        return moment(seconds);
    };
    let written = if now.year() == at.year() {
        at.format(format_description!("[day padding:none] [month repr:short]"))
    } else {
        at.format(format_description!("[day padding:none] [month repr:short] [year]"))
    };
    written.unwrap_or_default()
}

pub(super) fn bytes(count: i64) -> String {
    match count {
        ..1024 => format!("{count} B"),
        1024..1_048_576 => format!("{:.1} KiB", count as f64 / 1024.0),
        _ => format!("{:.1} MiB", count as f64 / 1_048_576.0),
    }
}

impl NoteCard {
    pub(super) fn new(desk: &Desk<'_>, look: &Look<'_>, note: &Note) -> Self {
        let options = HtmlOptions { tag_prefix: format!("{}?tag=", look.base), member_prefix: String::new() };
        let stamp = OffsetDateTime::from_unix_timestamp(note.created_ts).ok().and_then(|at| at.format(&Rfc3339).ok());
        let comments = note.card.relations.iter().filter(|one| !one.outgoing && one.kind == RelationKind::Comment);
        let may_react = look.writable && desk.author().is_ok();
        let reactions = counted(desk, note);
        let offered = look.offered.iter().filter(|sign| may_react && !reactions.iter().any(|one| one.sign == **sign));
        Self {
            uid: note.uid.clone(),
            creator: note.creator.clone(),
            stamp: stamp.unwrap_or_default(),
            when: ago(desk.now(), note.created_ts),
            exactly: moment(note.created_ts),
            visibility: words(note.visibility),
            pinned: note.pinned,
            archived: note.archived,
            html: labelled(html(&note.content, &options)),
            files: files(look.base, note),
            offered: offered.cloned().collect(),
            reactions,
            may_react,
            comments: comments.filter(|one| seen(desk, &one.other)).count(),
            may_comment: look.writable && desk.member().is_ok(),
            is_comment: note.card.parent.is_some(),
            may_change: look.writable && access::may_change(desk, note).is_ok(),
        }
    }
}

/// Gives the check boxes of a text names for those who hear the page. What looks like one in the text is escaped there.
fn labelled(html: String) -> String {
    if !html.contains("<input ") {
        return html;
    }
    html.replace(r#"<input type="checkbox" checked="""#, r#"<input aria-label="done" type="checkbox" checked="""#)
        .replace(r#"<input type="checkbox" disabled="""#, r#"<input aria-label="to do" type="checkbox" disabled="""#)
}

/// The files of a note as links.
pub(super) fn files(base: &str, note: &Note) -> Vec<FileLink> {
    let link = |file: &domain::note::CardAttachment| FileLink {
        uid: file.uid.clone(),
        url: if file.external_link.is_empty() {
            format!("{base}file/attachments/{}/{}", file.uid, utf8_percent_encode(&file.filename, NON_ALPHANUMERIC))
        } else {
            file.external_link.clone()
        },
        name: file.filename.clone(),
        size: bytes(file.size),
        image: file.external_link.is_empty()
            && matches!(file.kind.as_str(), "image/png" | "image/jpeg" | "image/gif" | "image/webp"),
    };
    note.card.attachments.iter().map(link).collect()
}

/// Whether the reader may know of the note at the other end.
fn seen(desk: &Desk<'_>, other: &CardEnd) -> bool {
    let reader = desk.actor.member_id();
    let shown =
        other.visibility == Visibility::Public || (reader.is_some() && other.visibility == Visibility::Protected);
    reader == Some(other.creator_id) || (!other.archived && shown)
}

fn counted(desk: &Desk<'_>, note: &Note) -> Vec<ReactionCount> {
    let reader = desk.actor.member_id();
    let mut out: Vec<ReactionCount> = Vec::new();
    for reaction in &note.card.reactions {
        let mine = reader == Some(reaction.creator_id);
        match out.iter_mut().find(|known| known.sign == reaction.reaction) {
            Some(known) => {
                known.count += 1;
                known.mine |= mine;
                known.who.push_str(", ");
                known.who.push_str(&reaction.creator);
            }
            None => out.push(ReactionCount {
                sign: reaction.reaction.clone(),
                count: 1,
                who: reaction.creator.clone(),
                mine,
            }),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_people_tell_them() {
        let now = 1_795_364_100; // 2026-11-22 16:15 UTC
        for (before, told) in [
            (0, "just now"),
            (-5, "just now"),
            (60, "1 minute ago"),
            (3_599, "59 minutes ago"),
            (7_200, "2 hours ago"),
            (90_000, "yesterday"),
            (10 * 86_400, "12 Nov"),
            (400 * 86_400, "18 Oct 2025"),
            (-86_400, "23 Nov"),
        ] {
            assert_eq!(ago(now, now - before), told, "{before}");
        }
        assert_eq!(moment(now), "2026-11-22 16:15 UTC");
    }

    #[test]
    fn check_boxes_have_names() {
        let shown =
            labelled(html("- [ ] one\n- [x] two\n\n`<input type=\"checkbox\" checked=\"\"`", &HtmlOptions::default()));
        assert_eq!(shown.matches("aria-label=\"to do\"").count(), 1, "{shown}");
        assert_eq!(shown.matches("aria-label=\"done\"").count(), 1, "{shown}");
    }
}
