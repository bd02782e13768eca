//! The grammar of `preprocess`: what becomes of rows between the table and the outputs.
//!
//! A list of `word=number`; the order means nothing. Not for what the words do: that is
//! [`sieve`](crate::agg::sieve)'s.

use crate::agg::sieve::{Check, Measure, Rules, Sample};
use crate::base::options::{Options, Place};
use crate::base::text::nearest;
use crate::base::{Sieves, without};

/// Words of checks, with what they compare and whether it is a least.
const CHECKS: [(&str, Measure, bool); 10] = [
    ("minp", Measure::Packets, true),
    ("minf", Measure::Flows, true),
    ("minb", Measure::Bytes, true),
    ("minbpp", Measure::PacketSize, true),
    ("minppf", Measure::FlowSize, true),
    ("maxp", Measure::Packets, false),
    ("maxf", Measure::Flows, false),
    ("maxb", Measure::Bytes, false),
    ("maxbpp", Measure::PacketSize, false),
    ("maxppf", Measure::FlowSize, false),
];

/// Words of the rest.
const OTHERS: [&str; 5] = ["qnum", "fss", "fsrc", "usrf", "adjb"];

/// Takes `preprocess` and `preprocess_type`.
pub fn read(options: &mut Options) -> Option<Rules> {
    let kind = options.choice("preprocess_type", &[("any", false), ("all", true)]);
    let Some(items) = options.list("preprocess") else {
        if options.has("preprocess_type") && !options.has("preprocess") {
            options.wrong(
                "preprocess_type",
                "`preprocess_type` says how checks of `preprocess` meet, and there is none",
            );
        }
        return None;
    };
    if Sieves::get().is_none() {
        options.wrong("preprocess", without("rule-preprocess"));
        return None;
    }
    let mut rules = Rules {
        all: kind.unwrap_or(false),
        ..Rules::default()
    };
    let mut seen: Vec<String> = Vec::new();
    for (item, place) in &items {
        let (word, value) = item.split_once('=').unwrap_or((item, ""));
        let (word, value) = (word.trim().to_ascii_lowercase(), value.trim());
        if seen.contains(&word) {
            options.problem(*place, format!("`preprocess` has `{word}` twice"));
        } else if let Err(why) = take(&mut rules, &word, value) {
            options.problem(*place, format!("`preprocess` has {item:?}: {why}"));
        }
        seen.push(word);
    }
    let last = items.last().map_or(Place::default(), |(_, place)| *place);
    if seen.iter().any(|w| w == "fss") && seen.iter().any(|w| w == "fsrc") {
        let message = "`preprocess` has `fss` and `fsrc`, which are two ways to sample: use one";
        options.problem(last, message);
    }
    let acts = rules.removes() || rules.times > 1 || rules.each != 0;
    if !acts && options.has("preprocess") && (items.is_empty() || seen == ["qnum"]) {
        let message = "`preprocess` has neither check nor action";
        options.wrong("preprocess", message);
    }
    Some(rules)
}

fn take(rules: &mut Rules, word: &str, value: &str) -> Result<(), String> {
    let number = |most: u64| {
        let number = value.parse::<u64>().ok();
        number
            .filter(|n| (1..=most).contains(n))
            .ok_or_else(|| format!("it takes a whole number from 1 to {most}"))
    };
    let most = i64::MAX as u64;
    if let Some((_, measure, least)) = CHECKS.iter().find(|(name, ..)| *name == word) {
        let number = number(most)?;
        rules.checks.push(match least {
            true => Check::Least(*measure, number),
            false => Check::Below(*measure, number),
        });
        return Ok(());
    }
    match word {
        "qnum" => rules.least_rows = number(most)?,
        "fss" => rules.sample = Some(Sample::Size(number(most)?)),
        "fsrc" => rules.sample = Some(Sample::Count(number(Rules::COUNT_MAX)?)),
        "usrf" => rules.times = number(u32::MAX.into())? as u32,
        "adjb" => {
            let bytes = value.parse::<i32>().ok().filter(|bytes| *bytes != 0);
            rules.each = bytes.ok_or("it takes bytes to add, or to take off with a minus")?;
        }
        "recover" => {
            return Err("outputs for rows that do not pass are named in `rejects`".into());
        }
        _ => {
            let all = || CHECKS.iter().map(|(name, ..)| *name).chain(OTHERS);
            let near = nearest(word, all());
            let near = near.map_or_else(String::new, |n| format!("; did you mean `{n}`?"));
            let names = all().collect::<Vec<_>>().join(", ");
            return Err(format!("no such check or action; there are {names}{near}"));
        }
    }
    Ok(())
}

