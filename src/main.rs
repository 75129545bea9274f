//! The one executable: parse, settings, logging, one call per command, exit code. It alone sees all roofs.

mod command;
mod declared;
mod demo;
mod errors;
mod installation;
mod named_stores;
mod operators;
mod serve;
mod stores;
mod tend;
mod work;
mod worker;

use std::process::ExitCode;

/// The system's allocator was an eighth of the CPU of a list, by profile.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The sandbox must run before there is any thread.
    let mut arguments = std::env::args_os();
    if arguments.nth(1).is_some_and(|first| first == "sandbox") {
        return runtime::sandbox::exec(arguments);
    }
    let line = match command::Line::read() {
        Ok(line) => line,
        Err(wrong) => return not_understood(&wrong),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let failed = runtime::exit::CommandError::of(
                runtime::exit::Code::Failed,
                format!("threads cannot be started: {error}"),
            );
            runtime::printer::Printer::new(line.json).error(&failed);
            return runtime::exit::Code::Failed.into();
        }
    };
    runtime.block_on(command::run(line)).into()
}

/// Help and version, or what is wrong with the command line; for scripts as a document.
fn not_understood(wrong: &clap::Error) -> ExitCode {
    if wrong.use_stderr() && std::env::args_os().any(|argument| argument == "--json") {
        let text = wrong.to_string();
        // what is missing stands in lines of its own, up to the first empty one
        let said: Vec<&str> = text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim).collect();
        let said = said.join(" ").trim_start_matches("error: ").to_owned();
        runtime::printer::Printer::new(true).error(&runtime::exit::CommandError::usage(said));
    }
    // Nobody is left to be told that this cannot be written.
    let _ = wrong.print();
    if wrong.use_stderr() { runtime::exit::Code::Usage.into() } else { runtime::exit::Code::Ok.into() }
}
