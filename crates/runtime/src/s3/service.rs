//! S3's operations over a [`Disk`]. What is not here answers 501, so that no client takes silence for consent.

use std::sync::Arc;

use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, Bucket, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource, CreateBucketInput,
    CreateBucketOutput, CreateMultipartUploadInput, CreateMultipartUploadOutput, DeleteObjectInput, DeleteObjectOutput,
    DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, GetBucketLifecycleConfigurationInput,
    GetBucketLifecycleConfigurationOutput, GetBucketLocationInput, GetBucketLocationOutput, GetBucketVersioningInput,
    GetBucketVersioningOutput, GetObjectInput, GetObjectLockConfigurationInput, GetObjectLockConfigurationOutput,
    GetObjectOutput, HeadBucketInput, HeadBucketOutput, HeadObjectInput, HeadObjectOutput, ListBucketsInput,
    ListBucketsOutput, ListMultipartUploadsInput, ListMultipartUploadsOutput, ListObjectsInput, ListObjectsOutput,
    ListObjectsV2Input, ListObjectsV2Output, ListPartsInput, ListPartsOutput, MultipartUpload, Part, PutObjectInput,
    PutObjectOutput, UploadPartInput, UploadPartOutput,
};
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

use super::answers::{Opened, failure, may_read, objects, prefixes, read, refuse_promises};
use super::disk::{Condition, Disk, blocking, failed};
use super::incoming::{Expected, receive};
use super::listing::{self, After, Page, Query};

/// The most entries of one page.
const PAGE: i32 = 1000;

#[derive(Clone, Debug)]
pub(super) struct Files {
    disk: Arc<Disk>,
}

type Answer<T> = S3Result<S3Response<T>>;

impl Files {
    pub(super) fn new(disk: Arc<Disk>) -> Self {
        Self { disk }
    }

    /// Runs `work` on the disk, off the async threads.
    async fn with<T, F>(&self, work: F) -> S3Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Disk) -> S3Result<T> + Send + 'static,
    {
        let disk = self.disk.clone();
        blocking(move || work(&disk)).await
    }

    async fn page(&self, bucket: String, query: Query) -> S3Result<Page> {
        self.with(move |disk| listing::list(&disk.bucket(&bucket)?, &query)).await
    }
}

#[async_trait::async_trait]
impl S3 for Files {
    async fn create_bucket(&self, req: S3Request<CreateBucketInput>) -> Answer<CreateBucketOutput> {
        let input = req.input;
        refuse_promises(input.object_lock_enabled_for_bucket == Some(true), false)?;
        let location = format!("/{}", input.bucket);
        self.with(move |disk| disk.make_bucket(&input.bucket)).await?;
        Ok(S3Response::new(CreateBucketOutput { location: Some(location) }))
    }

