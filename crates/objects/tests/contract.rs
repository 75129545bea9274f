//! One list of promises, kept by every kind of store: a directory, the embedded S3, and SeaweedFS where its `weed` is in
//! the PATH.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may stop at the first surprise")]

mod weed;

use bytes::Bytes;
use domain::chance::Chance;
use domain::clock::Clock;
use futures_util::TryStreamExt;
use objects::{Error, FileKey, FileStore, ObjectStore, PART_BYTES, PutOptions, S3Config, probe};
use runtime::s3::S3Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const ANY: PutOptions = PutOptions { if_none_match: false, sha256: None };

/// Everything a store has to do.
async fn keeps_the_contract(store: &ObjectStore) {
    store.create().await.unwrap();
    store.create().await.unwrap();
    store.check().await.unwrap();
    puts_and_gets(store).await;
    creates_once(store).await;
    lists(store).await;
    streams(store).await;
    refuses(store).await;
    tells_what_it_can(store).await;
    keeps_files(store).await;
    sweeps_what_never_ended(store).await;
    let left = store.list("").await.unwrap();
    assert_eq!(left, [], "every test cleans up behind itself");
}

async fn puts_and_gets(store: &ObjectStore) {
    let key = "t/one/two.bin";
    assert!(matches!(store.get(key).await, Err(Error::NotFound { .. })));
    assert_eq!(store.head(key).await.unwrap(), None);
    store.put(key, "", ANY).await.unwrap();
    assert_eq!(store.get(key).await.unwrap(), "");
    let text = "0123456789 and a key with ümlauts & spaces + signs";
    store.put(key, text, ANY).await.unwrap();
    assert_eq!(store.get(key).await.unwrap(), text);
    let head = store.head(key).await.unwrap().unwrap();
    assert_eq!(head.size, text.len() as u64);
    assert!((head.modified - Clock::System.now()).abs().whole_seconds() < 60);
    assert_eq!(store.get_range(key, 3..7).await.unwrap(), "3456");
    assert_eq!(store.get_range(key, 4..4).await.unwrap(), "");
    assert_eq!(store.get_range(key, 0..9999).await.unwrap(), text);
    assert!(matches!(store.get_range(key, 9999..10000).await, Err(Error::OutOfRange { .. })));
    let odd = "t/odd/ü & + %41 'x'.txt";
    store.put(odd, "odd", ANY).await.unwrap();
    assert_eq!(store.get(odd).await.unwrap(), "odd");
    assert_eq!(store.list("t/odd/").await.unwrap().first().map(|o| o.key.as_str()), Some(odd));
    store.delete(odd).await.unwrap();
    store.delete(key).await.unwrap();
    store.delete(key).await.unwrap();
    assert!(!store.exists(key).await.unwrap());
}

