//! The object container file of Avro: a header with the schema, then blocks, each with a count, a
//! length and a marker behind it.

use std::io::{self, Read, Seek, SeekFrom};

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
/// whole: the rest is what a crash left of one.
///
/// # Errors
/// When the file can not be read, or is no container of such records.
pub fn end(file: &mut (impl Read + Seek), len: u64, schema: &str) -> io::Result<([u8; 16], u64)> {
    file.seek(SeekFrom::Start(0))?;
    let mut walk = Walk {
        file: io::BufReader::new(file),
        at: 0,
    };
    let foreign = |why: &str| io::Error::other(format!("it is there and {why}"));
    let mut magic = [0; 4];
    walk.take(&mut magic)?;
    if magic != MAGIC {
        return Err(foreign("no Avro container"));
    }
    let (mut held, mut plain) = (Vec::new(), true);
    loop {
        let mut entries = walk.long()?;
        if entries == 0 {
            break;
        }
        if entries < 0 {
            walk.long()?; // its length in bytes
            entries = entries.saturating_neg();
        }
        for _ in 0..entries {
            let key = walk.bytes()?;
            let value = walk.bytes()?;
            match key.as_slice() {
                b"avro.schema" => held = value,
                b"avro.codec" => plain = value == b"null",
                _ => {}
            }
        }
    }
    if held != schema.as_bytes() || !plain {
        return Err(foreign("holds other columns"));
    }
    let mut sync = [0; 16];
    walk.take(&mut sync)?;
    let mut whole = walk.at;
    while walk.at < len {
        match walk.block(len, &sync) {
            Ok(true) => whole = walk.at,
            Ok(false) => break,
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => break,
            Err(e) => return Err(e),
        }
    }
    Ok((sync, whole))
}

struct Walk<R> {
    file: io::BufReader<R>,
    at: u64,
}

impl<R: Read + Seek> Walk<R> {
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
                return Err(io::Error::other("it is no Avro container"));
            }
        }
    }

    fn bytes(&mut self) -> io::Result<Vec<u8>> {
        let len = u64::try_from(self.long()?).unwrap_or(u64::MAX);
        if len > SCHEMA_MAX {
            return Err(io::Error::other("it is there and holds other columns"));
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
            assert_eq!(found, ([7; 16], two.len() as u64));
        }
        let len = three.len() as u64;
        assert_eq!(
            end(&mut Cursor::new(&three), len, "\"long\"").unwrap().1,
            len
        );
        for (bytes, schema, part) in [
            (&three[..], "\"int\"", "other columns"),
            (b"TAG,BYTES\n", "\"long\"", "no Avro container"),
        ] {
            let why = end(&mut Cursor::new(bytes), bytes.len() as u64, schema).unwrap_err();
            assert!(why.to_string().contains(part), "{why}");
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
                if let Ok((_, end)) = end(&mut Cursor::new(&bytes), len, "\"long\"") {
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