    async fn head_bucket(&self, req: S3Request<HeadBucketInput>) -> Answer<HeadBucketOutput> {
        self.with(move |disk| disk.bucket(&req.input.bucket)).await?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> Answer<ListBucketsOutput> {
        let found = self.with(Disk::buckets).await?;
        let named = found.into_iter().map(|(name, changed)| Bucket {
            name: Some(name),
            creation_date: Some(changed),
            ..Default::default()
        });
        Ok(S3Response::new(ListBucketsOutput { buckets: Some(named.collect()), ..Default::default() }))
    }

    async fn get_bucket_location(&self, req: S3Request<GetBucketLocationInput>) -> Answer<GetBucketLocationOutput> {
        self.with(move |disk| disk.bucket(&req.input.bucket)).await?;
        Ok(S3Response::new(GetBucketLocationOutput::default()))
    }

    async fn get_bucket_versioning(
        &self,
        req: S3Request<GetBucketVersioningInput>,
    ) -> Answer<GetBucketVersioningOutput> {
        self.with(move |disk| disk.bucket(&req.input.bucket)).await?;
        Ok(S3Response::new(GetBucketVersioningOutput::default()))
    }

    async fn get_object_lock_configuration(
        &self,
        req: S3Request<GetObjectLockConfigurationInput>,
    ) -> Answer<GetObjectLockConfigurationOutput> {
        self.with(move |disk| disk.bucket(&req.input.bucket)).await?;
        Err(s3_error!(ObjectLockConfigurationNotFoundError))
    }

    async fn put_object(&self, req: S3Request<PutObjectInput>) -> Answer<PutObjectOutput> {
        let input = req.input;
        let locked = input.object_lock_mode.is_some() || input.object_lock_legal_hold_status.is_some();
        let sealed = input.sse_customer_algorithm.is_some() || input.server_side_encryption.is_some();
        refuse_promises(locked, sealed)?;
        self.disk.object(&input.bucket, &input.key)?;
        let expected = Expected::new(req.headers, req.trailing_headers);
        let received = receive(&self.disk, input.body, input.content_length, expected).await?;
        let condition = Condition { if_match: input.if_match, if_none_match: input.if_none_match };
        let facts = self
            .with(move |disk| disk.publish(received.into_draft(disk)?, &input.bucket, &input.key, &condition))
            .await?;
        Ok(S3Response::new(PutObjectOutput { e_tag: Some(facts.etag), ..Default::default() }))
    }

    async fn copy_object(&self, req: S3Request<CopyObjectInput>) -> Answer<CopyObjectOutput> {
        let input = req.input;
        let CopySource::Bucket { bucket, key, version_id: None } = input.copy_source else {
            return Err(s3_error!(NotImplemented, "only an object of a bucket here can be copied"));
        };
        let facts = self
            .with(move |disk| {
                let (mut source, _) = disk.read(&bucket, &key)?;
                let mut draft = disk.draft()?;
                std::io::copy(&mut source, draft.as_file_mut()).map_err(|e| failed(draft.path(), e))?;
                disk.publish(draft, &input.bucket, &input.key, &Condition::default())
            })
            .await?;
        let result =
            CopyObjectResult { e_tag: Some(facts.etag), last_modified: Some(facts.modified), ..Default::default() };
        Ok(S3Response::new(CopyObjectOutput { copy_object_result: Some(result), ..Default::default() }))
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> Answer<GetObjectOutput> {
        let input = req.input;
        let opened = self
            .with(move |disk| {
                let (file, facts) = disk.read(&input.bucket, &input.key)?;
                may_read(&facts, input.if_match.as_ref(), input.if_none_match.as_ref())?;
                let part = input.range.map(|range| range.check(facts.size)).transpose()?;
                read(file, facts, part)
            })
            .await?;
        let Opened { facts, part, body } = opened;
        let size = part.as_ref().map_or(facts.size, |part| part.end - part.start);
        let content_range = part.map(|part| format!("bytes {}-{}/{}", part.start, part.end - 1, facts.size));
        Ok(S3Response::new(GetObjectOutput {
            body: Some(body),
            content_length: i64::try_from(size).ok(),
            content_range,
            accept_ranges: Some("bytes".to_owned()),
            e_tag: Some(facts.etag),
            last_modified: Some(facts.modified),
            ..Default::default()
        }))
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> Answer<HeadObjectOutput> {
        let input = req.input;
        let facts = self
            .with(move |disk| {
                let facts = disk.facts(&input.bucket, &input.key)?;
                may_read(&facts, input.if_match.as_ref(), input.if_none_match.as_ref())?;
                Ok(facts)
            })
            .await?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: i64::try_from(facts.size).ok(),
            accept_ranges: Some("bytes".to_owned()),
            e_tag: Some(facts.etag),
            last_modified: Some(facts.modified),
            ..Default::default()
        }))
    }

