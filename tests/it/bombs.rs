//! What unfolds to more than it seems: compressed bodies and pictures. And native gRPC through TLS.

use std::io::Write as _;

use base64::Engine as _;
use serde_json::json;

use crate::support::{Http, Installation, grpc};

const PASSWORD: &str = "Owner-of-notes-1";

async fn team() -> Installation {
    let installation = Installation::create().await;
    let file = installation.folder.path().join("password");
    std::fs::write(&file, PASSWORD).unwrap();
    installation.must(&["tenant", "create", "team", "--owner", "ann", "--password-file", file.to_str().unwrap()]);
    installation
}

/// The most memory that a process ever had, in MiB.
fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() / 1024
}

/// gzip of many times 4 MiB of the same letter, without packing them all. JSON does not begin with it.
fn bomb(times: usize) -> Vec<u8> {
    let mut packer = flate2::Compress::new(flate2::Compression::best(), false);
    let (plain, mut block) = (vec![b'x'; 4 << 20], Vec::with_capacity(1 << 20));
    packer.compress_vec(&plain, &mut block, flate2::FlushCompress::Full).unwrap();
    assert_eq!(packer.total_in(), 4 << 20);
    let (mut sum, mut of_block) = (flate2::Crc::new(), flate2::Crc::new());
    of_block.update(&plain);
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    for _ in 0..times {
        out.extend_from_slice(&block);
        sum.combine(&of_block);
    }
    out.extend_from_slice(&[3, 0]);
    out.extend_from_slice(&sum.sum().to_le_bytes());
    out.extend_from_slice(&sum.amount().to_le_bytes());
    out
}

fn upload(http: &Http, token: &str, id: &str, name: &str, content: &[u8]) -> u16 {
    let content = base64::engine::general_purpose::STANDARD.encode(content);
    let body = json!({"filename": name, "content": content});
    http.call("POST", &format!("/api/v1/attachments?attachmentId={id}"), Some(token), Some(&body)).status
}

/// A PNG that says it is so wide and high, and is not.
fn vast_png(side: u32) -> Vec<u8> {
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |kind: &[u8], data: &[u8]| {
        let mut sum = flate2::Crc::new();
        sum.update(kind);
        sum.update(data);
        out.extend_from_slice(&u32::try_from(data.len()).unwrap().to_be_bytes());
        out.extend_from_slice(kind);
        out.extend_from_slice(data);
        out.extend_from_slice(&sum.sum().to_be_bytes());
    };
    let mut head = Vec::new();
    head.extend_from_slice(&side.to_be_bytes());
    head.extend_from_slice(&side.to_be_bytes());
    head.extend_from_slice(&[8, 6, 0, 0, 0]);
    chunk(b"IHDR", &head);
    let mut data = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    data.write_all(&vec![0; 1 << 20]).unwrap();
    chunk(b"IDAT", &data.finish().unwrap());
    chunk(b"IEND", b"");
    out
}

/// A JPEG that says it is vast and lies on its side.
fn vast_jpeg() -> Vec<u8> {
    let exif = b"\xff\xe1\x00\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let frame = b"\xff\xc0\x00\x11\x08\xfd\xe8\xfd\xe8\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01";
    let scan = b"\xff\xda\x00\x0c\x03\x01\x00\x02\x11\x03\x11\x00\x3f\x00";
    [b"\xff\xd8".as_slice(), exif, frame, scan, &[0; 64], b"\xff\xd9"].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_do_not_go_off() {
    let installation = team().await;
    let server = installation.serve();
    let http = server.by_path("team");
    let (token, _) = http.sign_in("ann", PASSWORD);
    let before = peak(server.pid());

    let bearer = ("Authorization".to_owned(), format!("Bearer {token}"));
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let packed = bomb(128);
    assert!(packed.len() < 4 << 20, "{} bytes for 512 MiB", packed.len());
    let headers = [bearer.clone(), header("Content-Type", "application/json"), header("Content-Encoding", "gzip")];
    for path in ["/memos.api.v1.MemoService/CreateMemo", "/api/v1/memos"] {
        let answer = http.send("POST", path, &headers, Some(&packed));
        assert!((400..500).contains(&answer.status), "{path}: {} {}", answer.status, answer.text());
    }

    // Each fits by itself, and all of them together do not: what they are unpacked is counted.
    let fitting = bomb(60);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let path = "/memos.api.v1.MemoService/CreateMemo";
                let answer = http.send("POST", path, &headers, Some(&fitting));
                assert!(matches!(answer.status, 400 | 503), "{} {}", answer.status, answer.text());
            });
        }
    });
    for (id, name, content) in [
        ("vast", "vast.png", vast_png(60_000)),
        ("wide", "wide.png", vast_png(19_000)),
        ("jpeg", "vast.jpg", vast_jpeg()),
    ] {
        let status = upload(&http, &token, id, name, &content);
        assert!(status < 500, "{name}: {status}");
        let answer = http.send(
            "GET",
            &format!("/file/attachments/{id}/{name}?thumbnail=true"),
            std::slice::from_ref(&bearer),
            None,
        );
        assert!(answer.status < 500, "{name}: {}", answer.status);
    }
    let grown = peak(server.pid()) - before;
    println!("bombs: the server grew by {grown} MiB at most");
    assert!(grown < 640, "the server grew by {grown} MiB");
    assert_eq!(http.call("GET", "/api/v1/memos", Some(&token), None).status, 200, "it serves on");
}

#[tokio::test(flavor = "multi_thread")]
async fn native_grpc_speaks_tls() {
    let mut installation = team().await;
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::new(params, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let write = |name: &str, text: String| {
        let path = installation.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (cert, secret) = (write("cert.pem", leaf.pem()), write("key.pem", key.serialize_pem()));
    installation.set("HOLDFAST_TLS_CERT", &cert);
    installation.set("HOLDFAST_TLS_KEY", &secret);
    let server = installation.serve();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let headers = [("holdfast-tenant".to_owned(), "team".to_owned())];
    let path = "/memos.api.v1.InstanceService/GetInstanceProfile";
    let call = grpc::Call { authority: "localhost", path, headers: &headers, message: &[] };
    let answer = grpc::call_tls(server.grpc_address(), roots.clone(), &call);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.text().contains("0.30.0") && answer.text().contains("users/ann"), "{}", answer.text());
    let denied = grpc::Call { path: "/memos.api.v1.UserService/ListUsers", ..call };
    assert_eq!(grpc::call_tls(server.grpc_address(), roots, &denied).status, 401);
}
