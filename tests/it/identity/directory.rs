//! LDAP with a real slapd: StartTLS and LDAPS, nested groups in a ring, fail-over.

use std::time::Instant;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use testkit::directory::{Directory, PEOPLE, Setup, many};

use super::{PASSWORD, events, set, tenant};
use crate::support::{Http, Installation};

/// A certificate for 127.0.0.1, its key, and the authority that signed it.
pub(super) struct Tls {
    pub(super) certificate: String,
    pub(super) key: String,
    pub(super) authority: String,
}

pub(super) fn tls(name: &str) -> Tls {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new([name.to_owned()]).unwrap();
    let certificate = leaf.signed_by(&key, &issuer).unwrap().pem();
    Tls { certificate, key: key.serialize_pem(), authority: authority_pem }
}

/// What the tenant knows of a directory.
pub(super) fn staff(servers: &str, more: &str) -> String {
    format!(
        "kind = \"ldap\"\nid = \"staff\"\ntitle = \"Staff\"\nservers = [{servers}]\n\
         bind_dn = \"cn=svc,dc=example,dc=org\"\nbind_password = \"service-password\"\n\
         user_base = \"ou=people,dc=example,dc=org\"\ngroup_base = \"ou=groups,dc=example,dc=org\"\n{more}\n\
         [[roles]]\ngroup = \"staff\"\nrole = \"admin\"\n[[roles]]\ngroup = \"sales\"\nrole = \"guest\"\n"
    )
}

fn said(http: &Http, name: &str, password: &str) -> (u16, String) {
    let body = serde_json::json!({"passwordCredentials": {"username": name, "password": password}});
    let answer = http.call("POST", "/api/v1/auth/signin", None, Some(&body));
    let text = answer.json();
    let found = text["user"]["username"].as_str().or_else(|| text["message"].as_str()).unwrap_or_default().to_owned();
    (answer.status, found)
}

