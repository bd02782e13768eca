//! [`Verdict`]: which records an aggregation takes, by their tags and labels.
//!
//! A list of terms is read from left to right, as pmacct reads it: a term that hits takes the
//! record; a turned term refuses it when it hits, and takes it at once when it does not, so that
//! what stands behind a turned term is never read. When no term decides, the record is refused.

use super::map::value;
use crate::base::intern::{Interner, Sym};
use crate::base::text::nearest;
use crate::record::{Batch, Field, FieldSet, FlowRecord};
use std::sync::Arc;

/// Tags that a term means, and whether it is turned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    turned: bool,
    first: u64,
    last: u64,
}

/// A list of tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags(Vec<Range>);

/// A list of labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(Vec<(bool, String)>);

impl Tags {
    /// Adds a term: `N`, `N-M`, a `-` before it turns it; 0 is no tag.
    ///
    /// # Errors
    /// What it takes.
    pub fn push(&mut self, term: &str) -> Result<(), String> {
        let Some((turned, first, last)) = value::range(term.trim()) else {
            return Err(format!(
                "is {term:?}; it takes tags and ranges like \"10\", \"100-199\", or \"-10\" for \
                 all but 10; 0 is no tag"
            ));
        };
        self.0.push(Range {
            turned,
            first,
            last,
        });
        Ok(())
    }

    fn takes(&self, tag: u64) -> bool {
        let terms = self.0.iter();
        decide(terms.map(|t| (t.turned, (t.first..=t.last).contains(&tag))))
    }
}

/// The word for records without a label.
const NULL: &str = "null";

impl Labels {
    /// Adds a term: a label, `null` for none; a `-` before it turns it.
    ///
    /// # Errors
    /// What it takes.
    pub fn push(&mut self, term: &str) -> Result<(), String> {
        let (turned, label) = match term.trim().strip_prefix('-') {
            Some(label) => (true, label),
            None => (false, term.trim()),
        };
        if label.is_empty() || label.contains(',') {
            return Err(format!(
                "is {term:?}; it takes one label, or \"null\" for none, each by itself"
            ));
        }
        self.0.push((turned, label.into()));
        Ok(())
    }

    /// Any of the labels of a record, which have commas between them, will do.
    fn takes(&self, labels: &str) -> bool {
        let hits = |label: &str| match labels {
            "" => label == NULL,
            labels => labels.split(',').any(|one| one == label),
        };
        decide(self.0.iter().map(|(turned, label)| (*turned, hits(label))))
    }

    /// A label that is nearly `null`, which is most likely meant.
    pub fn doubtful(&self) -> Option<&str> {
        let mut labels = self.0.iter().map(|(_, label)| label.as_str());
        labels.find(|label| *label != NULL && nearest(label, [NULL]).is_some())
    }
}

/// The verdict of terms, each as whether it is turned and whether it hits.
fn decide(terms: impl Iterator<Item = (bool, bool)>) -> bool {
    for (turned, hits) in terms {
        match (turned, hits) {
            (true, hits) => return !hits,
            (false, true) => return true,
            (false, false) => {}
        }
    }
    false
}

/// What an aggregation takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lists {
    /// By the tag; an empty list takes all, and so do the others.
    pub tag: Tags,
    /// By the second tag.
    pub tag2: Tags,
    /// By the label.
    pub label: Labels,
}

impl Lists {
    /// Whether they take everything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Fields that they look at.
    pub fn needs(&self) -> FieldSet {
        let lists = [
            (Field::Tag, self.tag.0.is_empty()),
            (Field::Tag2, self.tag2.0.is_empty()),
            (Field::Label, self.label.0.is_empty()),
        ];
        let looked = lists.iter().filter(|(_, empty)| !empty);
        looked.map(|(field, _)| *field).collect()
    }
}

/// Verdicts in one byte: whether a label has been judged, and what became of it.
const IN_BYTE: usize = 4;

/// A verdict: it has been judged, and it is taken.
const JUDGED: u8 = 1;
const TAKEN: u8 = 2;

/// Takes or refuses records; one for each worker.
pub struct Verdict {
    lists: Lists,
    /// The bit of [`FlowRecord::pass`] that says so.
    bit: u32,
    /// Whether nobody else has judged by that bit.
    alone: bool,
    symbols: Arc<Interner>,
    /// What became of each symbol that there can be, so that a label is taken apart once; none
    /// where nobody asks for labels.
    known: Box<[u8]>,
    text: Vec<u8>,
}

impl Verdict {
    /// One that is written to `bit`; unless it is `alone`, what others refused there
    /// stays refused.
    pub fn new(lists: Lists, bit: u32, alone: bool, symbols: Arc<Interner>) -> Self {
        let mut verdict = Self {
            bit,
            alone,
            symbols,
            known: Box::default(),
            text: Vec::with_capacity(Sym::LEN_MAX),
            lists,
        };
        if !verdict.lists.label.0.is_empty() {
            let most = verdict.symbols.most();
            verdict.known = vec![0; most / IN_BYTE + 1].into();
        }
        verdict
    }

    /// Bytes it takes.
    pub fn bytes(&self) -> usize {
        self.known.len() + self.text.capacity()
    }

    /// Judges every record.
    pub fn run(&mut self, batch: &mut Batch) {
        for record in batch.records_mut() {
            let takes = self.takes(record);
            if !takes {
                record.pass &= !self.bit;
            } else if self.alone {
                record.pass |= self.bit;
            }
        }
    }

    fn takes(&mut self, record: &FlowRecord) -> bool {
        let Lists { tag, tag2, .. } = &self.lists;
        (tag.0.is_empty() || tag.takes(record.tag()))
            && (tag2.0.is_empty() || tag2.takes(record.tag2()))
            && (self.known.is_empty() || self.label(record.label()))
    }

