//! Frames of rows: whatever the bytes, they are refused or read, and what was read, written again
//! and read again, is the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir::encode::binary::{Batch, WORDS_MAX, read::Reader, write};

fuzz_target!(|bytes: &[u8]| {
    let Ok(frame) = Reader::default().read(bytes) else {
        return;
    };
    let schema = &frame.schema;
    assert!(frame.words.len() <= WORDS_MAX);
    assert_eq!(frame.words.len() % schema.row_words().max(1), 0);
    let batch = Batch {
        maker: &frame.maker,
        id: frame.id,
        schema,
        bin: frame.bin,
        flushed: frame.flushed,
        last: frame.last,
        words: &frame.words,
    };
    let mut again = Vec::new();
    write(&batch, &mut again).expect("what was read can be written");
    let second = Reader::default()
        .read(&again)
        .expect("what was written can be read");
    assert_eq!(second.id, frame.id);
    assert!(second.schema.is_like(schema));
    let mut third = Vec::new();
    let batch = Batch {
        schema: &second.schema,
        words: &second.words,
        ..batch
    };
    write(&batch, &mut third).expect("again");
    assert_eq!(again, third);
});
