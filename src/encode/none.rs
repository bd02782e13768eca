//! In place of Avro, where it is not built in: nothing that anybody can have.

use super::{Join, Json, Style};
use crate::base::time::Nanos;
use crate::record::Schema;
use std::io::{self, Read, Seek};
use std::sync::Arc;

/// A writer that nobody can make.
#[derive(Clone, Debug)]
pub enum Avro {}

/// None.
pub fn describe(_: &Schema, _: &Style) -> Option<String> {
    None
}

/// None.
pub fn json(_: Arc<Schema>, _: &Style) -> Option<Json> {
    None
}

impl Avro {
    /// None.
    pub fn new(_: Arc<Schema>, _: &Style) -> Option<Self> {
        None
    }

    /// None.
    pub fn bare(_: Arc<Schema>, _: &Style) -> Option<Self> {
        None
    }

    /// Never called, as are the others.
    pub fn header(&self, _: &mut Vec<u8>) {
        match *self {}
    }

    /// See [`header`](Self::header).
    ///
    /// # Errors
    /// None.
    pub fn join(&mut self, _: &mut (impl Read + Seek), _: u64) -> io::Result<Join> {
        match *self {}
    }

    /// See [`header`](Self::header).
    pub fn rows(&mut self, _: &[u64], _: Nanos, _: &mut Vec<u8>) {
        match *self {}
    }

    /// See [`header`](Self::header).
    pub fn init(&mut self, _: &str) {
        match *self {}
    }

    /// See [`header`](Self::header).
    pub fn close(&mut self, _: &str, _: u64, _: u64) {
        match *self {}
    }

    /// See [`header`](Self::header).
    pub fn settle(&mut self, _: &mut Vec<u8>) {
        match *self {}
    }

    /// See [`header`](Self::header).
    pub fn adopt(&mut self, _: Arc<Schema>) {
        match *self {}
    }

    /// See [`header`](Self::header).
    pub fn border(&self) -> [u8; 16] {
        match *self {}
    }

    /// See [`header`](Self::header).
    pub fn border_with(&mut self, _: [u8; 16]) {
        match *self {}
    }

    /// See [`header`](Self::header).
    pub fn forget(&mut self) {
        match *self {}
    }
}
