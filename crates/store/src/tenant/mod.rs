//! SQL on the tables of one tenant: free functions over a [`crate::TenantTx`], one file per table.

pub mod attachments;
pub mod bring;
pub mod cards;
pub mod changes;
pub mod counts;
pub mod factors;
pub mod feed;
mod feed_text;
mod filter_narrow;
pub mod filter_sql;
mod filter_text;
pub mod identities;
pub mod leaving;
pub mod members;
pub mod notes;
pub mod notifications;
pub mod providers;
pub mod reactions;
pub mod relations;
pub mod sessions;
pub mod settings;
pub mod shares;
pub mod stats;
pub mod throttle;
pub mod tokens;
pub mod webhooks;
