//! Forms of Memos' REST API before 0.30 that its clients still speak: routes that are gone, and keys that have other
//! names now. A request on an old route becomes one on today's, goes through the same gate and handler, and its answer is
//! given the old keys. Answers on today's routes carry today's keys only, unless the request is in words of old.

mod forward;
mod old_view;
mod present;
mod routes;
mod sign_in;

pub(super) use old_view::old_list;
pub(super) use present::{asks_of_old, present};
pub(super) use routes::{answer, knows};
pub(super) use sign_in::{is_old as is_old_sign_in, refusal, sign_in};
