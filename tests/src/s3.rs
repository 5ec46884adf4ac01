//! A cloud: an S3 server that behaves as cold storage does (`lab/s3.py`), and what a story may do behind its back.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::http;
use crate::part::script;
use crate::tied::Tied;

/// A running server with one bucket.
#[derive(Debug)]
pub struct S3 {
    _tied: Tied,
    port: u16,
}

/// An object as the server holds it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stored {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its storage class.
    pub class: String,
}

impl S3 {
    /// The bucket's name.
    pub const BUCKET: &str = "offsite";

    pub(crate) fn start(python: &Path, dir: &Path) -> Self {
        let mut command = Command::new(python);
        command.arg(script("s3.py")).args(["--bucket", Self::BUCKET, "--key", "lab"]);
        let (tied, port) = Tied::listening(command, &dir.join("s3.log"));
        Self { _tied: tied, port }
    }

    /// The port it listens at on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's address.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What a client needs in its environment.
    #[must_use]
    pub fn env(&self) -> [(&'static str, String); 5] {
        [
            ("AWS_ACCESS_KEY_ID", "lab".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "lab".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ENDPOINT", self.endpoint()),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
        ]
    }

    /// Lets coming requests go wrong; `lab/s3.py` says how.
    pub fn fault(&self, fault: &Value) {
        let _ = http::call(self.port, "POST", "/_fault", Some(fault));
    }

    /// The requests so far: method, and path with query.
    #[must_use]
    pub fn requests(&self) -> Vec<(String, String)> {
        serde_json::from_value(http::call(self.port, "GET", "/_log", None)).unwrap()
    }

    /// All objects, by key.
    #[must_use]
    pub fn objects(&self) -> Vec<Stored> {
        let Value::Array(all) = http::call(self.port, "GET", "/_objects", None) else { panic!("the server's list is none") };
        let text = |v: &Value| v.as_str().unwrap().to_owned();
        all.iter().map(|o| Stored { key: text(&o["key"]), size: o["size"].as_u64().unwrap(), class: text(&o["class"]) }).collect()
    }

    /// Flips one bit of byte `at` of an object.
    pub fn damage(&self, key: &str, at: u64) {
        let _ = http::call(self.port, "POST", "/_damage", Some(&json!({ "key": key, "at": at })));
    }

    /// Loses an object.
    pub fn lose(&self, key: &str) {
        let _ = http::call(self.port, "POST", "/_lose", Some(&json!({ "key": key })));
    }
}
