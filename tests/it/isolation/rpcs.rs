//! Every RPC over REST, Connect, gRPC-Web and native gRPC, at both doors of a tenant: a credential of another tenant is answered like garbage,
//! and everyone at home gets what is his own.

use std::net::SocketAddr;

use prost::Message as _;
use prost_reflect::{DeserializeOptions, DynamicMessage, MethodDescriptor};
use serde_json::Value;
use testkit::fixtures::fixture;
use wire::table::{Audit, Rpc};

use super::callers::{Caller, foreign_and_garbage, leaving, own};
use super::samples::{Sample, as_rest, filled, sample};
use super::world::{Keys, SLUGS, World, essence, marker};
use crate::support::{Answer, Http, grpc};

/// One way to send a sample.
struct Ask {
    label: String,
    protocol: Protocol,
    verb: &'static str,
    path: String,
    body: Option<Vec<u8>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Rest,
    ConnectJson,
    ConnectProto,
    GrpcWeb,
    Grpc,
}

impl Protocol {
    /// What of a sample differs from protocol to protocol, so that each has things of its own to write to.
    const fn letter(self) -> &'static str {
        match self {
            Self::Rest => "r",
            Self::ConnectJson => "c",
            Self::ConnectProto => "p",
            Self::GrpcWeb => "g",
            Self::Grpc => "n",
        }
    }

    const fn content_type(self) -> &'static str {
        match self {
            Self::Rest | Self::ConnectJson => "application/json",
            Self::ConnectProto => "application/proto",
            Self::GrpcWeb => "application/grpc-web+proto",
            Self::Grpc => "application/grpc",
        }
    }
}

impl Ask {
    fn send(&self, door: &Http, caller: Option<&Caller>, native: SocketAddr) -> Answer {
        let mut headers = caller.map(|caller| caller.headers.clone()).unwrap_or_default();
        if self.protocol == Protocol::Grpc {
            let path = format!("{}{}", door.base, self.path);
            let message = self.body.as_deref().unwrap_or_default();
            return grpc::call(native, &grpc::Call { authority: &door.host, path: &path, headers: &headers, message });
        }
        if self.body.is_some() {
            headers.push(("Content-Type".to_owned(), self.protocol.content_type().to_owned()));
        }
        door.send(self.verb, &self.path, &headers, self.body.as_deref())
    }

    /// The status, of gRPC-Web that in the trailers.
    fn status(&self, answer: &Answer) -> u16 {
        if self.protocol != Protocol::GrpcWeb || answer.status != 200 {
            return answer.status;
        }
        let text = answer.text();
        match text.rsplit_once("grpc-status: ").and_then(|(_, code)| code.split('\r').next()?.parse().ok()) {
            Some(0) => 200,
            code => web::Code::from_number(code.unwrap_or(2)).status().as_u16(),
        }
    }
}

/// The forms of one RPC: each REST binding, Connect in JSON and in protobuf, gRPC-Web, gRPC.
fn asks(rpc: &Rpc, message: &Value, texts: &[(&str, &str)]) -> Vec<Ask> {
    let of = |protocol: Protocol| {
        let victim = format!("{{victim-{}}}", protocol.letter());
        let victim = texts.iter().find(|(known, _)| *known == victim).map_or("", |(_, value)| value);
        let mut texts = texts.to_vec();
        texts.extend([("{p}", protocol.letter()), ("{victim}", victim)]);
        filled(message, &texts)
    };
    let mut asks: Vec<Ask> = rpc
        .bindings
        .iter()
        .map(|binding| {
            let (path, body) = as_rest(rpc, binding, &of(Protocol::Rest));
            let body = body.map(|body| serde_json::to_vec(&body).unwrap());
            let label = format!("{} {}", binding.verb, binding.path);
            Ask { label, protocol: Protocol::Rest, verb: binding.verb, path, body }
        })
        .collect();
    let posted = |protocol: Protocol, label: &str, body: Vec<u8>| Ask {
        label: format!("{label} {}", rpc.name()),
        protocol,
        verb: "POST",
        path: format!("/memos.api.v1.{}", rpc.name()),
        body: Some(body),
    };
    let json = serde_json::to_vec(&of(Protocol::ConnectJson)).unwrap();
    let proto = encoded(rpc, &of(Protocol::ConnectProto));
    let message = encoded(rpc, &of(Protocol::GrpcWeb));
    let mut frame = vec![0];
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(&message);
    asks.push(posted(Protocol::ConnectJson, "Connect JSON", json));
    asks.push(posted(Protocol::ConnectProto, "Connect protobuf", proto));
    asks.push(posted(Protocol::GrpcWeb, "gRPC-Web", frame));
    asks.push(posted(Protocol::Grpc, "gRPC", encoded(rpc, &of(Protocol::Grpc))));
    asks
}

