//! Threads that hash, compress and check frames, and give them back in order.
//!
//! Invariants: what comes out is in the order of what went in, whatever the number of threads, so the archive is the same for any; and
//! the bytes under way are bounded ([`LIMIT`]), so memory does not grow when the disk is faster than the processors. Whether a chunk is
//! known is asked between hashing and compressing, by the thread that has it in its cache.

use std::{
    collections::VecDeque,
    fs::File,
    os::unix::fs::FileExt,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, Sender},
    },
    thread::JoinHandle,
};

use super::{CaptureError, CaptureOptions};
use crate::{
    Compressor, Decoder, FrameId,
    stock::{Form, Held, Ids, Sum, sum},
};

/// Raw bytes under way at most, unless it is a single chunk.
const LIMIT: usize = 8 << 20;

/// Work for a thread.
pub(super) enum Job {
    /// A new chunk: hash it, and make a frame of it unless it is known.
    Chunk(Vec<u8>),
    /// A frame at hand: fetch it, check it, and make a frame of it if it lies there raw.
    Held(Arc<File>, Held),
}

impl Job {
    /// Raw bytes of it.
    pub(super) fn raw(&self) -> usize {
        match self {
            Self::Chunk(chunk) => chunk.len(),
            Self::Held(_, held) => held.raw as usize,
        }
    }
}

/// What became of a job.
pub(super) struct Done {
    pub(super) id: FrameId,
    pub(super) raw: u32,
    pub(super) made: Made,
    /// Whether it was compressed for this: nobody had it.
    pub(super) fresh: bool,
}

/// What a thread has made.
pub(super) enum Made {
    /// Nothing: there is such a frame.
    Known(u32),
    /// A zstd frame with its sum.
    Frame(Vec<u8>, Sum),
    /// Nothing, because nobody wants it compressed now.
    Raw(Vec<u8>),
}

type Answer = Result<Done, CaptureError>;

/// The threads.
pub(super) struct Pool {
    jobs: Option<Sender<(Job, Sender<Answer>)>>,
    under_way: VecDeque<(Receiver<Answer>, usize)>,
    bytes: usize,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// Threads as the options say. Chunks in `ids` are not compressed; with `compress` false none is.
    pub(super) fn new(options: &CaptureOptions, ids: &Ids, compress: bool) -> Result<Self, CaptureError> {
        let (sender, receiver) = mpsc::channel::<(Job, Sender<Answer>)>();
        let receiver = Arc::new(Mutex::new(receiver));
        let mut threads = Vec::new();
        for _ in 0..options.threads.max(1) {
            let mut hand = Hand::new(options, ids, compress)?;
            let receiver = receiver.clone();
            threads.push(std::thread::spawn(move || {
                loop {
                    let next = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((job, answer)) = next else { return };
                    // Nobody listens when the capture was given up.
                    drop(answer.send(hand.work(job)));
                }
            }));
        }
        Ok(Self { jobs: Some(sender), under_way: VecDeque::new(), bytes: 0, threads })
    }

    /// Whether what is under way has to be taken before `more` raw bytes are handed in.
    pub(super) fn is_full(&self, more: usize) -> bool {
        !self.under_way.is_empty() && self.bytes + more > LIMIT
    }

    /// Hands in a job.
    pub(super) fn push(&mut self, job: Job) -> Result<(), CaptureError> {
        let bytes = job.raw();
        let (answer, receiver) = mpsc::channel();
        let jobs = self.jobs.as_ref().ok_or(CaptureError::Thread)?;
        jobs.send((job, answer)).map_err(|_| CaptureError::Thread)?;
        self.under_way.push_back((receiver, bytes));
        self.bytes += bytes;
        Ok(())
    }

    /// The result of the oldest job; waits for it. None when nothing is under way.
    pub(super) fn next(&mut self) -> Option<Answer> {
        let (receiver, bytes) = self.under_way.pop_front()?;
        self.bytes -= bytes;
        Some(receiver.recv().unwrap_or(Err(CaptureError::Thread)))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.jobs = None;
        self.under_way.clear();
        for thread in self.threads.drain(..) {
            // A thread that died has answered with an error already, or nobody asked it.
            drop(thread.join());
        }
    }
}

/// One thread's tools.
pub(super) struct Hand {
    compressor: Compressor,
    decoder: Decoder,
    ids: Ids,
    compress: bool,
}

impl Hand {
    /// Tools for chunks in `ids`, which are not compressed; with `compress` false none is.
    pub(super) fn new(options: &CaptureOptions, ids: &Ids, compress: bool) -> Result<Self, CaptureError> {
        Ok(Self {
            compressor: Compressor::new(options.level).map_err(CaptureError::Frame)?,
            decoder: Decoder::new().map_err(CaptureError::Frame)?,
            ids: ids.clone(),
            compress,
        })
    }

    /// Does a job.
    pub(super) fn work(&mut self, job: Job) -> Result<Done, CaptureError> {
        match job {
            Job::Chunk(chunk) => {
                // Bounded by the chunker's maximum.
                let (id, raw) = (FrameId::of(&chunk), chunk.len() as u32);
                let made = match self.ids.get(&id) {
                    Some(number) => Made::Known(number),
                    None if self.compress => self.frame(&chunk)?,
                    None => Made::Raw(chunk),
                };
                let fresh = matches!(made, Made::Frame(..));
                Ok(Done { id, raw, made, fresh })
            }
            Job::Held(file, held) => {
                let damaged = |reason: String| CaptureError::Damaged { id: held.id, reason };
                let mut bytes = vec![0; held.len as usize];
                file.read_exact_at(&mut bytes, held.at).map_err(|cause| damaged(cause.to_string()))?;
                let found = sum(&bytes);
                let made = match held.form {
                    Form::Frame(Some(expected)) if found == expected => Made::Frame(bytes, found),
                    Form::Frame(Some(_)) => return Err(damaged("its bytes have changed".into())),
                    Form::Frame(None) => {
                        self.decoder.decode(&bytes, &held.id, held.raw).map_err(|error| damaged(error.to_string()))?;
                        Made::Frame(bytes, found)
                    }
                    Form::Raw if FrameId::of(&bytes) == held.id => self.frame(&bytes)?,
                    Form::Raw => return Err(damaged("its bytes have changed".into())),
                    // The assembler never asks for it: there is nothing to fetch.
                    Form::InPlace => return Err(damaged("it lies in no file".into())),
                };
                Ok(Done { id: held.id, raw: held.raw, made, fresh: held.is_new() })
            }
        }
    }

    fn frame(&mut self, chunk: &[u8]) -> Result<Made, CaptureError> {
        let frame = self.compressor.compress(chunk).map_err(CaptureError::Frame)?;
        let sum = sum(&frame);
        Ok(Made::Frame(frame, sum))
    }
}
