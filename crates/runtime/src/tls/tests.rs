use rustls::{ClientConnection, ServerConnection};

use super::*;

/// A certificate for `name`, signed by an authority of its own, as files; returns (cert, key).
fn make(folder: &Path, name: &str, file: &str) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let (cert, key) = (folder.join(format!("{file}.pem")), folder.join(format!("{file}.key")));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (cert, key)
}

/// Whole handshake in memory: what the client saw, or why it refused.
fn shake(server: &Arc<ServerConfig>, client: ClientConfig, name: &str) -> Result<(Vec<u8>, Vec<u8>), rustls::Error> {
    let mut server = ServerConnection::new(server.clone())?;
    let mut client = ClientConnection::new(Arc::new(client), ServerName::try_from(name.to_owned()).unwrap())?;
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        server.read_tls(&mut bytes.as_slice()).unwrap();
        server.process_new_packets()?;
        let mut bytes = Vec::new();
        server.write_tls(&mut bytes).unwrap();
        client.read_tls(&mut bytes.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    let certificate = client.peer_certificates().unwrap()[0].to_vec();
    Ok((certificate, client.alpn_protocol().unwrap_or_default().to_vec()))
}

fn der(path: &Path) -> Vec<u8> {
    read_certificates(path).unwrap()[0].to_vec()
}

#[test]
fn each_host_gets_its_certificate_and_a_reload_changes_it() {
    let folder = tempfile::tempdir().unwrap();
    let one = make(folder.path(), "one.example", "one");
    let two = make(folder.path(), "two.example", "two");
    let certificates = Certificates::load(vec![one.clone(), two.clone()]).unwrap();
    let server = Arc::new(certificates.server_config().unwrap());
    let trusting = |authority: &Path| {
        let mut config = client_config_only(authority).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        config
    };
    assert_eq!(shake(&server, trusting(&two.0), "two.example").unwrap(), (der(&two.0), b"h2".to_vec()));
    assert_eq!(shake(&server, trusting(&one.0), "one.example").unwrap().0, der(&one.0));
    assert!(shake(&server, trusting(&one.0), "two.example").is_err(), "a foreign authority was trusted");
    let old = der(&two.0);
    make(folder.path(), "two.example", "two");
    certificates.reload().unwrap();
    assert_ne!(shake(&server, trusting(&two.0), "two.example").unwrap().0, old);
    // A bad file changes nothing.
    std::fs::write(&two.0, "no certificate").unwrap();
    let error = certificates.reload().unwrap_err().to_string();
    assert!(error.contains("two.pem"), "{error}");
    assert!(shake(&server, trusting(&one.0), "one.example").is_ok());
}

#[test]
fn a_key_that_does_not_fit_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let one = make(folder.path(), "one.example", "one");
    let two = make(folder.path(), "two.example", "two");
    let error = Certificates::load(vec![(one.0, two.1)]).unwrap_err().to_string();
    assert!(error.contains("two.key") && error.contains("one.pem"), "{error}");
}
