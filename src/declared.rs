//! What each command leaves in the audit: the events it writes, or none and why. Told at the end of a command's help.

/// What a command leaves in the audit.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Audit {
    /// These events, as far as there is something to tell of.
    Events(&'static [&'static str]),
    /// Nothing, and why.
    Nothing(&'static str),
    /// Nothing is changed.
    Reads,
}

use Audit::{Events, Nothing, Reads};

/// Every command, by its words.
const COMMANDS: &[(&str, Audit)] = &[
    ("demo", Events(&["tenant.imported", "operator.created", "point.taken", "point.verified", "drill.run"])),
    ("serve", Nothing("every route declares its own event")),
    ("worker", Nothing("every job writes the event of what it does")),
    ("tenant create", Events(&["member.created", "tenant.created", "tenant.changed"])),
    ("tenant list", Reads),
    ("tenant show", Reads),
    ("tenant set", Events(&["tenant.changed"])),
    ("tenant open", Events(&["tenant.opened"])),
    ("tenant suspend", Events(&["tenant.suspended"])),
    ("tenant resume", Events(&["tenant.resumed"])),
    ("tenant rename", Events(&["tenant.renamed"])),
    ("tenant delete", Events(&["tenant.deleted"])),
    ("user list", Reads),
    ("user create", Events(&["member.created"])),
    ("user set-password", Events(&["password.changed"])),
    ("user reset-factor", Events(&["factor.off"])),
    ("user archive", Events(&["member.archived"])),
    ("token list", Reads),
    ("token create", Events(&["token.created"])),
    ("token revoke", Events(&["token.revoked"])),
    ("identity list", Reads),
    ("identity set", Events(&["provider.created", "provider.updated"])),
    ("identity remove", Events(&["provider.deleted"])),
    ("identity test", Nothing("it is tried and nothing is saved")),
    ("identity invite", Events(&["invitation.made"])),
    ("operator create", Events(&["operator.created"])),
    ("operator list", Reads),
    ("operator reset", Events(&["operator.reset"])),
    ("operator disable", Events(&["operator.disabled"])),
    ("operator enable", Events(&["operator.enabled"])),
    ("schedule set", Events(&["schedule.set"])),
    ("schedule list", Reads),
    ("schedule pause", Events(&["schedule.paused"])),
    ("schedule resume", Events(&["schedule.resumed"])),
    ("schedule remove", Events(&["schedule.removed"])),
    ("audit tail", Reads),
    ("audit verify", Reads),
    ("status", Reads),
    ("migrate check", Reads),
    ("migrate run", Events(&["tenant.imported", "tenant.changed"])),
    ("migrate catch-up", Events(&["tenant.caught_up"])),
    ("migrate export", Events(&["tenant.exported"])),
    ("migrate open", Events(&["tenant.opened"])),
    ("migrate rollback", Events(&["tenant.rolled_back"])),
    ("migrate sample", Nothing("it writes a folder of invented notes and touches no tenant")),
    ("config show", Reads),
    ("config check", Reads),
    ("store probe", Nothing("the objects it tries the store with are removed again")),
    ("doctor", Nothing("the objects it tries the store with are removed again")),
    ("backup run", Events(&["key.created", "point.taken", "point.verified"])),
    ("backup list", Reads),
    ("backup show", Reads),
    ("backup verify", Events(&["point.verified", "dump.verified"])),
    (
        "backup prune",
        Events(&[
            "point.removed",
            "point.times_accepted",
            "dump.found",
            "dump.verified",
            "dump.removed",
            "key.certificate_renewed",
        ]),
    ),
    ("backup keep", Events(&["point.kept"])),
    ("backup dump", Events(&["dump.taken"])),
    ("restore run", Events(&["tenant.restored"])),
    ("restore note", Events(&["restore.part"])),
    ("restore member", Events(&["restore.part"])),
    ("restore attachment", Events(&["restore.part"])),
    ("restore compare", Reads),
    ("restore swap", Events(&["tenant.swapped"])),
    ("restore undo", Events(&["tenant.swap.undone"])),
    ("restore instance", Events(&["point.found", "tenant.returned", "instance.restored"])),
    ("drill run", Events(&["drill.run"])),
    ("drill list", Reads),
    ("drill show", Reads),
    ("mirror on", Events(&["mirror.on"])),
    ("mirror off", Events(&["mirror.off"])),
    ("mirror show", Reads),
    ("mirror run", Nothing("it writes the files that the worker would write a moment later")),
    ("key escrow", Reads),
    ("key rotate", Events(&["key.rotated"])),
    ("key distrust", Events(&["key.distrusted"])),
    ("key purge", Events(&["key.purged", "key.certificate_renewed"])),
    ("key certificates", Reads),
    ("schema status", Reads),
    ("schema apply", Events(&["point.taken", "point.verified", "schema.stepped", "schema.failed"])),
    ("schema rollback", Events(&["tenant.restored", "tenant.swapped"])),
];

