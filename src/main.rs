//! The one executable: parse, settings, logging, one call per command, exit code. It alone sees all roofs.

mod command;
mod demo;
mod errors;
mod installation;
mod operators;
mod serve;
mod tend;
mod work;

use std::process::ExitCode;

use clap::Parser;

/// The system's allocator was an eighth of the CPU of a list, by profile.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The sandbox must run before there is any thread.
    let mut arguments = std::env::args_os();
    if arguments.nth(1).is_some_and(|first| first == "sandbox") {
        return runtime::sandbox::exec(arguments);
    }
    let line = command::Line::parse();
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
