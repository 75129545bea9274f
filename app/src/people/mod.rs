//! The members of a tenant: their profiles, their tokens, their preferences.

pub mod avatar;
mod error;
pub mod service;
pub mod settings;
pub mod tags;
pub mod update;
pub mod view;

pub use error::Error;
