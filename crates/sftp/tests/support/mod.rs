//! What the tests share: servers, targets, a relay that breaks links, content.
#![allow(dead_code, unreachable_pub, reason = "a module of several tests, none of which uses everything")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener as StdListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use offsite_sftp::server::{Access, EmbeddedServer, Limits, Options};
use offsite_sftp::{Auth, PublicKey, SftpStore, Target, keys};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A folder for keys and known hosts, and the client's key in it.
pub struct Client {
    pub dir: TempDir,
    pub key: PathBuf,
    pub public: PublicKey,
    pub known_hosts: PathBuf,
}

impl Client {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("id");
        let public = keys::generate_key_file(&key, "test").unwrap();
        let known_hosts = dir.path().join("known_hosts");
        Self { dir, key, public, known_hosts }
    }

    /// A target whose host key is on file.
    pub fn target(&self, port: u16, host_key: &PublicKey, user: &str, root: &str) -> Target {
        let line = format!("{}\n", keys::known_hosts_line("127.0.0.1", port, host_key));
        let old = fs::read_to_string(&self.known_hosts).unwrap_or_default();
        fs::write(&self.known_hosts, old + &line).unwrap();
        self.stranger(port, user, root)
    }

    /// A target whose host key is not on file.
    pub fn stranger(&self, port: u16, user: &str, root: &str) -> Target {
        let auth = Auth::KeyFile { path: self.key.clone(), passphrase: None };
        let mut target = Target::new("127.0.0.1", user, root, self.known_hosts.clone(), auth);
        target.port = port;
        target
    }
}

/// An embedded server over a folder of its own, and a client that may use it.
pub struct Embedded {
    pub server: EmbeddedServer,
    pub root: TempDir,
    pub client: Client,
}

impl Embedded {
    pub async fn start(access: Access, extensions: bool) -> Self {
        Self::start_with(access, extensions.then(Limits::default)).await
    }

    pub async fn start_with(access: Access, extensions: Option<Limits>) -> Self {
        let client = Client::new();
        let root = tempfile::tempdir().unwrap();
        let options = Options { access, extensions, ..Options::default() };
        let server = EmbeddedServer::start_with(root.path(), &client.public, options).await.unwrap();
        Self { server, root, client }
    }

    pub fn target(&self) -> Target {
        self.client.target(self.server.port(), self.server.host_key(), "anyone", "/")
    }

    pub async fn store(&self) -> SftpStore {
        SftpStore::connect(&self.target()).await.unwrap()
    }

    /// A store that reaches the server over `relay`.
    pub async fn store_over(&self, relay: &Relay) -> SftpStore {
        SftpStore::connect(&self.client.target(relay.port, self.server.host_key(), "anyone", "/")).await.unwrap()
    }
}

