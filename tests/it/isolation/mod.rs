//! Two workspaces on one appliance never show each other anything: every route and protocol, asked by everyone.

mod alike;
mod audit;
mod callers;
mod console;
mod forms;
mod hostile;
mod pages;
mod rpcs;
mod samples;
mod world;
