use super::*;

fn load(file: Option<&str>, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Settings, Error> {
    let folder = tempfile::tempdir().unwrap();
    let config = file.map(|text| {
        let path = folder.path().join("holdfast.toml");
        std::fs::write(&path, text).unwrap();
        path
    });
    let own =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<Vec<_>>();
    Settings::load(&Sources { config, environment: own(environment), flags: own(flags) })
}

fn origin_of(settings: &Settings, key: &str) -> String {
    settings.shown().into_iter().find(|shown| shown.key == key).unwrap().origin.to_string()
}

#[test]
fn flags_win_over_environment_over_file_over_default() {
    let file = "store_bucket = \"filed\"\nlisten = \"127.0.0.1:1\"\nstore_region = \"eu\"\n";
    let environment = [("HOLDFAST_STORE_BUCKET", "environed"), ("HOLDFAST_LISTEN", "127.0.0.1:2")];
    let settings = load(Some(file), &environment, &[("listen", "127.0.0.1:3")]).unwrap();
    assert_eq!(settings.listen.to_string(), "127.0.0.1:3");
    assert_eq!((settings.store_bucket.as_str(), settings.store_region.as_str()), ("environed", "eu"));
    assert_eq!(settings.ops_listen.to_string(), "127.0.0.1:5232");
    assert_eq!(origin_of(&settings, "listen"), "flag --listen");
    assert_eq!(origin_of(&settings, "store_bucket"), "env HOLDFAST_STORE_BUCKET");
    assert!(origin_of(&settings, "store_region").starts_with("file "));
    assert_eq!(origin_of(&settings, "ops_listen"), "default");
}

#[test]
fn unknown_keys_are_errors_that_name_the_nearest() {
    let error = load(Some("databse_url = \"x\"\n"), &[], &[]).unwrap_err().to_string();
    assert!(error.contains("unknown setting databse_url") && error.contains("did you mean database_url?"), "{error}");
    let error = load(None, &[("HOLDFAST_LISTN", "x")], &[]).unwrap_err().to_string();
    assert!(error.contains("HOLDFAST_LISTN") && error.contains("did you mean HOLDFAST_LISTEN?"), "{error}");
}

#[test]
fn variables_of_tests_and_strangers_are_ignored() {
    assert!(load(None, &[("HOLDFAST_FIXTURES", "/x"), ("HOLDFAST_BUILD_CACHE", "/y"), ("OTHER", "z")], &[]).is_ok());
}

#[test]
fn a_password_in_the_url_is_refused_and_not_repeated() {
    let error =
        load(None, &[("HOLDFAST_DATABASE_URL", "postgres://me:hunter2@db/notes")], &[]).unwrap_err().to_string();
    assert!(error.contains("database_password_file") && !error.contains("hunter2"), "{error}");
}

#[test]
fn paths_of_the_file_are_relative_to_it_and_lists_come_both_ways() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("a.toml");
    std::fs::write(&config, "tls_cert = [\"a.pem\", \"/abs/b.pem\"]\ntls_key = \"a.key, b.key\"\ntrusted_proxies = [\"10.0.0.0/8\", \"::1\"]\n").unwrap();
    let settings = Settings::load(&Sources { config: Some(config), ..Sources::default() }).unwrap();
    let pairs = settings.tls_pairs();
    assert_eq!(pairs[0], (folder.path().join("a.pem"), folder.path().join("a.key")));
    assert_eq!(pairs[1].0, PathBuf::from("/abs/b.pem"));
    assert_eq!(settings.trusted_proxies.len(), 2);
}

#[test]
fn bad_values_say_where_they_came_from() {
    for (key, value) in [
        ("listen", "nowhere"),
        ("store_path_style", "perhaps"),
        ("trusted_proxies", "10.0.0.0/99"),
        ("files_url", "ftp://x"),
        ("log_format", "xml"),
    ] {
        let error = load(None, &[], &[(key, value)]).unwrap_err().to_string();
        assert!(error.starts_with(key) && error.contains("flag --"), "{error}");
    }
    assert!(load(Some("listen = \"a"), &[], &[]).unwrap_err().to_string().contains("line 1"));
    assert!(load(None, &[], &[("tls_cert", "a.pem")]).is_err());
}

#[test]
fn places_for_files_are_folders_or_buckets() {
    assert_eq!(FilesPlace::parse("file:///srv/files"), Ok(FilesPlace::Directory(PathBuf::from("/srv/files"))));
    let bucket = FilesPlace::Bucket { bucket: "live".to_owned(), prefix: "a/b".to_owned() };
    assert_eq!(FilesPlace::parse("s3://live/a/b/"), Ok(bucket));
}

#[test]
fn one_listen_flag_moves_the_other_listeners_to_free_ports() {
    let mut settings = load(None, &[], &[("listen", "127.0.0.1:0"), ("ops_listen", "127.0.0.1:7")]).unwrap();
    settings.derive_listeners();
    assert_eq!(
        (settings.grpc_listen.to_string().as_str(), settings.ops_listen.to_string().as_str()),
        ("127.0.0.1:0", "127.0.0.1:7")
    );
}

#[test]
fn secrets_lose_one_line_end_and_never_show() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "s3cret\n").unwrap();
    let secret = read_secret(file.path()).unwrap();
    assert_eq!((secret.expose(), format!("{secret} {secret:?}").as_str()), ("s3cret", "*** ***"));
    std::fs::write(file.path(), "\n").unwrap();
    assert!(read_secret(file.path()).is_err());
}
