//! Every write declares what it leaves in the audit: an event, or none and why.

use wire::table::Audit;

#[test]
fn every_write_declares_its_event_or_a_reason() {
    let mut problems = Vec::new();
    let (mut writes, mut events) = (0, 0);
    for rpc in wire::table::all() {
        let reads =
            rpc.method.starts_with("Get") || rpc.method.starts_with("List") || rpc.method.starts_with("BatchGet");
        match rpc.audit {
            Audit::Read if reads => {}
            Audit::Read => problems.push(format!("{} is declared a read", rpc.name())),
            Audit::Event(name) => {
                writes += 1;
                events += 1;
                if !is_name(name) {
                    problems.push(format!("{}: {name:?} is no name of an event", rpc.name()));
                }
            }
            Audit::Nothing(reason) => {
                writes += 1;
                if reason.split_whitespace().count() < 2 {
                    problems.push(format!("{}: {reason:?} is no reason", rpc.name()));
                }
            }
        }
    }
    for route in app::routes().iter().chain(&admin::routes()).filter(|route| route.writes()) {
        writes += 1;
        match route.audit {
            web::Audit::Event(name) => {
                events += 1;
                if !is_name(name) {
                    problems.push(format!("{}: {name:?} is no name of an event", route.path));
                }
            }
            web::Audit::None(reason) if reason == "reads only" || reason.split_whitespace().count() < 2 => {
                problems.push(format!("{}: {reason:?} is no reason", route.path));
            }
            web::Audit::None(_) => {}
        }
    }
    println!("audit: {writes} writes, {events} of them leave an event");
    assert!(problems.is_empty(), "{problems:#?}");
}

/// `thing.happened`.
fn is_name(name: &str) -> bool {
    name.contains('.') && name.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'.' | b'_'))
}
