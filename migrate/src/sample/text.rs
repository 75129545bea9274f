//! What the notes of a sample say: everyday lines in many scripts, in every form that notes take.

use domain::chance::Chance;

/// A script with a tag and some lines of its own.
struct Tongue {
    tag: &'static str,
    lines: &'static [&'static str],
}

const TONGUES: [Tongue; 14] = [
    Tongue {
        tag: "garden",
        lines: &[
            "The tomatoes want string before the weekend.",
            "Bought two bags of compost and one watering can.",
            "Frost is announced for Thursday night.",
            "The pear tree carries more than last year.",
        ],
    },
    Tongue {
        tag: "büro",
        lines: &[
            "Der Drucker im dritten Stock braucht neues Papier.",
            "Übergabe am Dienstag, danach Kaffee für alle.",
            "Größere Räume wären schön, kosten aber.",
            "Die Rechnung liegt schon auf dem Tisch.",
        ],
    },
    Tongue {
        tag: "cuisine",
        lines: &[
            "Faire revenir les oignons à feu très doux.",
            "Le marché ouvre à sept heures, même l'été.",
            "Pensez à garder un peu d'eau de cuisson.",
            "Une pincée de sel, puis on goûte.",
        ],
    },
    Tongue {
        tag: "viaje",
        lines: &[
            "El tren sale a las nueve y cuarto del andén dos.",
            "Mañana visitamos el mercado y después la playa.",
            "Reservar la habitación con vistas al patio.",
        ],
    },
    Tongue {
        tag: "дом",
        lines: &[
            "Купить хлеб, молоко и лампочку на кухню.",
            "Позвонить мастеру насчёт окна в субботу.",
            "Снег обещают только к концу недели.",
        ],
    },
    Tongue {
        tag: "βιβλία",
        lines: &[
            "Τελείωσα το τρίτο κεφάλαιο στο λεωφορείο.",
            "Η βιβλιοθήκη κλείνει στις οκτώ το βράδυ.",
            "Να ρωτήσω για την καινούργια έκδοση.",
        ],
    },
    Tongue {
        tag: "工作",
        lines: &[
            "今天的会议改到下午三点，地点不变。",
            "把新的报表发给大家看一遍。",
            "周五之前要把合同寄出去。",
            "服务器换了硬盘，一切正常。",
        ],
    },
    Tongue {
        tag: "日記",
        lines: &[
            "朝の散歩で小さな猫に会った。",
            "新しい喫茶店のコーヒーがおいしい。",
            "来週の土曜日は母の誕生日です。",
        ],
    },
    Tongue {
        tag: "여행",
        lines: &[
            "내일 아침 기차표를 예매해야 한다.",
            "바닷가 근처 식당이 조용하고 좋았다.",
            "사진은 저녁에 정리하기로 했다.",
        ],
    },
    Tongue {
        tag: "قراءة",
        lines: &[
            "قرأت فصلين من الكتاب قبل النوم.",
            "موعد الطبيب يوم الأربعاء صباحا.",
            "اشترينا زيت الزيتون من السوق القديم.",
        ],
    },
    Tongue {
        tag: "בית",
        lines: &["לקנות נורה חדשה למרפסת.", "הפגישה נדחתה ליום ראשון בבוקר.", "המרק יצא טעים במיוחד הערב."],
    },
    Tongue {
        tag: "घर",
        lines: &["कल सुबह सब्ज़ी मंडी जाना है।", "नई किताब अलमारी के ऊपर रखी है।", "बारिश के बाद बगीचा बहुत हरा लगता है।"],
    },
    Tongue {
        tag: "อาหาร",
        lines: &["ซื้อมะนาวกับพริกแห้งจากตลาดเช้า", "ร้านก๋วยเตี๋ยวหน้าปากซอยเปิดแล้ว", "อย่าลืมแช่ข้าวเหนียวไว้ก่อนนอน"],
    },
    Tongue {
        tag: "🚲",
        lines: &[
            "🚲 12 km along the river 🌊, wind from the west 💨.",
            "New brake pads 🛠️ fitted, the old ones were 🥲.",
            "👩‍👩‍👧 tour on Sunday, picnic at the lock 🧺.",
        ],
    },
];

/// The text of one note; `number` only turns the forms, so that every form occurs.
pub(super) fn note(chance: &Chance, number: usize) -> String {
    let tongue = &TONGUES[chance.below(TONGUES.len() as u64) as usize];
    let line = || tongue.lines[chance.below(tongue.lines.len() as u64) as usize];
    let tag = tongue.tag;
    match number % 12 {
        0 => format!("# {}\n\n{} #{tag}\n\n## {}\n\n{}", line().trim_end_matches('.'), line(), tongue.tag, line()),
        1 => format!("- [ ] {}\n- [x] {}\n  - [ ] {}\n\n#{tag} #todo", line(), line(), line()),
        2 => format!("{}\n\n| # | what |\n|--:|------|\n| 1 | {} |\n| 2 | {} |\n\n#{tag}/list", line(), line(), line()),
        3 => format!(
            "{} #{tag}\n\n```rust\nfn day(n: u32) -> u32 {{\n    n % {}\n}}\n```\n\n`inline` too.",
            line(),
            2 + chance.below(9)
        ),
        4 => format!("> {}\n>\n> > {}\n\n{} #{tag}", line(), line(), line()),
        5 => format!(
            "{} [more](https://example.org/{}) and https://example.com/#part #{tag}",
            line(),
            chance.below(1_000)
        ),
        6 => format!("1. {}\n2. {}\n   * {}\n\n#{tag} #{tag}/{}", line(), line(), line(), 2020 + chance.below(7)),
        7 => format!(
            "Area: $\\pi r^2$ with $r = {}$.\n\n$$\n\\sum_{{k=1}}^n k = \\frac{{n(n+1)}}{{2}}\n$$\n\n{} #{tag}",
            1 + chance.below(20),
            line()
        ),
        8 => format!("**{}** _{}_ ~~{}~~\n\n---\n\n<kbd>Ctrl</kbd>+<kbd>S</kbd> #{tag}", line(), line(), line()),
        9 => (0..12).map(|_| line()).collect::<Vec<_>>().join("\r\n"),
        10 => format!("{} {}\n\n{}\n\n#{tag}", line(), line(), line()),
        _ => line().to_owned(),
    }
}

/// The text of a comment that may mention somebody.
pub(super) fn comment(chance: &Chance, mention: &str) -> String {
    let tongue = &TONGUES[chance.below(TONGUES.len() as u64) as usize];
    let line = tongue.lines[chance.below(tongue.lines.len() as u64) as usize];
    if chance.below(3) == 0 { format!("@{mention} {line}") } else { line.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_says_the_same() {
        let say = |seed| (0..40).map(|n| note(&Chance::seeded(seed), n)).collect::<Vec<_>>();
        assert_eq!(say(1), say(1));
        assert_ne!(say(1), say(2));
        assert!(say(3).iter().all(|text| !text.is_empty()));
    }
}
