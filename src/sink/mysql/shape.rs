//! Tables that are there: whether rows can be stored in them, and how.

use super::super::server::{Settings, misfit};
use super::Trouble;
use crate::encode::dialect::Type;
use crate::encode::sql::{Fit, Set, Table};
use mysql::prelude::Queryable;
use mysql::{Conn, Params, Row, Value};

/// Characters of an address, and of a MAC address: what is cut off one makes it another.
const ADDRESS: usize = 39;
const MAC: usize = 17;

/// How rows get to a table.
pub struct Known {
    /// What a statement begins with, and ends with.
    pub head: String,
    pub tail: String,
    /// Each column, and whether a value was cut for it.
    pub fits: Vec<(Fit, bool)>,
    /// Values of columns that the rows have not, each behind a comma.
    pub more: String,
    told: bool,
}

/// The statement by which a table, and its rows, are known: after a reload, and out of a spool,
/// rows of one table may have other columns.
pub fn mark(settings: &Settings, table: &Table, name: &str) -> String {
    let (head, tail) = table.insert(&settings.named(name), &[], settings.add);
    head + &tail
}

impl Known {
    /// Says once that values were cut.
    pub fn tell(&mut self, output: &str, name: &str) {
        if !self.told && self.fits.iter().any(|(_, cut)| *cut) {
            self.told = true;
            log::warn!(
                "output {output}: texts are longer than columns of `{name}` take, or hold what these \
                 can not hold; what does not fit is left out"
            );
        }
    }
}

/// A column of a table.
struct Column {
    name: String,
    kind: String,
    most: usize,
    set: Option<String>,
    /// Whether it must be given a value.
    bare: bool,
    nullable: bool,
    counts: bool,
}

/// A key that no two rows may share, with whether a part of each column is enough.
type Key = Vec<(String, bool)>;

fn table_of(space: Option<&str>, name: &str) -> Params {
    Params::Positional(vec![
        space.map_or(Value::NULL, Value::from),
        Value::from(name),
    ])
}

fn text(row: &Row, n: usize) -> Option<String> {
    row.get_opt::<Option<String>, _>(n)?.ok()?
}

/// The engine of a table that is there, and whether it has transactions. To ask takes no right to
/// make one.
pub fn engine(
    client: &mut Conn,
    space: Option<&str>,
    name: &str,
) -> Result<Option<(String, bool)>, mysql::Error> {
    let sql = "SELECT t.engine, e.transactions FROM information_schema.tables t \
               LEFT JOIN information_schema.engines e ON e.engine = t.engine \
               WHERE t.table_schema = COALESCE(?, DATABASE()) AND t.table_name = ?";
    let row: Option<Row> = client.exec_first(sql, table_of(space, name))?;
    Ok(row.map(|row| {
        let fine = text(&row, 1).is_some_and(|word| word == "YES");
        (text(&row, 0).unwrap_or("none".into()), fine)
    }))
}

fn columns(
    client: &mut Conn,
    space: Option<&str>,
    name: &str,
) -> Result<Vec<Column>, mysql::Error> {
    let sql = "SELECT column_name, data_type, character_maximum_length, character_set_name, \
               is_nullable, column_default, extra FROM information_schema.columns \
               WHERE table_schema = COALESCE(?, DATABASE()) AND table_name = ? \
               ORDER BY ordinal_position";
    let rows: Vec<Row> = client.exec(sql, table_of(space, name))?;
    let column = |row: &Row| {
        let extra = text(row, 6).unwrap_or_default().to_ascii_lowercase();
        let counts = extra.contains("auto_increment");
        let nullable = text(row, 4).is_some_and(|word| word == "YES");
        let own = counts || extra.contains("generated");
        Some(Column {
            name: text(row, 0)?,
            kind: text(row, 1)?.to_ascii_lowercase(),
            most: row.get_opt(2).and_then(Result::ok).unwrap_or(usize::MAX),
            set: text(row, 3),
            bare: !nullable && !own && text(row, 5).is_none(),
            nullable,
            counts,
        })
    };
    Ok(rows.iter().filter_map(column).collect())
}

fn keys(client: &mut Conn, space: Option<&str>, name: &str) -> Result<Vec<Key>, mysql::Error> {
    let sql = "SELECT index_name, column_name, sub_part FROM information_schema.statistics \
               WHERE table_schema = COALESCE(?, DATABASE()) AND table_name = ? AND non_unique = 0 \
               ORDER BY index_name, seq_in_index";
    let rows: Vec<Row> = client.exec(sql, table_of(space, name))?;
    let mut keys: Vec<(String, Key)> = Vec::new();
    for row in &rows {
        let index = text(row, 0).unwrap_or_default();
        // An expression has no name, which no column has either.
        let part = row.get_opt::<u64, _>(2).is_some_and(|part| part.is_ok());
        let column = (text(row, 1).unwrap_or_default(), part);
        match keys.last_mut().filter(|(name, _)| *name == index) {
            Some((_, key)) => key.push(column),
            None => keys.push((index, vec![column])),
        }
    }
    Ok(keys.into_iter().map(|(_, key)| key).collect())
}