    fn label(&mut self, label: Sym) -> bool {
        let (at, shift) = (label.0 as usize / IN_BYTE, label.0 as usize % IN_BYTE * 2);
        let known = self.known.get(at).map_or(0, |byte| byte >> shift);
        if known & JUDGED != 0 {
            return known & TAKEN != 0;
        }
        self.judge(label, at, shift)
    }

    /// The first record with this label.
    #[cold]
    fn judge(&mut self, label: Sym, at: usize, shift: usize) -> bool {
        self.text.clear();
        self.symbols.read(label, &mut self.text);
        let takes = self.lists.label.takes(&String::from_utf8_lossy(&self.text));
        if let Some(byte) = self.known.get_mut(at) {
            *byte |= (JUDGED | if takes { TAKEN } else { 0 }) << shift;
        }
        takes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(terms: &[&str]) -> Tags {
        let mut tags = Tags::default();
        terms.iter().for_each(|term| tags.push(term).unwrap());
        tags
    }

    fn labels(terms: &[&str]) -> Labels {
        let mut labels = Labels::default();
        terms.iter().for_each(|term| labels.push(term).unwrap());
        labels
    }

    #[test]
    fn terms_are_read_from_left_to_right() {
        for (terms, tag, want) in [
            (&["10"][..], 10, true),
            (&["10"], 11, false),
            (&["10", "20-29"], 25, true),
            (&["10", "20-29"], 30, false),
            (&["0"], 0, true),
            (&["-10"], 10, false),
            (&["-10"], 11, true),
            // A turned term that does not hit takes the record, so the second is never read.
            (&["-10", "-20"], 20, true),
            (&["-10", "20"], 30, true),
            (&["20", "-10"], 20, true),
            (&["20", "-10"], 10, false),
            (&["20", "-10"], 30, true),
            (&["-20-29"], 25, false),
            (&["-20-29"], 30, true),
        ] {
            assert_eq!(tags(terms).takes(tag), want, "{terms:?} {tag}");
        }
        for wrong in ["", "-", "a", "1,2", "9-1", "--1", "1-2-3"] {
            assert!(Tags::default().push(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn any_of_several_labels_will_do() {
        for (terms, label, want) in [
            (&["a"][..], "a", true),
            (&["a"], "b", false),
            (&["a"], "b,a", true),
            (&["a"], "ab,ba", false),
            (&["nkey%x"], "nkey%x,pkey%y", true),
            (&["null"], "", true),
            (&["null"], "a", false),
            (&["-null"], "", false),
            (&["-null"], "a", true),
            (&["-a"], "b,a", false),
            (&["-a", "-b"], "b", true),
            (&["b", "-a"], "c", true),
        ] {
            assert_eq!(labels(terms).takes(label), want, "{terms:?} {label}");
        }
        assert!(Labels::default().push("a,b").is_err());
        assert!(Labels::default().push("-").is_err());
        assert_eq!(labels(&["a", "nul"]).doubtful(), Some("nul"));
        assert_eq!(labels(&["a", "null"]).doubtful(), None);
    }

    #[test]
    fn every_label_is_taken_apart_once_however_many_there_are() {
        let symbols = Arc::new(Interner::new(256 << 10));
        let mut all = vec![Sym::EMPTY];
        while all.last() != Some(&Sym::OVERFLOW) {
            all.push(symbols.intern(format!("{}", all.len() % 7 + 10 * all.len()).as_bytes()));
        }
        assert!(
            all.len() > 5000 && all.len() <= symbols.most(),
            "{}",
            all.len()
        );
        let lists = Lists {
            label: labels(&["101", "null"]),
            ..Lists::default()
        };
        let mut verdict = Verdict::new(lists, 1, true, symbols.clone());
        let takes = |verdict: &mut Verdict| all.iter().filter(|s| verdict.label(**s)).count();
        let taken = takes(&mut verdict);
        // Whatever the store would say now, nobody asks it.
        verdict.symbols = Arc::new(Interner::new(0));
        verdict.lists.label = labels(&["x"]);
        assert_eq!(takes(&mut verdict), taken);
        assert!(taken > 0 && taken < 10, "{taken}");
    }

    #[test]
    fn verdicts_go_to_the_bit_and_all_lists_must_agree() {
        let symbols = Arc::new(Interner::new(4096));
        let (a, b) = (symbols.intern(b"a"), symbols.intern(b"x,b"));
        let lists = Lists {
            tag: tags(&["1-5"]),
            tag2: Tags::default(),
            label: labels(&["b"]),
        };
        assert_eq!(lists.needs(), FieldSet::of(&[Field::Tag, Field::Label]));
        for alone in [true, false] {
            let mut batch = Batch::new(lists.needs());
            for (tag, label) in [(3, a), (3, b), (9, b), (3, Sym::EMPTY)] {
                let record = batch.slot();
                record.set_tag(tag);
                record.set_label(label);
                record.pass = if alone { 1 } else { 5 };
            }
            let mut verdict = Verdict::new(lists.clone(), 4, alone, symbols.clone());
            for _ in 0..2 {
                verdict.run(&mut batch);
                let passed: Vec<u32> = batch.records().iter().map(|r| r.pass).collect();
                assert_eq!(passed, [1, 5, 1, 1]);
            }
        }
        // What the filter refused stays refused.
        let mut batch = Batch::new(lists.needs());
        let record = batch.slot();
        record.set_tag(3);
        record.set_label(b);
        Verdict::new(lists, 4, false, symbols).run(&mut batch);
        assert_eq!(batch.records()[0].pass, 0);
        assert!(Lists::default().is_empty());
    }
}
