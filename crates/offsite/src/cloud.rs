//! A configured cloud as an object store: the door only, nothing is read or written here.
//!
//! Credentials come from where the configuration says and from nowhere else: object_store's own search (instance metadata, profiles) would
//! make a wrong configuration hang for minutes instead of failing at once.

use std::{sync::Arc, time::Duration};

use object_store::{ClientOptions, ObjectStore, RetryConfig, aws::AmazonS3Builder, path::Path, prefix::PrefixStore};
use offsite_repository::{LocalError, LocalStore};

use crate::config::{Cloud, CloudUrl, CredentialsError, PlaceName};

/// Longest request, its body included: a pack of 32 MiB at half a megabit a second. The library's 30 s would never let it through.
const REQUEST: Duration = Duration::from_secs(600);
const CONNECT: Duration = Duration::from_secs(15);
/// How long a request is tried again; what fails longer is tried by the next run.
const RETRY: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
pub(crate) enum CloudError {
    #[error("cannot open the cloud {cloud}")]
    Credentials { cloud: PlaceName, source: CredentialsError },
    #[error("cannot open the cloud {cloud} at {url}")]
    Store { cloud: PlaceName, url: String, source: object_store::Error },
    /// The folder of a `file://` cloud is not there: its disk may not be mounted.
    #[error("cannot open the cloud {cloud} at {url}")]
    Folder { cloud: PlaceName, url: String, source: LocalError },
}

/// Opens the store of `cloud`. A `file://` folder must exist, because an unmounted disk must not be mistaken for an empty one.
pub(crate) fn open(cloud: &Cloud) -> Result<Arc<dyn ObjectStore>, CloudError> {
    match &cloud.url {
        CloudUrl::File(folder) => match LocalStore::open(folder) {
            Ok(store) => Ok(Arc::new(store)),
            Err(source) => Err(CloudError::Folder { cloud: cloud.name.clone(), url: cloud.url.to_string(), source }),
        },
        CloudUrl::S3 { bucket, prefix } => {
            let keys = cloud.credentials.load().map_err(|source| CloudError::Credentials { cloud: cloud.name.clone(), source })?;
            let mut builder = AmazonS3Builder::new()
                .with_client_options(ClientOptions::new().with_timeout(REQUEST).with_connect_timeout(CONNECT))
                .with_retry(RetryConfig { max_retries: 5, retry_timeout: RETRY, ..RetryConfig::default() })
                .with_bucket_name(bucket)
                .with_region(cloud.region.as_deref().unwrap_or("us-east-1"))
                .with_access_key_id(&keys.access_key_id)
                .with_secret_access_key(keys.secret_access_key.as_str());
            if let Some(endpoint) = &cloud.endpoint {
                builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
            }
            if let Some(token) = &keys.session_token {
                builder = builder.with_token(token.as_str());
            }
            let store =
                builder.build().map_err(|source| CloudError::Store { cloud: cloud.name.clone(), url: cloud.url.to_string(), source })?;
            Ok(if prefix.is_empty() { Arc::new(store) } else { Arc::new(PrefixStore::new(store, Path::from(prefix.as_str()))) })
        }
    }
}
