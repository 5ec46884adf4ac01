//! A line between the Mac and something that listens, which can be cut.
//!
//! It counts what comes from the far side, because a test that cuts after so many bytes cuts at the same place every time, where one
//! that cuts after so many seconds does not.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

/// A relay to a port of 127.0.0.1.
#[derive(Debug)]
pub struct Link {
    own: SocketAddr,
    state: Arc<Mutex<State>>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    /// Nothing passes, and what connects is dropped at once.
    cut: bool,
    /// The relay ends.
    over: bool,
    /// How many more bytes may come from the far side before the line is cut by itself.
    left: Option<u64>,
    /// How many have come.
    passed: u64,
    /// How many connections were made through it.
    connections: u64,
    /// Both ends of every connection, to shut them.
    open: Vec<TcpStream>,
}

impl State {
    fn cut(&mut self) {
        self.cut = true;
        self.left = None;
        for stream in self.open.drain(..) {
            // One that its peer has closed already cannot be shut again; it is as closed as it should be.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Link {
    /// A line to `port`.
    #[must_use]
    pub fn to(port: u16) -> Self {
        Self::at(Ipv4Addr::LOCALHOST, port)
    }

    /// A line to `port` of 127.0.0.1 that begins at another address of this machine.
    #[must_use]
    pub fn at(address: Ipv4Addr, port: u16) -> Self {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let own = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let acceptor = std::thread::spawn(move || accept(&listener, port, &shared));
        Self { own, state, acceptor: Some(acceptor) }
    }

    /// The port to connect to instead.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.own.port()
    }

    /// Cuts the line: every connection ends, and new ones are dropped until [`Link::join`].
    pub fn cut(&self) {
        lock(&self.state).cut();
    }

    /// Lets exactly `bytes` more come from the far side, and then cuts the line.
    pub fn cut_after(&self, bytes: u64) {
        lock(&self.state).left = Some(bytes);
    }

    /// The line is whole again.
    pub fn join(&self) {
        let mut state = lock(&self.state);
        state.cut = false;
        state.left = None;
    }

    /// How many bytes came from the far side so far.
    #[must_use]
    pub fn passed(&self) -> u64 {
        lock(&self.state).passed
    }

    /// Waits until the line is cut, by itself or by another thread.
    pub fn wait_until_cut(&self) {
        crate::until("the line is cut", || self.is_cut());
    }

    /// How many connections were made through it so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        lock(&self.state).connections
    }

    /// Waits until so many bytes have come from the far side.
    pub fn wait_for(&self, bytes: u64) {
        crate::until(&format!("{bytes} bytes have come over the line"), || self.passed() >= bytes);
    }

    /// Is the line cut?
    #[must_use]
    pub fn is_cut(&self) -> bool {
        lock(&self.state).cut
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        {
            let mut state = lock(&self.state);
            state.cut();
            state.over = true;
        }
        // The acceptor sits in accept(); one more connection lets it see that it is over.
        let woken = TcpStream::connect(self.own).is_ok();
        if let Some(acceptor) = self.acceptor.take().filter(|_| woken) {
            let _ = acceptor.join();
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn accept(listener: &TcpListener, port: u16, state: &Arc<Mutex<State>>) {
    for near in listener.incoming() {
        let Ok(near) = near else { continue };
        let mut now = lock(state);
        if now.over {
            return;
        }
        if now.cut {
            continue;
        }
        // A far side that is away is a connection that ends at once.
        let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { continue };
        let _ = (near.set_nodelay(true), far.set_nodelay(true));
        now.connections += 1;
        now.open.extend([near.try_clone().unwrap(), far.try_clone().unwrap()]);
        drop(now);
        let (near2, far2) = (near.try_clone().unwrap(), far.try_clone().unwrap());
        let counted = Arc::clone(state);
        std::thread::spawn(move || relay(far, near, Some(&counted)));
        std::thread::spawn(move || relay(near2, far2, None));
    }
}

/// Passes bytes on until one side ends, then ends the other's direction.
fn relay(mut from: TcpStream, mut to: TcpStream, counted: Option<&Mutex<State>>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(got) = from.read(&mut buffer)
        && got > 0
    {
        let bytes = &buffer[..got];
        let passed = match counted {
            Some(state) => pass(&mut to, bytes, state),
            None => to.write_all(bytes),
        };
        if passed.is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// Passes on as many of `bytes` as may still come, and cuts the line at the last.
fn pass(to: &mut TcpStream, bytes: &[u8], state: &Mutex<State>) -> io::Result<()> {
    let mut now = lock(state);
    if now.cut {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    let may = now.left.map_or(bytes.len(), |left| usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len()));
    now.passed += may as u64;
    now.left = now.left.map(|left| left - may as u64);
    if now.left == Some(0) {
        // The lock is kept: nothing may pass on another connection between the last byte and the cut.
        let last = to.write_all(&bytes[..may]);
        now.cut();
        return last.and(Err(io::ErrorKind::BrokenPipe.into()));
    }
    drop(now);
    to.write_all(&bytes[..may])
}
