//! Lines to standard output: buffered, in columns batch by batch, and quiet when nobody reads on.

use std::io::{self, BufWriter, Stdout, Write};

use serde::Serialize;

use crate::{
    exit::Exit,
    human::{Align, table},
};

/// Rows whose columns are made to agree; memory stays small, and the first rows come soon.
const BATCH: usize = 1000;

#[derive(Debug, thiserror::Error)]
pub(crate) enum OutError {
    #[error("nobody reads the output any more")]
    Closed,
    #[error("cannot write to standard output")]
    Write(#[source] io::Error),
}

impl From<io::Error> for OutError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::Closed } else { Self::Write(error) }
    }
}

/// A verb's result, where a reader that went away (`| head`) is no failure.
pub(crate) fn quiet(result: anyhow::Result<Exit>) -> anyhow::Result<Exit> {
    match result {
        Err(error) if error.chain().any(|cause| matches!(cause.downcast_ref(), Some(OutError::Closed))) => Ok(Exit::Fine),
        result => result,
    }
}

pub(crate) struct Out {
    to: BufWriter<Stdout>,
    columns: &'static [Align],
    rows: Vec<Vec<String>>,
}

impl Out {
    /// Output whose rows have `columns`.
    pub(crate) fn new(columns: &'static [Align]) -> Self {
        Self { to: BufWriter::new(io::stdout()), columns, rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) -> Result<(), OutError> {
        self.rows.push(cells);
        if self.rows.len() == BATCH { self.settle() } else { Ok(()) }
    }

    /// A line without columns; those before it are written first.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), OutError> {
        self.settle()?;
        Ok(writeln!(self.to, "{text}")?)
    }

    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), OutError> {
        let text = serde_json::to_string(value).map_err(|error| OutError::Write(error.into()))?;
        self.line(&text)
    }

    /// Writes the rows so far; those that follow have columns of their own.
    pub(crate) fn settle(&mut self) -> Result<(), OutError> {
        let rows = std::mem::take(&mut self.rows);
        Ok(self.to.write_all(table(self.columns, &rows).as_bytes())?)
    }

    pub(crate) fn finish(mut self) -> Result<(), OutError> {
        self.settle()?;
        Ok(self.to.flush()?)
    }
}
