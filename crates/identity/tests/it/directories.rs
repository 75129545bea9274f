//! Directories that misbehave, and what a sign-in costs: a real slapd.

use std::path::Path;

use identity::provider::{Kind, NewProvider, from_toml};
use identity::{Client, Error, SignIn};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use testkit::directory::{Directory, PEOPLE, Setup};
use testkit::proxy::CountingRelay;

use crate::{PASSWORD, World};

async fn staff(world: &World, uid: &str, server: &str, more: &str) {
    let text = format!(
        "servers = [\"{server}\"]\nbind_dn = \"cn=svc,dc=example,dc=org\"\nbind_password = \"service-password\"\n\
         group_base = \"ou=groups,dc=example,dc=org\"\n{more}"
    );
    let text =
        if more.contains("user_base") { text } else { format!("user_base = \"ou=people,dc=example,dc=org\"\n{text}") };
    let kind = Kind::read("LDAP", &from_toml(&text).unwrap()).unwrap();
    let new = NewProvider { uid: uid.into(), title: "Staff".into(), identifier_filter: String::new(), kind };
    world.identity.create_provider(&world.a, "command", new).await.unwrap();
}

/// Who comes in, or the sentence and the reason.
async fn said(world: &World, name: &str, password: &str) -> Result<String, (String, String)> {
    let who = SignIn { username: name, password };
    match world.identity.sign_in(&world.a, who, &Client::default()).await {
        Ok(signed) => Ok(signed.member.username),
        Err(Error::Refused(refusal)) => Err((refusal.message.to_string(), refusal.reason)),
        Err(error) => Err((error.to_string(), String::new())),
    }
}

fn start(folder: &Path, setup: Setup<'_>) -> Option<Directory> {
    std::fs::create_dir_all(folder).unwrap();
    Directory::start(folder, setup)
}

/// Speed and memory: at most four round trips on connections that are kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_costs_four_round_trips_at_most() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let Some(directory) = start(&folder.path().join("d"), Setup::new(PEOPLE, None)) else { return };
    let relay = CountingRelay::start(directory.plain);
    staff(&world, "staff", &format!("ldap://{}", relay.address), "allow_plain = true").await;
    let mut costs = Vec::new();
    for (name, password) in
        [("ana", "ana-password"), ("ana", "ana-password"), ("bo", "bo-password"), ("bo", "bo-password")]
    {
        let before = relay.flights();
        assert!(said(&world, name, password).await.is_ok(), "{name}");
        costs.push(relay.flights() - before);
    }
    println!("round trips to the directory: ana, then again, bo, then again: {costs:?}");
    // The first one also binds its connection and walks three levels of groups, which nobody had asked for.
    assert_eq!(costs[1..], [3, 4, 3]);
    let before = relay.flights();
    assert!(said(&world, "ana", "wrong").await.is_err());
    assert_eq!(relay.flights() - before, 2, "a wrong password");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_gives_no_whole_answer_lets_nobody_in() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    // A part of the tree that says it is elsewhere: in itself.
    let looped = format!(
        "{PEOPLE}\ndn: ou=elsewhere,dc=example,dc=org\nobjectClass: referral\nobjectClass: extensibleObject\nou: elsewhere\n\
         ref: ldap://127.0.0.1:1/ou=elsewhere,dc=example,dc=org??sub\n\n"
    );
    let group = |name: &str| {
        format!(
            "dn: cn={name},ou=groups,dc=example,dc=org\nobjectClass: groupOfNames\ncn: {name}\n\
             member: uid=ana,ou=people,dc=example,dc=org\n\n"
        )
    };
    let looped = format!("{looped}{}{}", group("one"), group("two"));
    let Some(directory) = start(&folder.path().join("d"), Setup { total: Some(2), ..Setup::new(&looped, None) }) else {
        return;
    };
    let partial = |why: &str| {
        Err((
            "the directory Staff gave no whole answer; try again later".to_owned(),
            format!("its answer is not whole: {why}"),
        ))
    };
    let plain = directory.plain_url();
    staff(&world, "elsewhere", &plain, "allow_plain = true\nuser_base = \"ou=elsewhere,dc=example,dc=org\"").await;
    assert_eq!(said(&world, "ana", "ana-password").await, partial("it refers to another server (10)"));
    world.identity.delete_provider(&world.a, "command", "elsewhere").await.unwrap();
    // She is in three groups, and the server gives two: two are not taken for all. He is in one.
    staff(&world, "staff", &plain, "allow_plain = true").await;
    assert_eq!(said(&world, "ana", "ana-password").await, partial("size limit exceeded (4)"));
    assert_eq!(said(&world, "bo", PASSWORD).await.as_deref(), Ok("bo"), "whoever has a password here comes in");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_over_is_not_trusted() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let mut leaf = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    (leaf.not_before, leaf.not_after) = (rcgen::date_time_ymd(2019, 1, 1), rcgen::date_time_ymd(2020, 1, 1));
    let certificate = leaf.signed_by(&key, &issuer).unwrap().pem();
    let key = key.serialize_pem();
    let tls = Some((certificate.as_str(), key.as_str(), authority_pem.as_str()));
    let Some(directory) = start(&folder.path().join("d"), Setup::new(PEOPLE, tls)) else { return };
    staff(&world, "staff", &directory.secure_url(), &format!("ca_pem = \"\"\"{authority_pem}\"\"\"")).await;
    let (sentence, reason) = said(&world, "ana", "ana-password").await.unwrap_err();
    assert_eq!(sentence, "wrong name or password, or the directory Staff does not answer at present; try again later");
    assert!(reason.contains("expired"), "{reason}");
    // An OpenID provider with it: the same before a word of HTTP is spoken.
    let text = format!(
        "issuer = \"https://{}\"\nclient_id = \"us\"\nclient_secret = \"s\"\nca_pem = \"\"\"{authority_pem}\"\"\"",
        directory.secure
    );
    let kind = Kind::read("OIDC", &from_toml(&text).unwrap()).unwrap();
    let new = NewProvider { uid: "corp".into(), title: "Corp".into(), identifier_filter: String::new(), kind };
    let provider = world.identity.create_provider(&world.a, "command", new).await.unwrap();
    let begun = world.identity.begin_flow(&world.a, "corp", "http://x/auth/callback", "/", None).await.unwrap_err();
    let Error::Refused(refusal) = &begun else { panic!("{begun}") };
    assert_eq!(refusal.message, "Corp does not answer at present; try again, or sign in another way");
    assert!(refusal.reason.contains("expired"), "{}", refusal.reason);
    let ladder = world.identity.test_provider(&world.a, &provider, None).await.unwrap();
    let rung = ladder.rungs.last().unwrap();
    println!("{} {}: {} → {}", rung.status, rung.rung, rung.found, rung.next);
    assert!(rung.rung == "tls" && rung.found.contains("expired"), "{}", rung.found);
}
