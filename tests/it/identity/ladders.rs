//! Show 7: what the ladder says of broken settings, word for word, and of one that holds.

use std::net::TcpListener;

use serde_json::Value;
use testkit::directory::{Directory, PEOPLE, Setup};
use testkit::oidc::Provider;

use super::directory::{staff, tls};
use super::tenant;
use crate::support::Installation;

/// The rungs of a test of settings that are not saved: `status rung found → next`, with what changes from run to run named.
fn climb(
    installation: &Installation,
    kind: &str,
    toml: &str,
    user: Option<&str>,
    names: &[(&str, &str)],
) -> (i32, String) {
    let file = installation.folder.path().join("unsaved.toml");
    std::fs::write(&file, toml).unwrap();
    let mut arguments = vec!["identity", "test", kind, "--tenant", "alpha", "--file", file.to_str().unwrap()];
    arguments.extend(user.iter().flat_map(|user| ["--user", *user]));
    let (code, document) = installation.run(&arguments);
    let rungs = document["rungs"].as_array().cloned().unwrap_or_default();
    let text = |rung: &Value, key: &str| rung[key].as_str().unwrap_or_default().to_owned();
    let line = |rung: &Value| {
        let next = text(rung, "next");
        let next = if next.is_empty() { String::new() } else { format!(" → {next}") };
        format!("{} {}: {}{next}", text(rung, "status"), text(rung, "rung"), text(rung, "found"))
    };
    let all = rungs.iter().map(line).collect::<Vec<_>>().join("\n");
    (code, names.iter().fold(all, |text, (from, to)| text.replace(from, to)))
}

