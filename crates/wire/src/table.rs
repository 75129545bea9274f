//! Every RPC as data: its name, its REST bindings, who may call it, what it leaves in the audit.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::template::{Captured, Template};

/// The package of all services.
pub const PACKAGE: &str = "memos.api.v1";

/// Who may call an RPC. The handler refines it (own things, admin only).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anyone, also in a private workspace: what signing in needs.
    Bootstrap,
    /// Anyone while the workspace is public, else members.
    Public,
    /// Any member.
    Login,
    /// Owners and admins.
    Admin,
}

/// What an RPC leaves in the audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audit {
    /// Changes nothing.
    Read,
    /// Changes something and leaves this event.
    Event(&'static str),
    /// Changes something and leaves no event, for this reason.
    Nothing(&'static str),
}

/// Where the JSON body of a REST request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// It is not read.
    None,
    /// It is the whole request message.
    Whole,
    /// It is this field (proto name) of the request message.
    Field(&'static str),
}

/// One REST form of an RPC.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// HTTP method.
    pub verb: &'static str,
    /// Path template below the origin or tenant prefix.
    pub path: &'static str,
    /// What the body is.
    pub body: Body,
}

/// One RPC.
#[derive(Clone, Copy, Debug)]
pub struct Rpc {
    /// Service without the package.
    pub service: &'static str,
    /// Method.
    pub method: &'static str,
    /// Who may call it.
    pub access: Access,
    /// What it leaves in the audit.
    pub audit: Audit,
    /// Its REST forms.
    pub bindings: &'static [Binding],
}

impl Rpc {
    /// `Service/Method`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.service, self.method)
    }

    /// Whether it changes nothing.
    pub fn is_read(&self) -> bool {
        self.audit == Audit::Read
    }

    /// Index in [`all`], by which doors find the handler.
    pub fn index(&self) -> usize {
        index_of(self.service, self.method).unwrap_or(usize::MAX)
    }
}

/// All RPCs.
pub fn all() -> &'static [Rpc] {
    crate::rpcs::RPCS
}

/// The place of `service`/`method` in [`all`].
pub fn index_of(service: &str, method: &str) -> Option<usize> {
    static INDEX: OnceLock<HashMap<(&'static str, &'static str), usize>> = OnceLock::new();
    let index =
        INDEX.get_or_init(|| all().iter().enumerate().map(|(at, rpc)| ((rpc.service, rpc.method), at)).collect());
    index.get(&(service, method)).copied()
}

/// The RPC behind a Connect path `/memos.api.v1.Service/Method`.
pub fn by_connect_path(path: &str) -> Option<&'static Rpc> {
    let (service, method) = path.strip_prefix('/')?.strip_prefix(PACKAGE)?.strip_prefix('.')?.split_once('/')?;
    all().get(index_of(service, method)?)
}

/// A REST binding that fits a request.
#[derive(Debug)]
pub struct Match {
    /// The RPC.
    pub rpc: &'static Rpc,
    /// The form of it.
    pub binding: &'static Binding,
    /// What the path filled.
    pub captured: Vec<Captured>,
}

/// What a REST path leads to.
#[derive(Debug)]
pub enum Found {
    /// A binding fits.
    Rpc(Match),
    /// The path is known, with other methods only.
    OtherVerb,
    /// No binding has this path.
    Nothing,
}

type Row = (&'static Rpc, &'static Binding, Template);

/// The rows by the number of parts of their path, because a template fits paths of that many parts only: of the whole
/// table a request is held against a dozen.
fn rows_of(path: &str) -> &'static [Row] {
    static ROWS: OnceLock<HashMap<usize, Vec<Row>>> = OnceLock::new();
    let rows = ROWS.get_or_init(|| {
        let row = |rpc: &'static Rpc| rpc.bindings.iter().map(move |b| (rpc, b, Template::parse(b.path)));
        let mut rows: Vec<Row> = all().iter().flat_map(row).collect();
        rows.sort_by_key(|(_, _, template)| std::cmp::Reverse(template.literals()));
        let mut by_parts: HashMap<usize, Vec<Row>> = HashMap::new();
        for row in rows {
            by_parts.entry(row.2.parts()).or_default().push(row);
        }
        by_parts
    });
    let parts = path.bytes().filter(|byte| *byte == b'/').count();
    rows.get(&parts).map_or(&[], Vec::as_slice)
}

/// Finds the binding for `verb` and `path`, as it was sent. Literal parts beat captures.
pub fn find(verb: &str, path: &str) -> Found {
    let rows = rows_of(path);
    for (rpc, binding, template) in rows.iter().filter(|(_, binding, _)| binding.verb == verb) {
        if let Some(captured) = template.matches(path) {
            return Found::Rpc(Match { rpc, binding, captured });
        }
    }
    if rows.iter().any(|(_, _, template)| template.matches(path).is_some()) { Found::OtherVerb } else { Found::Nothing }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rpc_is_in_the_descriptors_and_the_other_way_round() {
        for rpc in all() {
            assert!(crate::descriptor::method(rpc.service, rpc.method).is_some(), "{}", rpc.name());
        }
        for service in crate::pool().services().filter(|service| service.package_name() == PACKAGE) {
            for method in service.methods() {
                assert!(index_of(service.name(), method.name()).is_some(), "{}", method.full_name());
            }
        }
    }

    #[test]
    fn every_field_of_a_binding_exists() {
        for rpc in all() {
            let request = crate::descriptor::request(rpc.service, rpc.method).expect("a request");
            for binding in rpc.bindings {
                if let Body::Field(field) = binding.body {
                    assert!(request.get_field_by_name(field).is_some(), "{} has no {field}", rpc.name());
                }
                for path in Template::parse(binding.path).fields() {
                    let mut message = request.clone();
                    for part in path.split('.') {
                        let field = message.get_field_by_name(part).unwrap_or_else(|| panic!("{}: {path}", rpc.name()));
                        if let prost_reflect::Kind::Message(inner) = field.kind() {
                            message = inner;
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn literals_win_and_slashes_matter() {
        let name = |verb: &str, path: &str| match find(verb, path) {
            Found::Rpc(found) => found.rpc.name(),
            Found::OtherVerb => "other verb".to_owned(),
            Found::Nothing => "nothing".to_owned(),
        };
        assert_eq!(name("GET", "/api/v1/memos/-/linkMetadata"), "MemoService/GetLinkMetadata");
        assert_eq!(name("GET", "/api/v1/users:stats"), "UserService/ListAllUserStats");
        assert_eq!(name("GET", "/api/v1/users/bob:getStats"), "UserService/GetUserStats");
        assert_eq!(name("PUT", "/api/v1/memos"), "other verb");
        assert_eq!(name("GET", "/api/v1/memos/"), "MemoService/GetMemo");
        assert_eq!(name("GET", "/api/v1/auth/me/"), "nothing");
        assert_eq!(name("GET", "/api/v1/nope"), "nothing");
    }
}
