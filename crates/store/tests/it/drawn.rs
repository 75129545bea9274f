//! Notes' pieces and filters, drawn by seed.

use domain::chance::Chance;

/// The time at which filters are read.
pub(crate) const NOW: i64 = 1_700_000_000;

/// Pieces of texts, patterns and tags: cases of several scripts, what LIKE and regular expressions take for signs.
pub(crate) const PIECES: [&str; 34] = [
    "work",
    "Work",
    "WORK",
    "straße",
    "STRASSE",
    "Éclair",
    "éCLAIR",
    "ёлка",
    "ЁЛКА",
    "İzmir",
    "izmir",
    "ΣΊΣΥΦΟΣ",
    "σίσυφος",
    "ǅungla",
    "K",
    "k",
    "😀",
    "100%",
    "a_b",
    "aXb",
    "\\",
    "\\\\",
    "'",
    "\"",
    "\n",
    " ",
    "travel",
    "travel/japan",
    "Travel/Japan/kyoto",
    "travelling",
    "c++",
    ".",
    "x-1",
    "",
];
pub(crate) const USERS: [&str; 4] = ["ana", "bo", "3", "Bo"];

pub(crate) struct Random(pub(crate) Chance);

impl Random {
    pub(crate) fn below(&self, limit: usize) -> usize {
        usize::try_from(self.0.below(limit as u64)).unwrap()
    }

    pub(crate) fn yes(&self) -> bool {
        self.below(2) == 0
    }

    pub(crate) fn one<'a>(&self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    pub(crate) fn text(&self) -> String {
        (0..self.below(5)).map(|_| self.one(&PIECES)).collect()
    }

    pub(crate) fn time(&self) -> i64 {
        match self.below(6) {
            0 => 0,
            1 => -1 - i64::try_from(self.below(1_000_000_000)).unwrap(),
            2 => 253_402_300_799,
            _ => NOW - i64::try_from(self.below(100_000_000)).unwrap(),
        }
    }

    /// A literal of the language.
    fn quoted(&self) -> String {
        let text = if self.yes() { self.one(&PIECES).to_owned() } else { self.text() };
        quoted(&text)
    }

    fn list(&self) -> String {
        let items: Vec<String> = (0..=self.below(3)).map(|_| self.quoted()).collect();
        format!("[{}]", items.join(", "))
    }

    fn op(&self) -> &'static str {
        self.one(&["==", "!=", "<", "<=", ">", ">="])
    }

    fn tag_test(&self) -> String {
        let literal = self.quoted();
        match self.below(4) {
            0 => format!("t == {literal}"),
            1 => format!("t.startsWith({literal})"),
            2 => format!("t.endsWith({literal})"),
            _ => format!("t.contains({literal})"),
        }
    }

    fn tags(&self) -> String {
        match self.below(9) {
            0 => format!("{} in tags", self.quoted()),
            1 => format!("tag in {}", self.list()),
            2 => format!("tags.exists(t, {})", self.tag_test()),
            3 => format!("tags.all(t, {})", self.tag_test()),
            4 => format!("tags.exists_one(t, {})", self.tag_test()),
            5 => format!("sets.contains(tags, {})", self.list()),
            6 => format!("sets.intersects(tags, {})", self.list()),
            7 => format!("sets.equivalent(tags, {})", self.list()),
            _ => format!("size(tags) {} {}", self.op(), self.below(4)),
        }
    }

    fn text_test(&self) -> String {
        let literal = self.quoted();
        let pattern = ["(?i)work", "^[a-zé]+$", "\\\\d+%", "o.k", "(?s)a.*b", "\\\\bx", "[[:upper:]]", "a|é", "^$"];
        match self.below(8) {
            0 | 1 => format!("content.contains({literal})"),
            2 => format!("content.startsWith({literal})"),
            3 => format!("content.endsWith({literal})"),
            4 => format!("content {} {literal}", self.op()),
            5 => format!("content in {}", self.list()),
            6 => format!("content.matches(\"{}\")", self.one(&pattern)),
            _ => format!("size(content) {} {}", self.op(), self.below(20)),
        }
    }

    fn atom(&self) -> String {
        let times = ["created_ts", "updated_ts"];
        let parts = [
            "getFullYear",
            "getMonth",
            "getDate",
            "getDayOfMonth",
            "getDayOfWeek",
            "getDayOfYear",
            "getHours",
            "getMinutes",
            "getSeconds",
        ];
        match self.below(10) {
            0..=2 => self.text_test(),
            3..=5 => self.tags(),
            6 => format!("{} {} timestamp({})", self.one(&times), self.op(), self.time()),
            7 => format!("{}.{}() {} {}", self.one(&times), self.one(&parts), self.op(), self.below(60)),
            8 => match self.below(4) {
                0 => format!(
                    "creator {} \"users/{}\"",
                    self.one(&["==", "!="]),
                    self.one(&["ana", "bo", "3", "1", "2", "BO", ""])
                ),
                1 => format!("creator in [\"users/{}\", \"users/{}\"]", self.one(&USERS), self.below(5)),
                2 => format!("creator_id {} {}", self.op(), self.below(5)),
                _ => {
                    format!("visibility {} \"{}\"", self.one(&["==", "!="]), self.one(&["PUBLIC", "PRIVATE", "public"]))
                }
            },
            _ => self
                .one(&[
                    "pinned",
                    "!has_code",
                    "has_link == false",
                    "has_task_list",
                    "has_incomplete_tasks != true",
                    "true",
                ])
                .to_owned(),
        }
    }

    pub(crate) fn filter(&self, depth: usize) -> String {
        if depth == 0 || self.below(3) == 0 {
            return self.atom();
        }
        match self.below(3) {
            0 => format!("!({})", self.filter(depth - 1)),
            1 => format!("({}) && ({})", self.filter(depth - 1), self.filter(depth - 1)),
            _ => format!("({}) || ({})", self.filter(depth - 1), self.filter(depth - 1)),
        }
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
