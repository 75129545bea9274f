//! The table of RPCs in docs/memos-compatibility.md is that of the code.

use std::fmt::Write as _;

use wire::table::{Access, Rpc};

const BEGIN: &str = "<!-- RPCs: written by the test `the_page_of_compatibility_lists_every_rpc` -->\n";
const END: &str = "<!-- end of RPCs -->\n";

fn who(rpc: &Rpc) -> &'static str {
    match rpc.access {
        Access::Bootstrap => "anyone",
        Access::Public => "anyone, in private mode members",
        Access::Login => "members",
        Access::Admin => "owners, admins",
    }
}

fn table() -> String {
    let services = app::rpc::services();
    let mut out = String::from("| RPC | REST | Connect, gRPC-Web, gRPC | who | status |\n|---|---|---|---|---|\n");
    for rpc in wire::table::all() {
        let rest: Vec<String> =
            rpc.bindings.iter().map(|binding| format!("`{} {}`", binding.verb, binding.path)).collect();
        let status = if services.handler(rpc).is_some() { "answered" } else { "501" };
        writeln!(out, "| {} | {} | yes | {} | {status} |", rpc.name(), rest.join(", "), who(rpc)).unwrap();
    }
    out
}

#[test]
fn the_page_of_compatibility_lists_every_rpc() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/memos-compatibility.md");
    let page = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the mark of the table");
    let (found, after) = rest.split_once(END).expect("the end of the table");
    if std::env::var_os("HOLDFAST_WRITE_DOCS").is_some() {
        std::fs::write(&file, format!("{before}{BEGIN}\n{}\n{END}{after}", table())).unwrap();
        return;
    }
    // What the page calls answered is; a handler that came since is no lie, and is written with the next change.
    let now = table();
    for row in found.lines().filter(|row| row.ends_with("| answered |")) {
        assert!(now.contains(row), "the page says of the code what is not so: {row}");
    }
    let without = |text: &str| text.replace("| 501 |", "| answered |").trim().to_owned();
    assert_eq!(without(found), without(&now), "run this test with HOLDFAST_WRITE_DOCS=1 and look at what it changed");
}
