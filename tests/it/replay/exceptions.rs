//! Exchanges whose answer differs on purpose, each with its reason. One that becomes equal must leave the list.

const RANGES: &str = "the original ignores ranges on files kept in its database; every file of ours has them";
const BROKEN: &str = "the original fails with 5xx here; ours is the right answer";
const FEEDS: &str = "feeds, robots and sitemap are not offered yet";

/// Id and reason.
pub(super) const EXCEPTIONS: &[(&str, &str)] = &[
    ("memo-sub-021", BROKEN),
    ("cel-027", BROKEN),
    ("files-055", RANGES),
    ("files-057", RANGES),
    ("files-065", RANGES),
    ("files-090", RANGES),
    ("files-093", RANGES),
    ("files-096", RANGES),
    ("files-099", RANGES),
    ("files-102", RANGES),
    ("files-105", RANGES),
    ("files-108", RANGES),
    ("files-115", "HEAD is GET without the body"),
    ("files-131", "an address that is none of ours is a page with 404, not the web app with 200"),
    ("instance-041", "the instance's statistics are not offered yet"),
    ("instance-042", "the instance's statistics are not offered yet"),
    ("w-signin-011", "signing in through a provider is not offered yet; the original's exchange fails, too"),
    ("w-memo-create-024", BROKEN),
    ("w-memo-create-027", "Postgres text holds no NUL: refused with 400"),
    ("w-memo-create-035", BROKEN),
    ("w-comments-005", BROKEN),
    ("w-comments-006", BROKEN),
    ("w-reactions-005", BROKEN),
    ("w-reactions-008", BROKEN),
    ("w-attachments-002", BROKEN),
    ("private-mode-008", "identity providers are not offered yet"),
    ("private-mode-018", FEEDS),
    ("private-mode-019", FEEDS),
    ("private-mode-020", FEEDS),
    ("private-mode-021", FEEDS),
];
