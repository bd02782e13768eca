//! Settings that all sinks of text share: format, times, protocols, stamps.

use super::Context;
use crate::base::options::Options;
use crate::base::zone::Zone;
use crate::encode::{Format, Style, Times, csv};

/// How rows are to be written, as far as the settings say.
#[derive(Clone, Debug)]
pub struct Shape {
    /// The format.
    pub format: Format,
    zone: Option<Zone>,
    style: Style,
}

impl Shape {
    /// The style, in the zone of the output or else of the configuration.
    pub fn style(&self, context: &Context) -> Style {
        Style {
            zone: self.zone.as_ref().unwrap_or(&context.zone).clone(),
            ..self.style.clone()
        }
    }
}

/// Takes the settings of how values are shown:
///
/// - `timezone`: as the configuration's, for this output alone.
/// - `times`: `"plain"` (default, `2026-01-02 03:04:05.678901`), `"rfc3339"` or `"epoch"`.
/// - `fraction`: whether times have microseconds; default true. Stamps never have.
/// - `protocols`: `"names"` (default) or `"numbers"`.
pub fn values(options: &mut Options) -> Shape {
    let zone = options.text("timezone").map(|name| Zone::named(&name));
    let zone = zone.and_then(|zone| {
        zone.map_err(|message| options.wrong("timezone", message))
            .ok()
    });
    let times = [
        ("plain", Times::Plain),
        ("rfc3339", Times::Rfc3339),
        ("epoch", Times::Epoch),
    ];
    let default = Style::default();
    let style = Style {
        times: options.choice("times", &times).unwrap_or_default(),
        fraction: options.flag("fraction").unwrap_or(default.fraction),
        proto_numbers: options
            .choice("protocols", &[("names", false), ("numbers", true)])
            .unwrap_or(default.proto_numbers),
        ..default
    };
    Shape {
        format: Format::Csv,
        zone,
        style,
    }
}

/// Takes the format and all settings of text, those of [`values`] among them:
///
/// - `format`: `"csv"`, `"json"` or `"table"`; default `format`.
/// - `separator`: between two values in CSV; one character or `"tab"`, default `","`.
/// - `stamps`: whether rows of bins carry `stamp_inserted` and `stamp_updated`; default true.
/// - `event_type`: whether JSON objects begin with `"event_type":"purge"`; default true.
pub fn text(options: &mut Options, format: Format) -> Shape {
    let mut shape = values(options);
    shape.format = options.choice("format", Format::CHOICES).unwrap_or(format);
    if let Some(given) = options.text("separator") {
        match given.as_bytes() {
            b"tab" | b"\t" => shape.style.separator = b'\t',
            [one] if csv::separates(*one) => shape.style.separator = *one,
            _ => options.wrong(
                "separator",
                format!(
                    "`separator` is {given:?}; it takes \"tab\" or a character like \",\" \";\" \
                     \"|\" that is in no number, address or time"
                ),
            ),
        }
    }
    let style = &mut shape.style;
    style.stamps = options.flag("stamps").unwrap_or(style.stamps);
    style.event_type = options.flag("event_type").unwrap_or(style.event_type);
    shape
}