fn last(ladder: &str) -> &str {
    ladder.lines().last().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_broken_directory_breaks_at_its_rung() {
    let installation = Installation::create().await;
    tenant(&installation, "alpha");
    let (keys, named) = (tls("127.0.0.1"), tls("ldap.example.org"));
    let folder = installation.folder.path();
    let secured = |keys: &super::directory::Tls| (keys.certificate.clone(), keys.key.clone(), keys.authority.clone());
    let (own, other) = (secured(&keys), secured(&named));
    let with = |tls: &(String, String, String), name: &str| {
        let tls = Some((tls.0.as_str(), tls.1.as_str(), tls.2.as_str()));
        Directory::start(&folder.join(name), Setup::new(PEOPLE, tls))
    };
    let Some(good) = with(&own, "good") else { return };
    let Some(misnamed) = with(&other, "misnamed") else { return };
    std::fs::write(folder.join("ca.pem"), &keys.authority).unwrap();
    std::fs::write(folder.join("other.pem"), &named.authority).unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ca = "ca_file = \"ca.pem\"";
    let quoted = |url: String| format!("\"{url}\"");
    let names =
        [(good.secure.to_string(), "SERVER"), (good.plain.to_string(), "PLAIN"), (closed.to_string(), "CLOSED")];
    let names: Vec<(&str, &str)> = names.iter().map(|(from, to)| (from.as_str(), *to)).collect();
    let broken = |toml: &str, user: Option<&str>| {
        let (code, ladder) = climb(&installation, "ldap", toml, user, &names);
        assert_eq!(code, 4, "{ladder}");
        last(&ladder).to_owned()
    };
    let secure = quoted(good.secure_url());
    assert_eq!(
        broken(&staff(&quoted("ldaps://no-such-host.invalid".to_owned()), ca), None).split(": ").next(),
        Some("failed dns")
    );
    assert_eq!(
        broken(&staff(&quoted(format!("ldaps://{closed}")), ca), None),
        "failed tcp: CLOSED: Connection refused → start the server, correct the port, or open the firewall"
    );
    let untrusted = broken(&staff(&secure, ""), None);
    assert!(
        untrusted.starts_with("failed tls: ")
            && untrusted.ends_with("→ give the certificate authority that signed it as ca_file"),
        "{untrusted}"
    );
    let misnamed = broken(&staff(&quoted(misnamed.secure_url()), "ca_file = \"other.pem\""), None);
    assert!(
        misnamed.starts_with("failed tls: ")
            && misnamed.ends_with("→ use the name that the certificate is made for, or have it made for this one"),
        "{misnamed}"
    );
    assert_eq!(
        broken(&staff(&secure, ca).replace("service-password", "wrong"), None),
        "failed bind: it refuses cn=svc,dc=example,dc=org: invalid credentials (49) → correct bind_dn and bind_password"
    );
    assert_eq!(
        broken(&staff(&secure, ca).replace("ou=people,dc", "ou=nobody,dc"), None),
        "failed search: there is no entry ou=nobody,dc=example,dc=org → correct user_base"
    );
    assert_eq!(
        broken(&staff(&secure, &format!("{ca}\nuser_filter = \"(&(objectClass=device)(uid={{username}}))\"")), None),
        "failed search: nobody below ou=people,dc=example,dc=org → correct user_base and user_filter, or let the bind DN read below it"
    );
    assert_eq!(
        broken(&staff(&secure, &format!("{ca}\ngroup_filter = \"(objectClass=device)\"")), None),
        "failed groups: no group below ou=groups,dc=example,dc=org → correct group_base and group_filter, or leave group_base out"
    );
    assert_eq!(
        broken(&staff(&secure, ca), Some("zed")),
        "failed user: no entry for zed → look at user_filter: it must find the name that the member types"
    );
    let (code, ladder) = climb(&installation, "ldap", &staff(&secure, ca), Some("ana"), &names);
    assert_eq!(code, 0, "{ladder}");
    let lines: Vec<&str> = ladder.lines().collect();
    assert_eq!(lines[0], "ok settings: ldap staff");
    assert_eq!(lines[2], "ok tcp: SERVER takes connections");
    assert!(lines[3].starts_with("ok tls: one certificate, trusted, for"), "{ladder}");
    assert_eq!(lines[4], "ok bind: it takes cn=svc,dc=example,dc=org");
    assert_eq!(lines[5], "ok search: 2 people below ou=people,dc=example,dc=org");
    assert_eq!(lines[6], "ok groups: 4 groups, nested ones followed; that makes 1 admin, 1 guest");
    assert!(
        lines[7].contains("would become a member, admin; groups: eng, staff, team; group staff gives admin"),
        "{ladder}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_broken_openid_provider_breaks_at_its_rung() {
    let installation = Installation::create().await;
    tenant(&installation, "alpha");
    let Some(provider) = Provider::start(0, &["http://127.0.0.1:1/t/alpha".to_owned()]) else { return };
    let toml = |issuer: &str, secret: &str| {
        format!(
            "kind = \"oidc\"\nid = \"corp\"\ntitle = \"Corp\"\nissuer = \"{issuer}\"\nclient_id = \"holdfast\"\nclient_secret = \"{secret}\"\n"
        )
    };
    let address = provider.address.to_string();
    let names = [(provider.issuer.as_str(), "ISSUER"), (address.as_str(), "ADDRESS")];
    let run = |issuer: &str, secret: &str| climb(&installation, "oidc", &toml(issuer, secret), None, &names);
    let (code, ladder) = run(&provider.issuer, "holdfast-secret");
    assert_eq!(code, 0, "{ladder}");
    assert_eq!(
        ladder,
        "ok settings: oidc corp\nok dns: 127.0.0.1 is 127.0.0.1\nok tcp: ADDRESS takes connections\n\
         note tls: none: the address begins with http:// → use https unless the provider is on this machine\n\
         ok discovery: ISSUER describes itself; people sign in at ISSUER/auth\nok keys: 1 published\nok client: it knows holdfast"
    );
    let (code, ladder) = run(&provider.issuer, "wrong");
    assert_eq!(code, 4);
    assert_eq!(
        last(&ladder),
        "failed client: it does not know holdfast with this secret → correct client_id and client_secret: they are not those that the provider knows"
    );
    let (code, ladder) = run(&format!("{}/elsewhere", provider.issuer), "x");
    assert_eq!(code, 4);
    assert_eq!(
        last(&ladder),
        "failed discovery: ISSUER/elsewhere does not answer: it answers 404 Not Found → correct the issuer: there is no /.well-known/openid-configuration below it"
    );
    let (code, ladder) = run(&format!("{}/", provider.issuer), "x");
    assert_eq!(code, 4);
    assert!(
        last(&ladder)
            .ends_with("→ write the issuer exactly as the provider writes it, with or without a slash at its end"),
        "{ladder}"
    );
    let (_, ladder) = run(&format!("https://{address}"), "x");
    assert!(last(&ladder).starts_with("failed tls: ") && last(&ladder).contains("that port speaks no TLS"), "{ladder}");
    let (_, ladder) = run("http://169.254.169.254", "x");
    assert_eq!(
        last(&ladder),
        "failed dns: 169.254.169.254 leads only to where this server may not go → use an address outside the link-local range, or have the operator widen identity_networks"
    );
}
