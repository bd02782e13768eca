//! [`Condition`]: one thing that rows of a live table must have: `dst_port=443`,
//! `src_host=10.0.0.0/8`, `proto!=udp`. Names are those of configurations or of JSON.

use crate::base::addr::Ip;
use crate::base::text::nearest;
use crate::encode::Style;
use crate::encode::pen::Pen;
use crate::encode::value::{Entry, Show};
use crate::record::schema::What;
use crate::record::{FIELDS, Field, Kind, Schema, Value};
use std::net::IpAddr;

enum Test {
    /// The first so many bits of an address.
    Prefix([u8; 16], u32),
    Number(u64),
    /// As it is shown, without regard to case.
    Text(Vec<u8>),
}

/// A condition for rows of one schema.
pub struct Condition {
    entry: Entry,
    not: bool,
    test: Test,
    show: Show,
    cell: Vec<u8>,
}

/// The field of this name in configurations or in JSON.
pub fn field(name: &str) -> Result<Field, String> {
    if let Some(field) = Field::by_name(name).or_else(|| Field::by_json(name)) {
        return Ok(field);
    }
    let near = nearest(name, FIELDS.iter().flat_map(|i| [i.name, i.json]));
    let near = near.map_or_else(String::new, |n| format!("; did you mean `{n}`?"));
    Err(format!("no field `{name}`{near}"))
}

impl Condition {
    /// Reads a condition; none when it is right but `schema` has no such column.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str, schema: &Schema) -> Result<Option<Self>, String> {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| format!("`{text}` is no condition; one is src_host=192.0.2.1"))?;
        let not = name.ends_with('!');
        let name = name.trim_end_matches('!').trim();
        let value = value.trim();
        let (field, kind) = match schema.customs.named(&name.to_ascii_lowercase()) {
            Some(custom) => (custom.field, Kind::Custom),
            None => field(name).map(|field| (field, field.info().kind))?,
        };
        let what = What::Field(field);
        let number = |text: &str| match text.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).ok(),
            None => text.parse().ok(),
        };
        let test = match kind {
            Kind::Ip => prefix(value).ok_or_else(|| {
                format!("`{value}` is no address or prefix; one is 192.0.2.0/24 or 2001:db8::1")
            })?,
            Kind::Custom => Test::Text(value.to_ascii_lowercase().into()),
            Kind::EtherType => {
                Test::Text(value.trim_start_matches("0x").to_ascii_lowercase().into())
            }
            _ => match number(value) {
                Some(number) if kind != Kind::Text => Test::Number(number),
                None if matches!(kind, Kind::U8 | Kind::U16 | Kind::U32 | Kind::U64) => {
                    return Err(format!("`{name}` is a number, `{value}` is none"));
                }
                _ => Test::Text(value.to_ascii_lowercase().into()),
            },
        };
        let style = Style::default();
        Ok(schema.column(what).map(|column| Self {
            entry: Entry::new(*column, &style),
            not,
            test,
            show: Show::new(&style),
            cell: Vec::new(),
        }))
    }

    /// Whether it holds for a row.
    pub fn holds(&mut self, schema: &Schema, row: &[u64]) -> bool {
        let holds = match (&self.test, schema.value(&self.entry.column, row)) {
            (Test::Prefix(first, bits), Value::Ip(ip)) => {
                let differ = u128::from_be_bytes(ip.0) ^ u128::from_be_bytes(*first);
                differ.leading_zeros() >= *bits
            }
            (Test::Number(want), Value::Number(number)) => *want == number,
            (Test::Text(want), _) => {
                self.cell.clear();
                let mut pen = Pen::new(&mut self.cell);
                let text = self.show.value(&mut pen, schema, &self.entry, row);
                drop(pen);
                let shown = if text { &self.show.text } else { &self.cell };
                String::from_utf8_lossy(shown)
                    .to_ascii_lowercase()
                    .as_bytes()
                    == want.as_slice()
            }
            _ => false,
        };
        holds != self.not
    }
}

fn prefix(text: &str) -> Option<Test> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u32>().ok()?)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(most);
    let rest = most.checked_sub(bits)?;
    Some(Test::Prefix(Ip::from(address).0, 128 - rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::sample;

    #[test]
    fn conditions_by_both_names_and_every_kind() {
        let (schema, row) = sample::rows(&sample::ALL, true);
        for (text, want) in [
            ("src_host=192.0.2.1", true),
            ("ip_src=192.0.0.0/16", true),
            ("src_host=192.0.3.0/24", false),
            ("src_host=0.0.0.0/0", true),
            ("src_host=::/0", true),
            ("dst_host=2001:db8::/32", true),
            ("dst_host=0.0.0.0/0", false),
            ("dst_host!=2001:db8::1", false),
            ("dst_port=443", true),
            ("port_dst=0x1bb", true),
            ("dst_port!=443", false),
            ("proto=tcp", true),
            ("ip_proto=6", true),
            ("proto=udp", false),
            ("src_mac=00:1B:21:0a:0b:0c", true),
            ("etype=86dd", true),
            ("vrf_name=RED", true),
            ("vrf_name!=blue", true),
            ("tag=18446744073709551615", true),
        ] {
            let mut condition = Condition::parse(text, &schema).unwrap().unwrap();
            assert_eq!(condition.holds(&schema, &row), want, "{text}");
        }
        assert!(Condition::parse("med=5", &schema).unwrap().is_none());
        for (text, part) in [
            ("src_hots=1.2.3.4", "did you mean `src_host`?"),
            ("src_host=10.0.0.0/33", "no address or prefix"),
            ("src_host=house", "no address or prefix"),
            ("dst_port=https", "is a number"),
            ("dst_port", "no condition"),
        ] {
            let why = Condition::parse(text, &schema).err().unwrap();
            assert!(why.contains(part), "{text}: {why}");
        }
    }
}
