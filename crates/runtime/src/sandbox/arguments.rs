//! The arguments of the hidden command. Strict: anything unknown is refused, nothing has a default.

use std::ffi::OsString;
use std::str::FromStr;

use caps::Capability;
use nix::sys::resource::Resource;
use nix::sys::signal::Signal;

#[derive(Debug, Default)]
pub(super) struct Arguments {
    pub(super) user: Option<u32>,
    pub(super) group: Option<u32>,
    pub(super) ambient: Vec<Capability>,
    pub(super) parent_death: Option<Signal>,
    pub(super) parent: Option<i32>,
    pub(super) new_net: bool,
    pub(super) limits: Vec<(Resource, u64)>,
    pub(super) check: bool,
    pub(super) program: Vec<OsString>,
}

impl Arguments {
    pub(super) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let mut out = Self::default();
        let mut rest = arguments.into_iter();
        while let Some(argument) = rest.next() {
            let name = argument.to_str().ok_or("an option is not valid text")?.to_owned();
            match name.as_str() {
                "--" => {
                    out.program = rest.collect();
                    break;
                }
                "--new-net" => out.new_net = true,
                "--check" => out.check = true,
                _ => {
                    let value = rest.next().ok_or_else(|| format!("{name} needs a value"))?;
                    let value = value.to_str().ok_or("a value is not valid text")?;
                    out.set(&name, value)?;
                }
            }
        }
        Ok(out)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let wrong = || format!("{name} does not take {value}");
        match name {
            "--uid" => self.user = Some(value.parse().map_err(|_| wrong())?),
            "--gid" => self.group = Some(value.parse().map_err(|_| wrong())?),
            "--parent" => self.parent = Some(value.parse().map_err(|_| wrong())?),
            "--ambient" => self.ambient.push(Capability::from_str(&caps::to_canonical(value)).map_err(|_| wrong())?),
            "--parent-death" => {
                self.parent_death =
                    Some(Signal::from_str(&format!("SIG{}", value.to_uppercase())).map_err(|_| wrong())?);
            }
            "--rlimit" => {
                let (resource, amount) = value.split_once('=').ok_or_else(wrong)?;
                self.limits.push((limit(resource).ok_or_else(wrong)?, amount.parse().map_err(|_| wrong())?));
            }
            _ => return Err(format!("unknown option {name}")),
        }
        Ok(())
    }
}

fn limit(name: &str) -> Option<Resource> {
    Some(match name {
        "as" => Resource::RLIMIT_AS,
        "core" => Resource::RLIMIT_CORE,
        "cpu" => Resource::RLIMIT_CPU,
        "data" => Resource::RLIMIT_DATA,
        "fsize" => Resource::RLIMIT_FSIZE,
        "memlock" => Resource::RLIMIT_MEMLOCK,
        "nofile" => Resource::RLIMIT_NOFILE,
        "nproc" => Resource::RLIMIT_NPROC,
        "stack" => Resource::RLIMIT_STACK,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        Arguments::parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn options_end_at_the_program() {
        let line = "--uid 7 --gid 8 --ambient dac_read_search --parent-death INT --parent 9 --new-net --rlimit nofile=64 -- a --uid b";
        let arguments = parse(line).unwrap();
        assert_eq!((arguments.user, arguments.group, arguments.parent), (Some(7), Some(8), Some(9)));
        assert_eq!(arguments.ambient, [Capability::CAP_DAC_READ_SEARCH]);
        assert_eq!(
            (arguments.parent_death, arguments.new_net, arguments.limits.len()),
            (Some(Signal::SIGINT), true, 1)
        );
        assert_eq!(arguments.program, ["a", "--uid", "b"]);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for line in ["--user 1", "--uid", "--uid root", "--ambient all", "--rlimit files=3", "--parent-death NEVER"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
