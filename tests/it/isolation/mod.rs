//! Two workspaces on one appliance never show each other anything: every route and protocol, asked by everyone.

mod audit;
mod callers;
mod console;
mod hostile;
mod pages;
mod rpcs;
mod samples;
mod world;