async fn creates_once(store: &ObjectStore) {
    let key = "once/only";
    let tries = (0..8).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { store.put(key, format!("writer {n}"), PutOptions::CREATE).await })
    });
    let mut won = 0;
    for outcome in tries.collect::<Vec<_>>() {
        match outcome.await.unwrap() {
            Ok(()) => won += 1,
            Err(Error::Exists { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(won, 1, "exactly one writer creates");
    store.delete(key).await.unwrap();
}

async fn lists(store: &ObjectStore) {
    let mut keys: Vec<String> = (0..23).map(|n| format!("many/{:02}/{n}", n % 5)).collect();
    keys.extend(["many.txt", "many-more/x", "other/y"].map(str::to_owned));
    for key in &keys {
        store.put(key, key.clone(), ANY).await.unwrap();
    }
    keys.sort_unstable();
    let found = store.list("").await.unwrap();
    assert_eq!(found.iter().map(|o| o.key.clone()).collect::<Vec<_>>(), keys);
    assert!(found.iter().all(|o| o.size == o.key.len() as u64));
    assert_eq!(store.list("many/").await.unwrap().len(), 23);
    assert_eq!(store.list("many/01/1").await.unwrap().len(), 3, "1, 11 and 16");
    assert_eq!(store.list("nothing/").await.unwrap(), []);
    let mut folders = store.folders("").await.unwrap();
    // SeaweedFS goes on naming folders that were emptied.
    folders.retain(|name| !["once", "t"].contains(&name.as_str()));
    assert_eq!(folders, ["many", "many-more", "other"]);
    assert_eq!(store.folders("many/").await.unwrap(), ["00", "01", "02", "03", "04"]);
    store.delete_many(&keys).await.unwrap();
    store.delete_many(&keys).await.unwrap();
}

async fn streams(store: &ObjectStore) {
    for size in [0, 1, PART_BYTES - 1, PART_BYTES, 2 * PART_BYTES + 12_345] {
        let bytes: Bytes = (0..size).map(|n| (n / 7 % 251) as u8).collect::<Vec<_>>().into();
        let written = store.put_stream("big/object", bytes.as_ref(), ANY).await.unwrap();
        assert_eq!(written.size, size as u64);
        let download = store.get_stream("big/object").await.unwrap();
        assert_eq!(download.size, size as u64);
        let back: Vec<Bytes> = download.into_stream().try_collect().await.unwrap();
        assert!(back.concat() == bytes, "{size} bytes come back as they were");
    }
    let from = PART_BYTES as u64 - 3;
    let mut download = store.get_range_stream("big/object", from..from + 6).await.unwrap();
    let mut middle = Vec::new();
    download.reader.read_to_end(&mut middle).await.unwrap();
    let expected: Vec<u8> = (from..from + 6).map(|n| (n / 7 % 251) as u8).collect();
    assert_eq!(middle, expected);
    let again = store.put_stream("big/object", vec![0_u8; PART_BYTES + 1].as_slice(), PutOptions::CREATE).await;
    assert!(matches!(again, Err(Error::Exists { .. })), "{again:?}");
    store.delete("big/object").await.unwrap();

    let pieces = [Ok(Bytes::from(vec![1; PART_BYTES + 5])), Err(std::io::Error::other("the producer said no"))];
    let broken = tokio_util::io::StreamReader::new(futures_util::stream::iter(pieces));
    let outcome = store.put_stream("big/broken", broken, ANY).await;
    assert!(matches!(outcome, Err(Error::Source(_))), "{outcome:?}");
    assert!(!store.exists("big/broken").await.unwrap());
}

async fn refuses(store: &ObjectStore) {
    for key in ["", "/a", "a//b", "../a", "a/.", "a\0b"] {
        assert!(matches!(store.put(key, "x", ANY).await, Err(Error::InvalidKey { .. })), "{key:?}");
        assert!(matches!(store.get(key).await, Err(Error::InvalidKey { .. })), "{key:?}");
    }
}

async fn tells_what_it_can(store: &ObjectStore) {
    let report = probe(store, &Clock::System, &Chance::System).await.unwrap();
    assert!(report.conditional_put && report.sha256_checksums && report.ranges && report.multipart && report.listing);
    assert!(report.clock_skew_seconds.abs() <= 2, "{report:?}");
    assert_eq!(report.sentences, Vec::<String>::new());
    assert_eq!(report.therefore.len(), 9, "a sentence for each answer");
}

async fn sweeps_what_never_ended(store: &ObjectStore) {
    let (mut source, half) = tokio::io::duplex(1 << 20);
    let writing = store.clone();
    let writing = tokio::spawn(async move { writing.put_stream("half", half, ANY).await });
    source.write_all(&vec![7; 2 * PART_BYTES]).await.unwrap();
    let now = time::OffsetDateTime::now_utc();
    assert_eq!(store.sweep_unfinished(now - time::Duration::DAY).await.unwrap(), 0, "it is under way");
    let mut swept = 0;
    for _ in 0..200 {
        swept += store.sweep_unfinished(now + time::Duration::HOUR).await.unwrap();
        if swept > 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(swept, 1, "as after a kill, a day later");
    drop(source);
    assert!(writing.await.unwrap().is_err() && !store.exists("half").await.unwrap(), "it came to nothing");
}

async fn keeps_files(store: &ObjectStore) {
    let files = FileStore::over(store.clone());
    let tenant = "0192f000-0000-7000-8000-00000000002a".parse().unwrap();
    let (key, other) = (FileKey::new([7; 32]), FileKey::new([8; 32]));
    for size in [5, PART_BYTES + 5] {
        let bytes = vec![42; size];
        let stored = files.put_file(tenant, &key, bytes.as_slice()).await.unwrap();
        let again = files.put_file(tenant, &key, bytes.as_slice()).await.unwrap();
        assert_eq!(stored, again);
        assert_eq!(stored.size, size as u64);
        assert_ne!(stored.storage_key, files.put_file(tenant, &other, bytes.as_slice()).await.unwrap().storage_key);
        assert!(files.exists(&stored.storage_key).await.unwrap());
        assert_eq!(files.list(tenant).await.unwrap().len(), 2, "one object per content and key, no draft left");
        let all = files.read(&stored.storage_key, None).await.unwrap().bytes().await.unwrap();
        assert!(all == bytes);
        let some = files.read(&stored.storage_key, Some(1..3)).await.unwrap().bytes().await.unwrap();
        assert_eq!(some, [42, 42].as_slice());
        for file in files.list(tenant).await.unwrap() {
            files.delete(&file.key).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    keeps_the_contract(&ObjectStore::directory(dir.path().join("store")).unwrap()).await;
}

async fn embedded(dir: &std::path::Path) -> (S3Server, S3Config) {
    let server = S3Server::start(dir, "127.0.0.1:0".parse().unwrap(), "access", "secret").await.unwrap();
    let config = S3Config { attempts: 1, ..S3Config::new(server.url(), "holdfast", "access", "secret") };
    (server, config)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_s3_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    let (server, config) = embedded(dir.path()).await;
    keeps_the_contract(&ObjectStore::s3(config.clone()).unwrap()).await;
    keeps_the_contract(&ObjectStore::s3(S3Config { checksums: false, ..config.clone() }).unwrap()).await;
    keeps_the_contract(&ObjectStore::s3(S3Config { prefix: "deep/er/".into(), ..config }).unwrap()).await;
    let uploads = std::fs::read_dir(dir.path().join(".holdfast/uploads")).unwrap().count();
    assert_eq!(uploads, 0, "failed uploads are aborted");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_objects_are_plain_files_that_outlive_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let (server, config) = embedded(dir.path()).await;
    let store = ObjectStore::s3(config).unwrap();
    store.create().await.unwrap();
    store.put("t/a/b", "plain", ANY).await.unwrap();
    server.stop().await;
    let path = dir.path().join("holdfast/t/a/b");
    assert_eq!(std::fs::read(&path).unwrap(), b"plain");

    let (server, config) = embedded(dir.path()).await;
    let store = ObjectStore::s3(config).unwrap();
    let before = store.head("t/a/b").await.unwrap().unwrap();
    std::fs::write(&path, "damaged").unwrap();
    assert_eq!(store.get("t/a/b").await.unwrap(), "damaged", "what is on the disk is what is served");
    assert_ne!(store.head("t/a/b").await.unwrap().unwrap().etag, before.etag);
    std::fs::write(&path, "").unwrap();
    assert_eq!(store.get("t/a/b").await.unwrap(), "");
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(store.get("t/a/b").await, Err(Error::NotFound { .. })));
    std::fs::write(dir.path().join("holdfast/foreign"), "put there by hand").unwrap();
    assert_eq!(store.list("").await.unwrap().len(), 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_say_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let (server, config) = embedded(dir.path()).await;
    let nowhere = ObjectStore::s3(S3Config { bucket: "missing".into(), ..config.clone() }).unwrap();
    assert!(matches!(nowhere.check().await, Err(Error::NoBucket { .. })));
    assert!(matches!(nowhere.put("a", "x", ANY).await, Err(Error::NoBucket { .. })));
    let stranger = ObjectStore::s3(S3Config { secret_key: "wrong".into(), ..config.clone() }).unwrap();
    assert!(matches!(stranger.put("a", "x", ANY).await, Err(Error::Denied { .. })));
    assert!(matches!(stranger.check().await, Err(Error::Denied { .. })));
    let store = ObjectStore::s3(config).unwrap();
    store.create().await.unwrap();
    let wrong = PutOptions { if_none_match: false, sha256: Some([1; 32]) };
    assert!(matches!(store.put("a", "x", wrong).await, Err(Error::Altered { .. })));
    assert!(!store.exists("a").await.unwrap());
    server.stop().await;
    let gone = store.put("a", "x", ANY).await.unwrap_err();
    assert!(matches!(gone, Error::Unreachable { .. }), "{gone:?}");
    assert!(gone.to_string().contains("cannot be reached"));
}

/// Other clients send what ours does not: checksums in a trailer, and wishes that the embedded S3 cannot grant.
#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_s3_takes_trailers_and_refuses_promises() {
    use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
    use aws_sdk_s3::types::{ChecksumAlgorithm, ServerSideEncryption};
    let dir = tempfile::tempdir().unwrap();
    let (server, _) = embedded(dir.path()).await;
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .region(Region::new("anywhere"))
        .credentials_provider(Credentials::new("access", "secret", None, None, "test"))
        .endpoint_url(server.url())
        .force_path_style(true)
        .build();
    let client = aws_sdk_s3::Client::from_conf(config);
    client.create_bucket().bucket("trailers").send().await.unwrap();
    let path = dir.path().join("source");
    std::fs::write(&path, vec![9; 3_000_000]).unwrap();
    for sum in
        [ChecksumAlgorithm::Crc32, ChecksumAlgorithm::Crc32C, ChecksumAlgorithm::Crc64Nvme, ChecksumAlgorithm::Sha256]
    {
        let body = aws_sdk_s3::primitives::ByteStream::from_path(&path).await.unwrap();
        let put = client.put_object().bucket("trailers").key("streamed").checksum_algorithm(sum).body(body);
        put.send().await.unwrap();
        assert_eq!(std::fs::read(dir.path().join("trailers/streamed")).unwrap().len(), 3_000_000);
    }
    let sealed =
        client.put_object().bucket("trailers").key("sealed").server_side_encryption(ServerSideEncryption::Aes256);
    assert_eq!(sealed.send().await.unwrap_err().raw_response().unwrap().status().as_u16(), 501);
    server.stop().await;
}

/// Deletes clear away emptied folders; writers into the same folder must not notice.
#[tokio::test(flavor = "multi_thread")]
async fn writers_and_deleters_share_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let (server, config) = embedded(&dir.path().join("s3")).await;
    for store in [ObjectStore::s3(config).unwrap(), ObjectStore::directory(dir.path().join("plain")).unwrap()] {
        store.create().await.unwrap();
        let tasks = (0..6).map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                for _ in 0..15 {
                    let key = format!("deep/folder/{n}");
                    store.put(&key, "x", ANY).await.unwrap();
                    store.delete(&key).await.unwrap();
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        assert_eq!(store.list("").await.unwrap(), []);
    }
    server.stop().await;
}

/// A store behind TLS with a certificate of a private authority.
#[tokio::test(flavor = "multi_thread")]
async fn a_private_authority_is_trusted_only_when_named() {
    let dir = tempfile::tempdir().unwrap();
    let (server, config) = embedded(dir.path()).await;
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let port = tls_front(&made, server.address()).await;
    let url = Some(format!("https://localhost:{port}"));
    let pem = made.cert.pem().into_bytes();
    let trusting = S3Config { endpoint: url.clone(), ca_pem: Some(pem), ..config.clone() };
    let store = ObjectStore::s3(trusting).unwrap();
    store.create().await.unwrap();
    store.put("a", "over TLS", ANY).await.unwrap();
    assert_eq!(store.get("a").await.unwrap(), "over TLS");
    let wary = ObjectStore::s3(S3Config { endpoint: url.clone(), ..config.clone() }).unwrap();
    assert!(matches!(wary.get("a").await, Err(Error::Unreachable { .. })));
    let nonsense = S3Config { endpoint: url, ca_pem: Some(b"no certificate".to_vec()), ..config };
    assert!(matches!(ObjectStore::s3(nonsense), Err(Error::Setup(_))));
    server.stop().await;
}

/// Ends TLS on a free port and passes the bytes on.
async fn tls_front(made: &rcgen::CertifiedKey<rcgen::KeyPair>, to: std::net::SocketAddr) -> u16 {
    let key = rustls_pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut inside) = acceptor.accept(stream).await else { return };
                let mut outside = tokio::net::TcpStream::connect(to).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
            });
        }
    });
    port
}

/// 1,200 objects need two pages on S3.
#[tokio::test(flavor = "multi_thread")]
async fn listings_go_over_pages() {
    let dir = tempfile::tempdir().unwrap();
    let (server, config) = embedded(dir.path()).await;
    let store = ObjectStore::s3(config).unwrap();
    store.create().await.unwrap();
    for n in 0..1200 {
        let path = dir.path().join(format!("holdfast/p/{:02}/{n}", n % 12));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "x").unwrap();
    }
    let found = store.list("p/").await.unwrap();
    assert_eq!(found.len(), 1200);
    assert!(found.windows(2).all(|pair| matches!(pair, [a, b] if a.key < b.key)));
    let keys: Vec<String> = found.into_iter().map(|o| o.key).collect();
    store.delete_many(&keys).await.unwrap();
    assert_eq!(store.list("").await.unwrap(), []);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seaweedfs_keeps_the_contract() {
    let Some(server) = weed::Weed::start().await else { return };
    let config = S3Config { attempts: 3, ..S3Config::new(server.url(), "holdfast", "access", "secret") };
    keeps_the_contract(&ObjectStore::s3(config).unwrap()).await;
}
