//! The stores that the settings name, opened.

use std::path::{Path, PathBuf};

use objects::{FileStore, ObjectStore, S3Config};
use runtime::data_dir::DataDir;
use runtime::exit::CommandError;
use runtime::settings::{FilesPlace, Settings, StorePlace, read_secret};

use crate::errors::of_objects;

/// The first backup store, where the settings name one, and how it is reached if it is an S3. It must answer.
pub(crate) async fn named_store(settings: &Settings) -> Result<Option<(ObjectStore, Option<S3Config>)>, CommandError> {
    let s3 = s3_config(settings)?;
    let objects = match (&settings.store_directory, &s3) {
        (Some(folder), _) => ObjectStore::directory(folder.clone()).map_err(of_objects)?,
        (None, Some(config)) => ObjectStore::s3(config.clone()).map_err(of_objects)?,
        (None, None) => return Ok(None),
    };
    objects.check().await.map_err(of_objects)?;
    Ok(Some((objects, s3)))
}

pub(crate) fn secret_in(file: Option<&Path>) -> Result<Option<String>, CommandError> {
    let secret = file.map(read_secret).transpose().map_err(|e| CommandError::usage(e.to_string()))?;
    Ok(secret.map(|secret| secret.expose().to_owned()))
}

fn s3_config(settings: &Settings) -> Result<Option<S3Config>, CommandError> {
    let Some(endpoint) = &settings.store_endpoint else { return Ok(None) };
    let (access, secret) =
        (secret_in(settings.store_access_key_file.as_deref())?, secret_in(settings.store_secret_key_file.as_deref())?);
    let (Some(access), Some(secret)) = (access, secret) else {
        return Err(CommandError::usage("store_endpoint needs store_access_key_file and store_secret_key_file"));
    };
    let mut config =
        S3Config::new(endpoint.as_str().trim_end_matches('/'), settings.store_bucket.clone(), access, secret);
    config.region.clone_from(&settings.store_region);
    config.path_style = settings.store_path_style;
    config.lock_days = Some(settings.store_lock_days).filter(|days| *days > 0);
    if let Some(file) = &settings.store_ca_file {
        config.ca_pem = Some(
            std::fs::read(file).map_err(|e| CommandError::usage(format!("store_ca_file {}: {e}", file.display())))?,
        );
    }
    Ok(Some(config))
}

/// A further store for points; it is locked for as long as the first one.
pub(crate) fn copy_store(place: &StorePlace, settings: &Settings) -> Result<ObjectStore, CommandError> {
    match place {
        StorePlace::Directory(folder) => ObjectStore::directory(folder.clone()).map_err(of_objects),
        StorePlace::Bucket { endpoint, bucket, region, access_key_file, secret_key_file } => {
            let key = |file: &Path| {
                read_secret(file).map(|key| key.expose().to_owned()).map_err(|e| CommandError::usage(e.to_string()))
            };
            let (access, secret) = (key(access_key_file)?, key(secret_key_file)?);
            let mut config = S3Config::new(endpoint.clone(), bucket.clone(), access, secret);
            config.region.clone_from(region);
            config.lock_days = Some(settings.store_lock_days).filter(|days| *days > 0);
            ObjectStore::s3(config).map_err(of_objects)
        }
    }
}

/// The backup store by credentials that only read, where the settings have such.
pub(crate) fn reader(settings: &Settings) -> Result<Option<ObjectStore>, CommandError> {
    let (access, secret) = (
        secret_in(settings.drill_store_access_key_file.as_deref())?,
        secret_in(settings.drill_store_secret_key_file.as_deref())?,
    );
    let (Some(access_key), Some(secret_key), Some(config)) = (access, secret, s3_config(settings)?) else {
        return Ok(None);
    };
    ObjectStore::s3(S3Config { access_key, secret_key, ..config }).map(Some).map_err(of_objects)
}

/// Where the bytes of live attachments are: where the settings say, else below the data folder. `s3`: the named store's.
pub(crate) fn open_live_files(
    settings: &Settings,
    data: &DataDir,
    s3: Option<&S3Config>,
) -> Result<FileStore, CommandError> {
    let (url, s3) = match &settings.files_url {
        Some(FilesPlace::Directory(folder)) => (format!("file://{}", folder.display()), None),
        Some(FilesPlace::Bucket { bucket, prefix }) => (format!("s3://{bucket}/{prefix}"), s3),
        None => (format!("file://{}", absolute(&data.files()).display()), None),
    };
    FileStore::open(&url, s3).map_err(of_objects)
}

pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
