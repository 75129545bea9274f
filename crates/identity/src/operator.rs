//! Operators run the appliance. They have accounts of their own; no role in any tenant ever makes an operator.

/// The cookie of an operator's session; its path is [`OPERATOR_PATH`].
pub const OPERATOR_COOKIE: &str = "holdfast_operator";

/// Below which path the console lives, and the only one that sees the cookie.
pub const OPERATOR_PATH: &str = "/console";

/// An operator who has signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorActor {
    /// Row number in the control plane.
    pub id: i64,
    /// The name he signs in with, as the audit shows it.
    pub name: String,
    /// The session behind the request.
    pub session_id: String,
}