/// What the protos say of an RPC.
pub(super) fn method_of(rpc: &Rpc) -> MethodDescriptor {
    let name = format!("{}.{}", wire::table::PACKAGE, rpc.service);
    let service = wire::pool().get_service_by_name(&name).expect("the service");
    service.methods().find(|method| method.name() == rpc.method).expect("the method")
}

/// A message as protobuf.
pub(super) fn encoded(rpc: &Rpc, message: &Value) -> Vec<u8> {
    let lenient = DeserializeOptions::new().deny_unknown_fields(false);
    DynamicMessage::deserialize_with_options(method_of(rpc).input(), message, &lenient).unwrap().encode_to_vec()
}

fn rows() -> Vec<(&'static Rpc, Sample)> {
    let missing: Vec<String> =
        wire::table::all().iter().filter(|rpc| sample(rpc.service, rpc.method).is_none()).map(Rpc::name).collect();
    assert!(missing.is_empty(), "no row in the test's table for {missing:?}");
    wire::table::all().iter().map(|rpc| (rpc, sample(rpc.service, rpc.method).unwrap())).collect()
}

/// A credential of A at B: status, headers and body are those of garbage, and B does not change.
async fn refused_like_garbage(world: &World, texts: &[(&str, &str)], problems: &mut Vec<String>) -> (usize, usize) {
    let (mut routes, mut asked) = (0, 0);
    let native = world.server.grpc_address();
    let keys = world.keys(&world.doors("alpha")[0], "maria");
    let callers = foreign_and_garbage(&keys);
    let before = world.fingerprint("bravo").await;
    let (home, away) = (marker("bravo"), marker("alpha"));
    for (rpc, row) in rows() {
        for ask in asks(rpc, row.foreign.as_ref().unwrap_or(&row.message), texts) {
            routes += 1;
            for door in world.doors("bravo") {
                let stranger = ask.send(&door, None, native);
                asked += 1;
                let public = matches!(rpc.access, wire::table::Access::Bootstrap | wire::table::Access::Public);
                if !public && ask.status(&stranger) != 401 {
                    problems.push(format!("{}: a stranger gets {}", ask.label, ask.status(&stranger)));
                }
                for (foreign, garbage) in &callers {
                    let (one, other) = (ask.send(&door, Some(foreign), native), ask.send(&door, Some(garbage), native));
                    asked += 1;
                    if essence(&one) != essence(&other) {
                        problems.push(format!(
                            "{}: {} of another tenant: {}\n      but {}: {}",
                            ask.label,
                            foreign.name,
                            brief(&one),
                            garbage.name,
                            brief(&other)
                        ));
                    }
                    if one.text().contains(&away) {
                        problems.push(format!("{}: the answer holds the other tenant's text", ask.label));
                    }
                }
                if stranger.text().contains(&away)
                    || (row.marked && ask.status(&stranger) == 200 && !stranger.text().contains(&home))
                {
                    problems.push(format!(
                        "{}: a stranger does not get this tenant's data: {}",
                        ask.label,
                        brief(&stranger)
                    ));
                }
            }
        }
    }
    if world.fingerprint("bravo").await != before {
        problems.push("a credential of another tenant has changed something".to_owned());
    }
    (routes, asked)
}

