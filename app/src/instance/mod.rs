//! The tenant as a whole: what clients may know before signing in, and its settings.

mod error;
mod provider;
pub mod service;
pub mod settings;

pub use error::Error;