/// Looks at a table.
pub fn look(
    client: &mut Conn,
    settings: &Settings,
    table: &Table,
    name: &str,
) -> Result<Known, Trouble> {
    let space = settings.space.as_deref();
    let full = settings.named(name);
    match engine(client, space, name)? {
        Some((_, true)) => {}
        Some((engine, _)) => return Err(Trouble::Setting(without(&full, &engine))),
        None => return Err(Trouble::Setting(format!("{full} can not be seen"))),
    }
    let there = columns(client, space, name)?;
    let unfit = |why: String| Trouble::Setting(misfit(name, &why));
    let mut fits = Vec::new();
    for (column, kind) in table.kinds() {
        let Some(found) = there.iter().find(|c| same(&c.name, column)) else {
            return Err(unfit(format!("it has no column `{column}`")));
        };
        fits.push((fit(found, kind).map_err(unfit)?, false));
    }
    let written = |name: &str| table.names().any(|column| same(column, name));
    let others = there.iter().filter(|c| c.bare && !written(&c.name));
    let (others, values): (Vec<_>, Vec<_>) = others.map(|c| (c.name.clone(), zero(c))).unzip();
    if settings.add {
        let keys = keys(client, space, name)?;
        adds(table, &there, &keys).map_err(unfit)?;
    }
    let (head, tail) = table.insert(&full, &others, settings.add);
    Ok(Known {
        head,
        tail,
        fits,
        more: values.iter().map(|value| format!(",{value}")).collect(),
        told: false,
    })
}

fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

/// What is said of a table that can take nothing back.
pub fn without(full: &str, engine: &str) -> String {
    format!(
        "{full} is of engine {engine}, which has no transactions: of a batch that fails half way, a \
         part would stay and count twice; ALTER TABLE {full} ENGINE=InnoDB"
    )
}

/// What a column takes of values of this type.
fn fit(column: &Column, kind: Type) -> Result<Fit, String> {
    let set = match (column.kind.as_str(), column.set.as_deref()) {
        ("timestamp", _) => Set::Stamp,
        ("binary" | "varbinary", _) | (_, Some("binary")) => Set::Bytes,
        (_, Some("utf8" | "utf8mb3" | "ucs2")) => Set::Plane,
        (_, Some("utf8mb4" | "utf16" | "utf16le" | "utf32" | "gb18030") | None) => Set::All,
        _ => Set::Ascii,
    };
    let least = match kind {
        Type::Ip => ADDRESS,
        Type::Mac => MAC,
        _ => 0,
    };
    if column.most < least {
        return Err(format!(
            "`{}` takes {} characters, and an address may have {least}",
            column.name, column.most
        ));
    }
    Ok(Fit {
        most: column.most,
        set,
    })
}

/// What a column holds that has no default and is given no value.
fn zero(column: &Column) -> &'static str {
    match column.kind.as_str() {
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "decimal" | "float"
        | "double" | "bit" | "year" => "0",
        "date" | "datetime" | "timestamp" => "'0000-00-00 00:00:00'",
        "time" => "'00:00:00'",
        _ => "''",
    }
}

/// Whether rows with the same key, and no others, meet in this table.
fn adds(table: &Table, there: &[Column], keys: &[Key]) -> Result<(), String> {
    let column = |name: &str| there.iter().find(|c| same(&c.name, name));
    let written = |name: &str| table.names().any(|n| same(n, name));
    let of_key = |name: &str| table.key().any(|n| same(n, name));
    // Keys in which a number counts up, or nothing stands, are never met again.
    let met = keys.iter().filter(|key| {
        let apart = |name: &str| column(name).is_some_and(|c| c.counts || c.nullable);
        !key.iter().any(|(name, _)| !written(name) && apart(name))
    });
    let mut found = false;
    for key in met {
        let all = table.key().find(|name| {
            let whole = |(column, part): &(String, bool)| same(column, name) && !*part;
            !key.iter().any(whole)
        });
        if let Some(missing) = all {
            return Err(format!("`{missing}` is not in its key, or not as a whole"));
        }
        if let Some((name, _)) = key.iter().find(|(name, _)| written(name) && !of_key(name)) {
            return Err(format!("`{name}` is in its key"));
        }
        found = true;
    }
    match found {
        true => Ok(()),
        false => Err("it has no primary key, by which rows would be added up".into()),
    }
}

#[cfg(test)]
mod tests;
