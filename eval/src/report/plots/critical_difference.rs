//! Critical-difference diagrams: methods at their average ranks, joined where they cannot be told apart (Demšar 2006, figure 1).

use maud::{Markup, html};

use super::axis::Axis;
use super::drawing::Drawing;
use super::frame::px;
use super::text::short;
use crate::ranking::Ranking;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = 570.0;
/// Where the critical difference, the axis and the first bar of a group stand.
const DIFFERENCE: f64 = 22.0;
const AXIS: f64 = 66.0;
const FIRST_GROUP: f64 = AXIS + 14.0;
const GROUP: f64 = 9.0;
/// Between two names.
const ROW: f64 = 20.0;
/// Characters of a name.
const NAME: usize = 17;

/// `blocks` says what the ranks are averaged over, such as `3 seeds`.
pub(in crate::report) fn critical_difference(ranking: &Ranking, blocks: &str) -> Drawing {
    let count = ranking.methods.len();
    let x = Axis::linear(1.0, count as f64, LEFT, RIGHT);
    let groups = ranking.groups();
    let names = FIRST_GROUP + GROUP * groups.len() as f64 + 14.0;
    let left = count.div_ceil(2);
    let body = html! {
        (difference(&x, ranking.critical_difference))
        (axis(&x, count))
        @for (row, (name, rank)) in ranking.methods.iter().enumerate() {
            // The outermost of each side comes first, so that no line crosses another.
            @let (from_outside, is_left) = if row < left { (row, true) } else { (count - 1 - row, false) };
            (method(name, *rank, x.position(*rank), names + ROW * from_outside as f64, is_left))
        }
        @for (row, (first, last)) in groups.iter().enumerate() {
            @let y = px(FIRST_GROUP + GROUP * row as f64);
            @let place = |at: usize| x.position(ranking.methods[at].1);
            line.group-bar x1=(px(place(*first) - 3.0)) x2=(px(place(*last) + 3.0)) y1=(y) y2=(y) {}
        }
    };
    Drawing {
        stem: "critical_difference".to_owned(),
        title: format!(
            "Average ranks over {blocks}, 1 the best. Methods under one bar differ by less than the critical difference {:.2} (Nemenyi's test, level 0.05)",
            ranking.critical_difference
        ),
        width: WIDTH,
        height: names + ROW * left as f64,
        key: Vec::new(),
        body,
    }
}

/// The critical difference, as long as it is on the axis.
fn difference(x: &Axis, difference: f64) -> Markup {
    let (from, to) = (x.position(1.0), x.position(1.0 + difference));
    html! {
        path.whisker d=(format!(
            "M{from:.1} {DIFFERENCE}H{to:.1}M{from:.1} {top}V{bottom}M{to:.1} {top}V{bottom}",
            top = DIFFERENCE - 4.0, bottom = DIFFERENCE + 4.0,
        )) {}
        text.tick.middle x=(px((from + to) / 2.0)) y=(px(DIFFERENCE - 8.0)) { (format!("critical difference {difference:.2}")) }
    }
}

fn axis(x: &Axis, methods: usize) -> Markup {
    html! {
        line.axis x1=(px(LEFT)) x2=(px(RIGHT)) y1=(px(AXIS)) y2=(px(AXIS)) {}
        @for rank in 1..=methods {
            @let at = px(x.position(rank as f64));
            line.axis x1=(at) x2=(at) y1=(px(AXIS - 6.0)) y2=(px(AXIS)) {}
            text.tick.middle x=(at) y=(px(AXIS - 11.0)) { (rank) }
        }
    }
}

fn method(name: &str, rank: f64, at: f64, y: f64, is_left: bool) -> Markup {
    let end = if is_left { LEFT - 20.0 } else { RIGHT + 20.0 };
    let text = if is_left { end - 6.0 } else { end + 6.0 };
    html! {
        path.elbow d=(format!("M{at:.1} {AXIS}V{y:.1}H{end:.1}")) {}
        text.end[is_left] x=(px(text)) y=(px(y)) dy="0.35em" {
            title { (name) }
            (short(name, NAME)) " " (format!("{rank:.2}"))
        }
    }
}
