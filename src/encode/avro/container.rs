//! The object container file of Avro: a header with the schema, then blocks, each with a count, a
//! length and a marker behind it.

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

const MAGIC: [u8; 4] = *b"Obj\x01";

/// Longest schema that is believed of a file, in bytes.
const SCHEMA_MAX: u64 = 1 << 20;

/// The marker between blocks: not to be guessed by who chooses texts in the rows, where `seed` is
/// not zero.
pub fn sync(schema: &str, seed: u64) -> [u8; 16] {
    let half = |salt: u64| {
        let start = (seed ^ salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mix = |hash: u64, byte: u8| {
            let hash = (hash ^ u64::from(byte)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            hash ^ hash >> 29
        };
        schema.bytes().fold(start, mix).to_be_bytes()
    };
    let mut sync = [0; 16];
    sync[..8].copy_from_slice(&half(0x5bd1_e995));
    sync[8..].copy_from_slice(&half(0xc2b2_ae35));
    sync
}

/// What a file begins with.
pub fn header(schema: &str, sync: &[u8; 16], out: &mut Vec<u8>) {
    out.extend_from_slice(&MAGIC);
    long(2, out);
    for (key, value) in [("avro.schema", schema), ("avro.codec", "null")] {
        for text in [key, value] {
            long(text.len() as i64, out);
            out.extend_from_slice(text.as_bytes());
        }
    }
    long(0, out);
    out.extend_from_slice(sync);
}

/// A block of `count` records.
pub fn block(count: i64, records: &[u8], sync: &[u8; 16], out: &mut Vec<u8>) {
    long(count, out);
    long(records.len() as i64, out);
    out.extend_from_slice(records);
    out.extend_from_slice(sync);
}

fn long(number: i64, out: &mut Vec<u8>) {
    let mut rest = (number << 1 ^ number >> 63) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// The marker of a file that holds records of `schema`, and the length up to which its blocks are
/// whole: the rest is what a crash left of one. None where it holds anything else.
///
/// # Errors
/// When the file can not be read.
pub fn end(
    file: &mut (impl Read + Seek),
    len: u64,
    schema: &str,
) -> io::Result<Option<([u8; 16], u64)>> {
    file.seek(SeekFrom::Start(0))?;
    let mut walk = Walk {
        file: io::BufReader::new(file),
        at: 0,
    };
    let Some(sync) = held(walk.header(schema))?.flatten() else {
        return Ok(None);
    };
    let mut whole = walk.at;
    while walk.at < len && held(walk.block(len, &sync))? == Some(true) {
        whole = walk.at;
    }
    Ok(Some((sync, whole)))
}

/// What was read, where the file holds it and not something else, or too little.
fn held<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(e) if matches!(e.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData) => Ok(None),
        Err(e) => Err(e),
    }
}

struct Walk<R> {
    file: io::BufReader<R>,
    at: u64,
}

impl<R: Read + Seek> Walk<R> {
    /// The marker, where the file holds records of `schema`.
    fn header(&mut self, schema: &str) -> io::Result<Option<[u8; 16]>> {
        let mut magic = [0; 4];
        self.take(&mut magic)?;
        if magic != MAGIC {
            return Ok(None);
        }
        let (mut held, mut plain) = (Vec::new(), true);
        loop {
            let mut entries = self.long()?;
            if entries == 0 {
                break;
            }
            if entries < 0 {
                self.long()?; // its length in bytes
                entries = entries.saturating_neg();
            }
            for _ in 0..entries {
                let key = self.bytes()?;
                let value = self.bytes()?;
                match key.as_slice() {
                    b"avro.schema" => held = value,
                    b"avro.codec" => plain = value == b"null",
                    _ => {}
                }
            }
        }
        if held != schema.as_bytes() || !plain {
            return Ok(None);
        }
        let mut sync = [0; 16];
        self.take(&mut sync)?;
        Ok(Some(sync))
    }

    fn take(&mut self, into: &mut [u8]) -> io::Result<()> {
        self.file.read_exact(into)?;
        self.at += into.len() as u64;
        Ok(())
    }

    fn long(&mut self) -> io::Result<i64> {
        let (mut number, mut shift) = (0u64, 0);
        loop {
            let mut byte = [0];
            self.take(&mut byte)?;
            number |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] & 0x80 == 0 {
                return Ok((number >> 1) as i64 ^ -((number & 1) as i64));
            }
            shift += 7;
            if shift > 63 {
                return Err(ErrorKind::InvalidData.into());
            }
        }
    }

    fn bytes(&mut self) -> io::Result<Vec<u8>> {
        let len = u64::try_from(self.long()?).unwrap_or(u64::MAX);
        if len > SCHEMA_MAX {
            return Err(ErrorKind::InvalidData.into());
        }
        let mut bytes = vec![0; len as usize];
        self.take(&mut bytes)?;
        Ok(bytes)
    }

    /// Steps over a block; false when it is not whole.
    fn block(&mut self, len: u64, sync: &[u8; 16]) -> io::Result<bool> {
        let count = self.long()?;
        let size = self.long()?;
        let rest = len.saturating_sub(self.at);
        let Some(size) = u64::try_from(size).ok().filter(|size| *size <= rest) else {
            return Ok(false);
        };
        self.file.seek_relative(size as i64)?;
        self.at += size;
        let mut behind = [0; 16];
        self.take(&mut behind)?;
        Ok(count >= 0 && behind == *sync)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    #[test]
    fn numbers_of_variable_length() {
        for (number, want) in [
            (0, &[0][..]),
            (-1, &[1]),
            (1, &[2]),
            (-64, &[0x7f]),
            (64, &[0x80, 1]),
            (i64::MIN, &[255, 255, 255, 255, 255, 255, 255, 255, 255, 1]),
        ] {
            let mut out = Vec::new();
            long(number, &mut out);
            assert_eq!(out, want, "{number}");
        }
    }

    fn file(blocks: usize) -> Vec<u8> {
        let mut out = Vec::new();
        header("\"long\"", &[7; 16], &mut out);
        for n in 0..blocks {
            block(1, &vec![0; n * 100], &[7; 16], &mut out);
        }
        out
    }

    #[test]
    fn the_end_of_a_file_is_its_last_whole_block() {
        let (two, three) = (file(2), file(3));
        for len in two.len()..three.len() {
            let found = end(&mut Cursor::new(&three[..len]), len as u64, "\"long\"").unwrap();
            assert_eq!(found, Some(([7; 16], two.len() as u64)));
        }
        // What a crash leaves behind a block may be anything: no number is that long.
        let torn = [&two[..], &[0xff; 40]].concat();
        for (bytes, whole) in [(three, None), (torn, Some(two.len()))] {
            let whole = whole.unwrap_or(bytes.len()) as u64;
            let found = end(&mut Cursor::new(&bytes), bytes.len() as u64, "\"long\"").unwrap();
            assert_eq!(found, Some(([7; 16], whole)));
        }
    }

    #[test]
    fn what_holds_anything_else_is_foreign() {
        let some = file(1);
        for (bytes, schema) in [
            (&some[..], "\"int\""),
            (b"TAG,BYTES\n", "\"long\""),
            (b"Ob", "\"long\""),
            (&some[..20], "\"long\""),
            (&[&some[..4], &[0xff; 40]].concat()[..], "\"long\""),
        ] {
            let found = end(&mut Cursor::new(bytes), bytes.len() as u64, schema).unwrap();
            assert_eq!(found, None);
        }
    }

    proptest! {
        #[test]
        fn whatever_is_there_is_read_within_bounds(
            bytes: Vec<u8>, cut in 0usize..200, at in 0usize..200, byte: u8
        ) {
            let mut damaged = file(3);
            damaged.truncate(damaged.len().saturating_sub(cut));
            let at = at % damaged.len().max(1);
            if let Some(place) = damaged.get_mut(at) { *place = byte; }
            for bytes in [bytes, damaged] {
                let len = bytes.len() as u64;
                // Errors are those of the file, and this one has none.
                if let Some((_, end)) = end(&mut Cursor::new(&bytes), len, "\"long\"").unwrap() {
                    prop_assert!(end <= len);
                }
            }
        }

        #[test]
        fn seeds_and_schemas_make_other_markers(a: u64, b: u64) {
            prop_assume!(a != b);
            prop_assert_ne!(sync("x", a), sync("x", b));
            prop_assert_ne!(sync("x", a), sync("y", a));
        }
    }
}
