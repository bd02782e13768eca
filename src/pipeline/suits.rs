//! Whether the parts of a configuration go together, beyond what each of them says of itself.

use super::maps::Loader;
use super::plan::{AggregatePlan, InputPlan};
use super::rules::Rules;
use crate::agg::sieve;
use crate::base::options::{Place, Problem};
use crate::base::text::show_size;
use crate::config::Config;
use crate::decode;
use crate::source::Link;

/// Aggregations with columns of their own that go to one place of an output, which has the columns
/// of one: it is the setting `name` that says where.
pub(super) fn columns(
    config: &Config,
    plans: &[AggregatePlan],
    (at, name): (usize, &'static str),
    problems: &mut Vec<Problem>,
) {
    let both = config.aggregates.iter().zip(plans);
    let mut here = both.filter(|(_, plan)| plan.outputs.contains(&at));
    let Some((first, of_first)) = here.next() else {
        return;
    };
    let what = |plan: &AggregatePlan| -> Vec<_> {
        let columns = plan.settings.schema.columns.iter();
        columns.map(|column| column.what).collect()
    };
    let other = here.find(|(_, plan)| what(plan) != what(of_first));
    if let Some((other, _)) = other {
        let output = &config.outputs[at];
        let message = format!(
            "output.{}: `{}` and `{}` have different columns and go to one {name}; put $aggregate \
             into `{name}`, or give each an output",
            output.name, first.name, other.name
        );
        let place = match output.options.place_of(name) {
            Place { line: 0, .. } => output.place,
            place => place,
        };
        problems.push(Problem { place, message });
    }
}

/// Labels of maps that find no room among the texts.
pub(super) fn homeless(config: &Config, loader: &Loader<'_>, problems: &mut Vec<Problem>) {
    if loader.homeless {
        problems.push(Problem {
            place: Default::default(),
            message: format!(
                "limits.symbols = {} has no room for the labels of all maps; make it more",
                show_size(config.limits.symbols)
            ),
        });
    }
}

/// Files beside live inputs: their frames' times and the clock would fight over the bins.
pub(super) fn mixed(config: &Config, inputs: &[InputPlan], problems: &mut Vec<Problem>) {
    let live = inputs.iter().filter(|input| input.opener.live()).count();
    if live == 0 || live == inputs.len() {
        return;
    }
    for input in config.inputs.iter().filter(|input| input.kind == "file") {
        let message = format!(
            "input.{}: files and live inputs need a `weir run` each: time comes with the frames \
             there, from the clock here",
            input.name
        );
        problems.push(Problem {
            place: input.place,
            message,
        });
    }
}

/// Filters that ask for what no flow record can tell.
pub(super) fn meaningless(inputs: &[InputPlan], problems: &mut Vec<Problem>) {
    let filters = inputs.iter().flat_map(|input| &input.record_filters);
    for (_, filter) in filters.filter(|(_, filter)| !filter.knows(Link::Datagram)) {
        let expression = filter.expression();
        problems.push(Problem {
            place: Default::default(),
            message: format!("filter `{expression}`: has no meaning on flow records"),
        });
    }
}

/// Keys that none of an aggregation's inputs can supply.
pub(super) fn ungiven(
    config: &Config,
    inputs: &[InputPlan],
    rules: &Rules,
    problems: &mut Vec<Problem>,
) {
    let strict = config.aggregates.iter().enumerate();
    for (at, aggregate) in strict.filter(|(_, aggregate)| !aggregate.absent) {
        let given = rules.given(at);
        let mut fed = inputs.iter().filter(|input| input.feeds.contains(&at));
        let hidden = aggregate
            .preprocess
            .as_ref()
            .is_some_and(sieve::Rules::wants_flows);
        if (aggregate.flows || hidden) && fed.all(InputPlan::judges_frames) {
            let what = if aggregate.flows {
                ""
            } else {
                ", nor can `preprocess`"
            };
            let message = format!(
                "aggregate.{}: its inputs are packets, which count no `flows`{what}",
                aggregate.name
            );
            problems.push(Problem {
                place: aggregate.place,
                message,
            });
        }
        let customs = config.primitives.customs();
        for field in aggregate.by.iter().filter(|field| !given.has(**field)) {
            let what = match customs.of(*field) {
                Some(custom) => {
                    let mut fed = inputs.iter().filter(|input| input.feeds.contains(&at));
                    if fed.any(|i| decode::gives_custom(i.decode, i.opener.datagrams(), custom)) {
                        continue;
                    }
                    format!("the primitive `{}`", custom.name)
                }
                None => {
                    let name = field.info().name;
                    format!("`{name}`; `weir fields {name}` tells what does")
                }
            };
            let message = format!(
                "aggregate.{}: none of its inputs gives {what}",
                aggregate.name
            );
            problems.push(Problem {
                place: aggregate.place,
                message,
            });
        }
    }
}
