//! The members of a tenant: their profiles, their tokens, their preferences.

pub mod avatar;
pub mod delete;
mod error;
pub mod filters;
pub mod service;
pub mod settings;
pub mod tags;
pub mod update;
pub mod view;

pub use error::Error;