/// The list that gives these rules.
pub fn show(rules: &Rules) -> Vec<String> {
    let mut list = Vec::new();
    let mut add = |word: &str, number: i64| list.push(format!("{word}={number}"));
    if rules.least_rows > 0 {
        add("qnum", rules.least_rows as i64);
    }
    for check in &rules.checks {
        let (measure, number, least) = match check {
            Check::Least(measure, number) => (measure, number, true),
            Check::Below(measure, number) => (measure, number, false),
        };
        let word = CHECKS.iter().find(|(_, m, l)| m == measure && *l == least);
        add(word.map_or("", |w| w.0), *number as i64);
    }
    match rules.sample {
        Some(Sample::Size(bytes)) => add("fss", bytes as i64),
        Some(Sample::Count(rows)) => add("fsrc", rows as i64),
        None => {}
    }
    if rules.times > 0 {
        add("usrf", rules.times.into());
    }
    if rules.each != 0 {
        add("adjb", rules.each.into());
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::options::Raw;

    fn parse(items: &[&str], kind: Option<&str>) -> (Option<Rules>, String) {
        let mut options = Options::new("aggregate.x", Place::default());
        let items = items
            .iter()
            .map(|i| (Raw::Text(i.to_string()), Place::default()));
        options.set("preprocess", Raw::List(items.collect()));
        if let Some(kind) = kind {
            options.set("preprocess_type", Raw::Text(kind.into()));
        }
        let rules = read(&mut options);
        let problems = options.finish().into_iter().map(|p| p.message);
        (rules, problems.collect::<Vec<_>>().join("; "))
    }

    #[test]
    fn every_word_is_read_and_shown_again() {
        let all = [
            "qnum=7",
            "minp=1",
            "minf=2",
            "minb=3",
            "minbpp=4",
            "minppf=5",
            "maxp=6",
            "maxf=7",
            "maxb=8",
            "maxbpp=9",
            "maxppf=10",
            "fsrc=11",
            "usrf=12",
            "adjb=-13",
        ];
        let (rules, problems) = parse(&all, Some("all"));
        assert_eq!(problems, "");
        let rules = rules.unwrap();
        assert!(rules.all && rules.wants_flows() && rules.removes());
        assert_eq!(show(&rules), all);
        let (rules, problems) = parse(&[" FSS = 4096 "], None);
        assert_eq!(problems, "");
        assert_eq!(show(&rules.unwrap()), ["fss=4096"]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (items, part) in [
            (&["minq=3"][..], "did you mean `minp`?"),
            (&["minp"], "whole number from 1"),
            (&["minp=0"], "whole number from 1"),
            (&["minp=-5"], "whole number from 1"),
            (&["fsrc=9999999"], "to 1048576"),
            (&["adjb=0"], "bytes to add"),
            (&["minp=1", "MINP=2"], "twice"),
            (&["fss=1", "fsrc=2"], "use one"),
            (&["qnum=10"], "neither check nor action"),
            (&[], "neither check nor action"),
            (&["minp=1", "recover=1"], "`rejects`"),
        ] {
            let (_, problems) = parse(items, None);
            assert!(problems.contains(part), "{items:?}: {problems}");
        }
        let mut options = Options::new("aggregate.x", Place::default());
        options.set("preprocess_type", Raw::Text("all".into()));
        assert_eq!(read(&mut options), None);
        assert!(options.finish()[0].message.contains("there is none"));
    }
}