/// What the command of these words declares.
fn of(words: &str) -> Option<Audit> {
    COMMANDS.iter().find(|(known, _)| *known == words).map(|(_, audit)| *audit)
}

/// The command line with a sentence at the end of each command's help.
pub(crate) fn told(line: clap::Command) -> clap::Command {
    line.mut_subcommands(|command| told_below(command, ""))
}

fn told_below(command: clap::Command, before: &str) -> clap::Command {
    let words = format!("{before}{}", command.get_name());
    if command.has_subcommands() {
        return command.mut_subcommands(|below| told_below(below, &format!("{words} ")));
    }
    match of(&words) {
        Some(Events(names)) => command.after_help(format!("Audit: {}.", names.join(", "))),
        Some(Nothing(reason)) => command.after_help(format!("Audit: none, since {reason}.")),
        Some(Reads) | None => command,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use clap::CommandFactory as _;

    use super::*;

    fn leaves(command: &clap::Command, before: &str, found: &mut Vec<String>) {
        for below in command.get_subcommands() {
            let words = format!("{before}{}", below.get_name());
            if below.has_subcommands() {
                leaves(below, &format!("{words} "), found);
            } else {
                found.push(words);
            }
        }
    }

    #[test]
    fn every_command_declares_its_events_or_a_reason() {
        let mut found = Vec::new();
        leaves(&crate::command::Line::command(), "", &mut found);
        let known: Vec<String> = COMMANDS.iter().map(|(words, _)| (*words).to_owned()).collect();
        let unique: BTreeSet<&String> = known.iter().collect();
        assert_eq!(unique.len(), known.len(), "each command once");
        assert_eq!(
            found.iter().collect::<BTreeSet<_>>(),
            unique,
            "commands without a declaration, or the other way round"
        );
        for (words, audit) in COMMANDS {
            if let Nothing(reason) = audit {
                assert!(reason.split_whitespace().count() > 2, "{words}: {reason:?} is no reason");
            }
        }
        println!("audit: {} commands", found.len());
    }

    /// All of our code that is no test, but this file.
    fn code(folder: &Path, text: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("tests") {
                code(&path, text);
            } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("declared.rs") {
                text.push_str(&std::fs::read_to_string(&path).unwrap());
            }
        }
    }

    #[test]
    fn every_declared_event_is_written_somewhere() {
        let mut text = String::new();
        for roof in ["admin/src", "backup/src", "migrate/src", "crates"] {
            code(&Path::new(env!("CARGO_MANIFEST_DIR")).join(roof), &mut text);
        }
        for (words, audit) in COMMANDS {
            let Events(names) = audit else { continue };
            assert!(!names.is_empty(), "{words}");
            for name in *names {
                assert!(text.contains(&format!("\"{name}\"")), "{words}: nothing writes {name}");
            }
        }
    }

    #[test]
    fn help_tells_of_the_audit() {
        let line = told(crate::command::Line::command());
        let export = line.find_subcommand("migrate").and_then(|noun| noun.find_subcommand("export")).unwrap();
        assert!(export.clone().render_help().to_string().ends_with("Audit: tenant.exported.\n"));
    }
}
