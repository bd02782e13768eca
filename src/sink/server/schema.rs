//! Schema files: the administrator's SQL, with the name of a table put in. The name may hold values
//! of rows, so it is put in once, as what the place takes, and never looked at again.

use crate::encode::sql::Dialect;

/// Whose name, as the places of a file take it.
pub struct Name<'a> {
    /// Whose SQL it is.
    pub dialect: Dialect,
    /// What the tables are in, where that is fixed.
    pub space: Option<&'a str>,
    /// The setting `table`; it stands for the name where it has variables.
    pub given: &'a str,
    /// The name.
    pub name: &'a str,
}

/// What a place of a file is part of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Statement,
    /// A quoted identifier or a literal, up to this character.
    Quotes(char),
    /// A comment up to the end of its line.
    Line,
    /// A comment up to its end.
    Block,
}

impl Name<'_> {
    /// The SQL of `text` with the name where it says `$table`, or what `table` says. One pass:
    /// what was put in is no text of the file.
    pub fn within(&self, mut text: &str) -> String {
        let bare = self.given.replace("${", "$").replace('}', "");
        let mut marks = vec!["$table"];
        if self.given.contains(['$', '%']) {
            marks.extend([self.given, &bare]);
        }
        marks.sort_by_key(|mark| std::cmp::Reverse(mark.len()));
        let mut out = String::with_capacity(text.len());
        let mut within = Within::Statement;
        while let Some(first) = text.chars().next() {
            if let Some(mark) = marks.iter().find(|mark| begins(text, mark)) {
                self.put(&mut out, within, *mark == "$table");
                text = text.get(mark.len()..).unwrap_or_default();
                continue;
            }
            let (next, length) = self.follow(within, text, first);
            let (part, rest) = text.split_at_checked(length).unwrap_or((text, ""));
            out.push_str(part);
            (within, text) = (next, rest);
        }
        out
    }

    /// Where one is after the next characters, and how many bytes these are.
    fn follow(&self, within: Within, text: &str, first: char) -> (Within, usize) {
        let mysql = self.dialect == Dialect::Mysql;
        let one = first.len_utf8();
        match within {
            Within::Statement => match first {
                '\'' | '"' => (Within::Quotes(first), one),
                '`' if mysql => (Within::Quotes(first), one),
                '#' if mysql => (Within::Line, one),
                _ if text.starts_with("--") => (Within::Line, 2),
                _ if text.starts_with("/*") => (Within::Block, 2),
                _ => (within, one),
            },
            // What is escaped ends nothing; a doubled quote begins anew at once.
            Within::Quotes(_) if mysql && first == '\\' => {
                (within, one + text.chars().nth(1).map_or(0, char::len_utf8))
            }
            Within::Quotes(end) if first == end => (Within::Statement, one),
            Within::Line if first == '\n' => (Within::Statement, one),
            Within::Block if text.starts_with("*/") => (Within::Statement, 2),
            _ => (within, one),
        }
    }

    fn put(&self, out: &mut String, within: Within, whole: bool) {
        if within != Within::Statement {
            // `clean` has left nothing in it that could end any of them.
            out.push_str(self.name);
            return;
        }
        if let Some(space) = self.space.filter(|_| whole) {
            out.push_str(&self.dialect.quoted(space));
            out.push('.');
        }
        match self.dialect.is_plain(self.name) {
            true => out.push_str(self.name),
            false => out.push_str(&self.dialect.quoted(self.name)),
        }
    }
}

/// A name without what could end a literal, an identifier or a comment, in any dialect.
pub fn clean(name: &str) -> String {
    let fine = |c: char| c.is_alphanumeric() || " _.:-/@+,".contains(c);
    name.chars()
        .map(|c| if fine(c) { c } else { '_' })
        .collect()
}

/// Whether `text` begins with `mark`. The case of letters is no matter, as it is none to servers
/// that fold names, but for those of times.
fn begins(text: &str, mark: &str) -> bool {
    let Some(part) = text.get(..mark.len()).filter(|_| !mark.is_empty()) else {
        return false;
    };
    let mut time = false;
    part.bytes().zip(mark.bytes()).all(|(got, want)| {
        let letter = std::mem::replace(&mut time, want == b'%');
        match letter {
            true => got == want,
            false => got.eq_ignore_ascii_case(&want),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(given: &str, space: Option<&str>, name: &str, text: &str) -> String {
        let dialect = Dialect::Postgres;
        let name = clean(name);
        let name = Name {
            dialect,
            space,
            given,
            name: &name,
        };
        name.within(text)
    }

    #[test]
    fn a_schema_has_the_name_in_place() {
        for (given, name, text, want) in [
            (
                "acct_%Y",
                "acct_2026",
                "CREATE TABLE acct_%Y (a INT); CREATE INDEX acct_%Y_i ON $table (a)",
                "CREATE TABLE acct_2026 (a INT); CREATE INDEX acct_2026_i ON acct_2026 (a)",
            ),
            (
                "acct_%Y",
                "acct_2026",
                "CREATE TABLE Acct_%Y (b TEXT DEFAULT 'acct_%y\u{e9}')",
                "CREATE TABLE acct_2026 (b TEXT DEFAULT 'acct_%y\u{e9}')",
            ),
            (
                "acct_${peer_src_ip}",
                "acct_10.0.0.1",
                "CREATE TABLE \"acct_$peer_src_ip\" (a INT); CREATE INDEX \"acct_${peer_src_ip}_i\"",
                "CREATE TABLE \"acct_10.0.0.1\" (a INT); CREATE INDEX \"acct_10.0.0.1_i\"",
            ),
            // A fixed name stands in the file as it is, and so does whatever looks like it.
            (
                "a",
                "a",
                "CREATE TABLE a (bar INT)",
                "CREATE TABLE a (bar INT)",
            ),
        ] {
            assert_eq!(filled(given, None, name, text), want);
        }
    }

    #[test]
    fn no_value_becomes_sql() {
        let evil = "x\"; DROP TABLE y; --$label ${label} $table '); */ \n\\`#$$";
        for text in [
            "CREATE TABLE $table (a INT)",
            "CREATE TABLE \"${label}\" (a INT)",
            "CREATE TABLE \"$label\" (a INT); COMMENT ON TABLE \"$label\" IS 'it''s $label'",
            "-- don't: $label\n/* 'nor */ CREATE TABLE $label (a INT) -- $table",
        ] {
            let got = filled("${label}", Some("s"), evil, text);
            // Nothing is left of it that any server reads as more than a name.
            assert_eq!(
                got.matches("DROP").count(),
                text.matches('$').count(),
                "{got}"
            );
            assert!(
                !got.contains([';', '`', '\\', '$', '#']) || text.contains(';'),
                "{got}"
            );
            assert_eq!(got.lines().count(), text.lines().count(), "{got}");
            let quotes = |text: &str, quote| text.matches(quote).count() % 2;
            assert_eq!(quotes(&got, '"'), 0, "{got}");
            assert_eq!(quotes(&got, '\''), quotes(text, '\''), "{got}");
        }
        assert_eq!(
            filled("${label}", Some("s"), "x\"; DROP", "CREATE TABLE $table ()"),
            "CREATE TABLE \"s\".\"x__ DROP\" ()"
        );
    }
}