/// Everyone at home: reads at both, then writes at A, after which B is what it was.
async fn at_home(world: &World, texts: &[(&str, &str)], problems: &mut Vec<String>) -> Vec<&'static str> {
    let mut not_offered = Vec::new();
    let native = world.server.grpc_address();
    for (slug, other) in [(SLUGS[0], SLUGS[1]), (SLUGS[1], SLUGS[0])] {
        for door in world.doors(slug) {
            let caller = own(&world.keys(&door, "maria"));
            for (rpc, row) in rows().into_iter().filter(|(rpc, _)| rpc.is_read()) {
                for ask in asks(rpc, &row.message, texts) {
                    let answer = ask.send(&door, Some(&caller), native);
                    if ask.status(&answer) == 501 {
                        not_offered.push(rpc.method);
                        continue;
                    }
                    let shown = answer.text().contains(&marker(slug));
                    if !row.own.contains(&ask.status(&answer)) || (row.marked && !shown) {
                        problems.push(format!("{} at home: {}", ask.label, brief(&answer)));
                    }
                    if answer.text().contains(&marker(other)) {
                        problems.push(format!("{}: the answer at {slug} holds {other}'s text", ask.label));
                    }
                }
            }
        }
    }
    let door = &world.doors("alpha")[0];
    let keys: Keys = world.keys(door, "maria");
    let caller = own(&keys);
    let before = world.fingerprint("bravo").await;
    for (rpc, row) in rows().into_iter().filter(|(rpc, _)| !rpc.is_read()) {
        for ask in asks(rpc, &row.message, texts) {
            let seq = world.audit_head().await;
            let answer = if rpc.method == "SignOut" {
                ask.send(door, Some(&leaving(&world.keys(door, "maria"))), native)
            } else {
                ask.send(door, Some(&caller), native)
            };
            if ask.status(&answer) == 501 {
                not_offered.push(rpc.method);
                continue;
            }
            if !row.own.contains(&ask.status(&answer)) {
                problems.push(format!("{} at home: {}", ask.label, brief(&answer)));
            }
            if let Audit::Event(event) = rpc.audit
                && ask.status(&answer) == 200
                && !row.own.contains(&404)
            {
                let left = world.events_after(seq).await;
                if !left.iter().any(|found| found == event) {
                    problems.push(format!("{}: declares the event {event}, left {left:?}", ask.label));
                }
            }
        }
    }
    if world.fingerprint("bravo").await != before {
        problems.push("writing at alpha has changed bravo".to_owned());
    }
    not_offered.sort_unstable();
    not_offered.dedup();
    not_offered
}

fn brief(answer: &Answer) -> String {
    essence(answer).chars().take(400).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rpc_answers_with_the_callers_own_data() {
    let Some(memos) = fixture("memos-0.30.0") else { return };
    let world = World::build(&memos).await;
    let truth: Value = serde_json::from_slice(&std::fs::read(memos.join("truth.json")).unwrap()).unwrap();
    let plain =
        truth["memos"].as_array().into_iter().flatten().filter(|memo| {
            memo["creator"] == "maria" && memo["key"].as_str().is_some_and(|key| key.starts_with("plain-"))
        });
    let victims: Vec<&str> = plain.filter_map(|memo| memo["uid"].as_str()).take(5).collect();
    let password = world.passwords.iter().find(|(name, _)| name == "maria").unwrap().1.clone();
    let texts = [
        ("{victim-r}", victims[0]),
        ("{victim-c}", victims[1]),
        ("{victim-p}", victims[2]),
        ("{victim-g}", victims[3]),
        ("{victim-n}", victims[4]),
        ("{password}", password.as_str()),
        ("{unused-file}", "no-such-file"),
    ];
    let mut problems = Vec::new();
    let (routes, asked) = refused_like_garbage(&world, &texts, &mut problems).await;
    let not_offered = at_home(&world, &texts, &mut problems).await;
    println!(
        "isolation: {routes} routes of {} RPCs × stranger and 6 foreign credentials at 2 doors: {asked} answers compared",
        wire::table::all().len()
    );
    println!("not offered yet: {not_offered:?}");
    assert!(problems.is_empty(), "{} problems:\n  {}", problems.len(), problems.join("\n  "));
}