/// A real sshd with a configuration of its own, ended on drop.
pub struct Sshd {
    child: Child,
    pub port: u16,
    pub host_key: PublicKey,
    pub user: String,
    pub client: Client,
    pub root: TempDir,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Sshd {
    /// `None`, with a printed reason, where there is no sshd that can be run here.
    pub fn start() -> Option<Self> {
        Self::start_with("")
    }

    /// As [`Sshd::start`], with further lines of its configuration.
    pub fn start_with(more: &str) -> Option<Self> {
        let found =
            std::env::var_os("OFFSITE_SSHD").map(PathBuf::from).into_iter().chain([PathBuf::from("/usr/sbin/sshd")]).find(|p| p.exists());
        let Some(sshd) = found else {
            println!("skipped: no sshd here (OFFSITE_SSHD may name one)");
            return None;
        };
        let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap().trim().to_owned();
        if user == "root" && !Path::new("/run/sshd").is_dir() && !Path::new("/var/empty").is_dir() {
            println!("skipped: sshd as root needs its empty folder /run/sshd");
            return None;
        }
        let client = Client::new();
        let root = tempfile::tempdir().unwrap();
        let dir = client.dir.path();
        let host_key = keys::generate_key_file(&dir.join("host"), "").unwrap();
        fs::write(dir.join("authorized"), format!("{}\n", keys::public_line(&client.public))).unwrap();
        fs::set_permissions(dir.join("authorized"), fs::Permissions::from_mode(0o600)).unwrap();
        for _ in 0..5 {
            let port = StdListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
            let config = format!(
                "ListenAddress 127.0.0.1\nPort {port}\nHostKey {0}/host\nAuthorizedKeysFile {0}/authorized\nPidFile none\nUsePAM no\n\
                 StrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n\
                 MaxStartups 200\nSubsystem sftp internal-sftp\n{more}",
                dir.display()
            );
            fs::write(dir.join("sshd_config"), config).unwrap();
            let mut child = Command::new(&sshd)
                .args(["-D", "-e", "-f"])
                .arg(dir.join("sshd_config"))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let mut log = BufReader::new(child.stderr.take().unwrap());
            let mut said = String::new();
            let mut listening = false;
            while !listening {
                let mut line = String::new();
                if log.read_line(&mut line).unwrap() == 0 {
                    break;
                }
                listening = line.contains("Server listening");
                said.push_str(&line);
            }
            if listening {
                let log = std::thread::spawn(move || {
                    let mut rest = String::new();
                    let _ = log.read_to_string(&mut rest);
                    rest
                });
                let mut sshd = Self { child, port, host_key, user, client, root };
                if sshd.lets_in() {
                    return Some(sshd);
                }
                let _ = sshd.child.kill();
                let said = log.join().unwrap();
                // System accounts often are; this is between them and sshd.
                assert!(said.contains("account is locked"), "sshd lets nobody in: {said}");
                println!("skipped: to sshd the account of {} is locked", sshd.user);
                return None;
            }
            let _ = child.wait();
            // Somebody else may have taken the port in between; anything else is worth seeing.
            assert!(said.contains("already in use"), "sshd does not start: {said}");
        }
        panic!("no free port for sshd");
    }

    /// Asks OpenSSH's client, so that a fault of ours cannot pass for a reason to skip.
    fn lets_in(&self) -> bool {
        let tried = Command::new("ssh")
            .args(["-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"])
            .args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o"])
            .arg(format!("Port={}", self.port))
            .arg("-i")
            .arg(&self.client.key)
            .args([&format!("{}@127.0.0.1", self.user), "-s", "sftp"])
            .stdin(Stdio::null())
            .output();
        // Where there is no such client, our own tests must tell.
        tried.map_or(true, |output| output.status.success())
    }

    pub fn target(&self) -> Target {
        self.client.target(self.port, &self.host_key, &self.user, self.root.path().to_str().unwrap())
    }

    pub async fn store(&self) -> SftpStore {
        SftpStore::connect(&self.target()).await.unwrap()
    }

    /// The process that listens.
    pub fn pid(&self) -> i32 {
        self.child.id().try_into().unwrap()
    }

    /// Ends it; connections that there are live on.
    pub fn end(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// What becomes of a connection through the relay.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    /// Nothing happens to it.
    Lives,
    /// It is cut once this many bytes came from the server.
    Cut(u64),
    /// Nothing passes any more once this many bytes came from the server.
    Frozen(u64),
    /// Once `down` bytes came from the server, no more pass until `up` bytes came from the client.
    Held { down: u64, up: u64 },
}

/// Passes connections on to a server; the first has the first fate, and so on. The last fate is for all that follow.
pub struct Relay {
    pub port: u16,
    _tasks: JoinSet<()>,
}

impl Relay {
    pub async fn start(to: u16, fates: Vec<Fate>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            for number in 0.. {
                let (client, _) = listener.accept().await.unwrap();
                let fate = *fates.get(number).or(fates.last()).unwrap();
                connections.spawn(pass(client, to, fate));
            }
        });
        Self { port, _tasks: tasks }
    }
}

async fn pass(client: TcpStream, to: u16, fate: Fate) {
    let server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (sent, mut sent_so_far) = watch::channel(0);
    let up = async {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(got @ 1..) = from_client.read(&mut buffer).await {
            sent.send_modify(|sent| *sent += got as u64);
            if to_server.write_all(&buffer[..got]).await.is_err() {
                break;
            }
        }
        let _ = to_server.shutdown().await;
    };
    let down = async {
        let limit = match fate {
            Fate::Lives | Fate::Held { .. } => u64::MAX,
            Fate::Cut(limit) | Fate::Frozen(limit) => limit,
        };
        let mut passed = 0;
        let mut buffer = vec![0; 16 << 10];
        while passed < limit {
            let room = usize::try_from(limit - passed).unwrap_or(usize::MAX).min(buffer.len());
            let Ok(got) = from_server.read(&mut buffer[..room]).await else { break };
            if got == 0 || to_client.write_all(&buffer[..got]).await.is_err() {
                break;
            }
            passed += got as u64;
            if let Fate::Held { down, up } = fate
                && passed >= down
                && sent_so_far.wait_for(|sent| *sent >= up).await.is_err()
            {
                break;
            }
        }
        passed >= limit
    };
    tokio::pin!(up);
    tokio::select! {
        () = &mut up => {}
        reached = down => if reached && matches!(fate, Fate::Frozen(_)) {
            std::future::pending::<()>().await;
        },
    }
}

/// Bytes that look random, the same every time.
pub fn content(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}
