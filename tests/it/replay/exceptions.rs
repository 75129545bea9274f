//! Exchanges whose answer differs on purpose, each with its reason: right answers where the original is broken (DESIGN §7:
//! 5xx, and ranges of stored files), and the few true exceptions. One that becomes equal must leave its list.

const RANGES: &str = "ranges of a file kept in the original's database are ignored; every file of ours has them";
const TAKEN: &str = "a taken name or id is a conflict";
const INCOMPLETE: &str = "an incomplete or impossible request is an invalid one";
const UNKNOWN: &str = "what does not exist is not found";
const POSTGRES: &str = "the database is Postgres and is called so";
const VIEWS: &str = "the newer name of saved filters is served beside the older one";

/// Id, the right status, reason: where the original fails with 5xx or ignores a range.
pub(super) const RIGHTLY: &[(&str, u16, &str)] = &[
    ("memo-sub-021", 404, UNKNOWN),
    ("cel-027", 400, INCOMPLETE),
    ("files-055", 206, RANGES),
    ("files-057", 206, RANGES),
    ("files-065", 206, RANGES),
    ("files-090", 206, RANGES),
    ("files-093", 206, RANGES),
    ("files-096", 206, RANGES),
    ("files-099", 416, RANGES),
    ("files-102", 206, RANGES),
    ("files-105", 416, RANGES),
    ("files-108", 416, RANGES),
    ("w-signin-011", 400, "signing in through a provider that does not answer is no fault of the server"),
    ("w-memo-create-024", 404, UNKNOWN),
    ("w-memo-create-035", 400, INCOMPLETE),
    ("w-comments-005", 409, TAKEN),
    ("w-comments-006", 400, INCOMPLETE),
    ("w-reactions-005", 200, "the reaction that is there is given again"),
    ("w-reactions-008", 400, INCOMPLETE),
    ("w-attachments-002", 409, TAKEN),
    ("w-users-002", 409, TAKEN),
    ("w-users-030", 409, TAKEN),
    ("w-users-048", 409, TAKEN),
    ("w-instance-036", 400, "a mail server that cannot be reached is no fault of the server"),
    ("w-instance-017", 400, INCOMPLETE),
    ("w-instance-018", 400, INCOMPLETE),
];

/// Id and reason: answers that are as right as the recorded ones, and other. At most ten.
pub(super) const EXCEPTIONS: &[(&str, &str)] = &[
    ("files-115", "HEAD is GET without the body"),
    ("files-131", "the address of a file in 0.21 still gives the file, not the web app"),
    ("instance-043", "the profile of 0.25 is still served under its old name"),
    ("instance-041", POSTGRES),
    ("instance-042", POSTGRES),
    ("w-memo-create-027", "Postgres text holds no NUL: refused with 400"),
    ("connect-errors-018", VIEWS),
    ("user-things-045", VIEWS),
    ("feeds-012", "archived notes are not published to crawlers"),
    ("feeds-014", "the first page is ours, not the web app of Memos"),
];

/// Not offered yet; whoever builds it takes it off.
pub(super) const NOT_YET: &[&str] = &[];
