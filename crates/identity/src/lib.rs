//! Who is asking: passwords, access tokens, sessions, and the tenant a request is meant for.
//!
//! Everything ends in an [`Actor`](actor::Actor); nothing else in the house makes one from a credential. A credential
//! that is wrong, expired or belongs to another tenant makes [`Actor::Anonymous`](actor::Actor::Anonymous), never an
//! error: a foreign token is answered exactly like garbage.

pub mod actor;
pub mod operator;

pub use actor::{Actor, MemberActor, Via};
pub use operator::OperatorActor;