    async fn delete_object(&self, req: S3Request<DeleteObjectInput>) -> Answer<DeleteObjectOutput> {
        self.with(move |disk| disk.remove(&req.input.bucket, &req.input.key)).await?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(&self, req: S3Request<DeleteObjectsInput>) -> Answer<DeleteObjectsOutput> {
        let input = req.input;
        let quiet = input.delete.quiet == Some(true);
        let (gone, kept) = self
            .with(move |disk| {
                disk.bucket(&input.bucket)?;
                let (mut gone, mut kept) = (Vec::new(), Vec::new());
                for key in input.delete.objects.into_iter().map(|object| object.key) {
                    match disk.remove(&input.bucket, &key) {
                        Ok(()) => gone.push(DeletedObject { key: Some(key), ..Default::default() }),
                        Err(error) => kept.push(failure(key, &error)),
                    }
                }
                Ok((gone, kept))
            })
            .await?;
        let deleted = (!quiet).then_some(gone);
        Ok(S3Response::new(DeleteObjectsOutput {
            deleted,
            errors: (!kept.is_empty()).then_some(kept),
            ..Default::default()
        }))
    }

    async fn list_objects(&self, req: S3Request<ListObjectsInput>) -> Answer<ListObjectsOutput> {
        let input = req.input;
        let limit = input.max_keys.unwrap_or(PAGE).clamp(0, PAGE);
        let prefix = input.prefix.clone().unwrap_or_default();
        let grouped = input.delimiter.as_deref().is_some_and(|d| !d.is_empty());
        // A marker that is itself a group stands for all keys of that group.
        let after = input.marker.clone().filter(|m| !m.is_empty()).map(|marker| match &input.delimiter {
            Some(d) if grouped && marker.starts_with(&prefix) && marker.ends_with(d.as_str()) => After::Group(marker),
            _ => After::Key(marker),
        });
        let query = Query { prefix, delimiter: input.delimiter.clone(), after, limit: limit as usize };
        let page = self.page(input.bucket.clone(), query).await?;
        let next_marker = page.next.as_ref().map(|next| next.text().to_owned());
        Ok(S3Response::new(ListObjectsOutput {
            name: Some(input.bucket),
            prefix: input.prefix,
            marker: input.marker,
            max_keys: Some(limit),
            is_truncated: Some(page.next.is_some()),
            contents: Some(objects(page.objects)),
            common_prefixes: Some(prefixes(page.groups)),
            delimiter: input.delimiter,
            next_marker,
            ..Default::default()
        }))
    }

    async fn list_objects_v2(&self, req: S3Request<ListObjectsV2Input>) -> Answer<ListObjectsV2Output> {
        let input = req.input;
        let limit = input.max_keys.unwrap_or(PAGE).clamp(0, PAGE);
        let after = match (&input.continuation_token, &input.start_after) {
            (Some(token), _) => Some(After::parse(token)?),
            (None, Some(key)) if !key.is_empty() => Some(After::Key(key.clone())),
            _ => None,
        };
        let prefix = input.prefix.clone().unwrap_or_default();
        let query = Query { prefix, delimiter: input.delimiter.clone(), after, limit: limit as usize };
        let page = self.page(input.bucket.clone(), query).await?;
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: input.prefix,
            max_keys: Some(limit),
            key_count: i32::try_from(page.objects.len() + page.groups.len()).ok(),
            continuation_token: input.continuation_token,
            is_truncated: Some(page.next.is_some()),
            next_continuation_token: page.next.as_ref().map(After::token),
            contents: Some(objects(page.objects)),
            common_prefixes: Some(prefixes(page.groups)),
            delimiter: input.delimiter,
            start_after: input.start_after,
            ..Default::default()
        }))
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> Answer<CreateMultipartUploadOutput> {
        let input = req.input;
        let locked = input.object_lock_mode.is_some() || input.object_lock_legal_hold_status.is_some();
        let sealed = input.sse_customer_algorithm.is_some() || input.server_side_encryption.is_some();
        refuse_promises(locked, sealed)?;
        let (bucket, key) = (input.bucket.clone(), input.key.clone());
        let id = self.with(move |disk| disk.begin_upload(&bucket, &key)).await?;
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id),
            ..Default::default()
        }))
    }

    async fn upload_part(&self, req: S3Request<UploadPartInput>) -> Answer<UploadPartOutput> {
        let input = req.input;
        let expected = Expected::new(req.headers, req.trailing_headers);
        let received = receive(&self.disk, input.body, input.content_length, expected).await?;
        let etag = self
            .with(move |disk| {
                let draft = received.into_draft(disk)?;
                disk.keep_part(&input.bucket, &input.key, &input.upload_id, input.part_number, draft)
            })
            .await?;
        Ok(S3Response::new(UploadPartOutput { e_tag: Some(etag), ..Default::default() }))
    }

    async fn list_parts(&self, req: S3Request<ListPartsInput>) -> Answer<ListPartsOutput> {
        let input = req.input;
        let (bucket, key, id) = (input.bucket.clone(), input.key.clone(), input.upload_id.clone());
        let found = self.with(move |disk| disk.parts(&bucket, &key, &id)).await?;
        let parts = found.into_iter().map(|(number, facts)| Part {
            part_number: Some(number),
            size: i64::try_from(facts.size).ok(),
            e_tag: Some(facts.etag),
            last_modified: Some(facts.modified),
            ..Default::default()
        });
        Ok(S3Response::new(ListPartsOutput {
            parts: Some(parts.collect()),
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            is_truncated: Some(false),
            ..Default::default()
        }))
    }

    async fn list_multipart_uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
    ) -> Answer<ListMultipartUploadsOutput> {
        let input = req.input;
        let (bucket, prefix) = (input.bucket.clone(), input.prefix.clone().unwrap_or_default());
        let found = self.with(move |disk| disk.unfinished(&bucket, &prefix)).await?;
        let uploads = found.into_iter().map(|upload| MultipartUpload {
            upload_id: Some(upload.id),
            key: Some(upload.key),
            initiated: Some(upload.begun),
            ..Default::default()
        });
        Ok(S3Response::new(ListMultipartUploadsOutput {
            uploads: Some(uploads.collect()),
            bucket: Some(input.bucket),
            prefix: input.prefix,
            is_truncated: Some(false),
            ..Default::default()
        }))
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> Answer<CompleteMultipartUploadOutput> {
        let input = req.input;
        let (bucket, key) = (input.bucket.clone(), input.key.clone());
        let facts = self
            .with(move |disk| {
                let named = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
                let condition = Condition { if_match: input.if_match, if_none_match: input.if_none_match };
                disk.complete_upload(&input.bucket, &input.key, &input.upload_id, &named, &condition)
            })
            .await?;
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            bucket: Some(bucket),
            key: Some(key),
            e_tag: Some(facts.etag),
            ..Default::default()
        }))
    }

    /// There are no such rules here: what was kept stays until somebody removes it.
    async fn get_bucket_lifecycle_configuration(
        &self,
        _: S3Request<GetBucketLifecycleConfigurationInput>,
    ) -> Answer<GetBucketLifecycleConfigurationOutput> {
        Err(s3_error!(NoSuchLifecycleConfiguration, "no rule removes anything"))
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> Answer<AbortMultipartUploadOutput> {
        let input = req.input;
        self.with(move |disk| disk.abort_upload(&input.bucket, &input.key, &input.upload_id)).await?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }
}