const UNMATCHED: &str = "unmatched username and password";

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_takes_passwords_over_tls_and_its_nested_groups_give_the_role() {
    let installation = Installation::create().await;
    tenant(&installation, "alpha");
    let keys = tls("127.0.0.1");
    let secured = Some((keys.certificate.as_str(), keys.key.as_str(), keys.authority.as_str()));
    let setup = Setup::new(PEOPLE, secured);
    let folder = installation.folder.path();
    let Some(first) = Directory::start(&folder.join("first"), setup) else { return };
    let Some(second) = Directory::start(&folder.join("second"), setup) else { return };
    std::fs::write(folder.join("ca.pem"), &keys.authority).unwrap();
    let server = installation.serve();
    let http = server.by_path("alpha");

    // LDAPS; the group is reached through two others, which form a ring.
    let both = format!("\"{}\", \"{}\"", first.secure_url(), second.secure_url());
    set(&installation, "alpha", &staff(&both, "ca_file = \"ca.pem\""));
    assert_eq!(said(&http, "ana", "ana-password"), (200, "ana".to_owned()));
    assert_eq!(said(&http, "bo", "bo-password"), (200, "bo".to_owned()));
    let list = installation.must(&["user", "list", "--tenant", "alpha"]);
    let role = |name: &str| {
        list["items"].as_array().unwrap().iter().find(|user| user["username"] == name).unwrap()["role"].clone()
    };
    assert_eq!((role("ana"), role("bo")), ("admin".into(), "guest".into()));
    // What is typed is never part of the question.
    for (name, password) in [
        ("ana", "wrong"),
        ("ana", ""),
        ("*", "ana-password"),
        ("a*", "ana-password"),
        ("ana)(uid=*", "ana-password"),
        ("nobody", "ana-password"),
        ("cn=svc,dc=example,dc=org", "service-password"),
    ] {
        assert_eq!(said(&http, name, password), (400, UNMATCHED.to_owned()), "{name}");
    }
    // The local owner stays local, whatever the directory says.
    assert_eq!(said(&http, "maria", PASSWORD).0, 200);

    // The first server goes: the second answers, on connections that were kept to the first.
    let before = Instant::now();
    drop(first);
    assert_eq!(said(&http, "ana", "ana-password"), (200, "ana".to_owned()));
    println!("sign-in after the first server went: {:?}", before.elapsed());
    // Both gone: nobody of the directory, and the owner as ever.
    let issuer_kept = second.folder.clone();
    drop(second);
    let (status, sentence) = said(&http, "ana", "ana-password");
    assert_eq!(status, 503);
    assert_eq!(sentence, "wrong name or password, or the directory Staff does not answer at present; try again later");
    assert_eq!(said(&http, "maria", PASSWORD).0, 200);
    assert!(issuer_kept.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn start_tls_fails_closed_and_plain_is_refused() {
    let installation = Installation::create().await;
    tenant(&installation, "alpha");
    let keys = tls("127.0.0.1");
    let secured = Some((keys.certificate.as_str(), keys.key.as_str(), keys.authority.as_str()));
    let folder = installation.folder.path();
    let Some(with) = Directory::start(&folder.join("with"), Setup::new(PEOPLE, secured)) else {
        return;
    };
    let Some(without) = Directory::start(&folder.join("without"), Setup::new(PEOPLE, None)) else {
        return;
    };
    std::fs::write(folder.join("ca.pem"), &keys.authority).unwrap();
    std::fs::write(folder.join("other.pem"), tls("127.0.0.1").authority).unwrap();
    let server = installation.serve();
    let http = server.by_path("alpha");
    set(&installation, "alpha", &staff(&format!("\"{}\"", with.plain_url()), "start_tls = true\nca_file = \"ca.pem\""));
    assert_eq!(said(&http, "ana", "ana-password").0, 200);
    // Another authority, and a server without TLS: no password is sent.
    set(
        &installation,
        "alpha",
        &staff(&format!("\"{}\"", with.plain_url()), "start_tls = true\nca_file = \"other.pem\""),
    );
    assert_eq!(said(&http, "ana", "ana-password").0, 503);
    set(
        &installation,
        "alpha",
        &staff(&format!("\"{}\"", without.plain_url()), "start_tls = true\nca_file = \"ca.pem\""),
    );
    assert_eq!(said(&http, "ana", "ana-password").0, 503);
    let file = folder.join("plain.toml");
    std::fs::write(&file, staff(&format!("\"{}\"", without.plain_url()), "")).unwrap();
    let (code, refused) = installation.run(&["identity", "set", "--tenant", "alpha", "--file", file.to_str().unwrap()]);
    assert_eq!(code, 2);
    let sentence = refused["error"]["message"].as_str().unwrap();
    assert!(sentence.contains("would carry passwords in the clear"), "{sentence}");
    let told = events(&installation);
    assert!(told.iter().any(|line| line.contains("signin.failed")), "{told:?}");
}

/// Show 2's bench: 10,000 people in 500 groups that are nested ten deep.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_people_in_five_hundred_nested_groups() {
    let entries = many(10_000, 500);
    let installation = Installation::create().await;
    tenant(&installation, "alpha");
    let folder = installation.folder.path().join("large");
    let Some(directory) = Directory::start(&folder, Setup::new(&entries, None)) else { return };
    let rules = staff(&format!("\"{}\"", directory.plain_url()), "allow_plain = true")
        .replace("\"staff\"\nrole", "\"g9\"\nrole");
    set(&installation, "alpha", &rules);
    let before = Instant::now();
    let ladder = installation.must(&["identity", "test", "ldap", "--tenant", "alpha"]);
    println!("everyone resolved in {:?}: {ladder}", before.elapsed());
    let groups = ladder["rungs"].as_array().unwrap().last().unwrap()["found"].as_str().unwrap().to_owned();
    // Of 500 chains of ten, those of g0 to g9 lead to g9: 200 people.
    assert!(groups.starts_with("500 groups, nested ones followed; that makes 200 admin, 9802 member"), "{groups}");
    let server = installation.serve();
    let http = server.by_path("alpha");
    for (name, password) in [("u0", "p0"), ("u500", "p500"), ("u1", "p1")] {
        let before = Instant::now();
        assert_eq!(said(&http, name, password).0, 200);
        println!("{name} signed in within {:?}", before.elapsed());
    }
}
