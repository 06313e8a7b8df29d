//! Where a figure lies over seeds, step by step: the band of all seeds, and their mean.

use maud::{Markup, html};

use super::marks::{line, series};

/// A figure at one step, over the seeds that have it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Span {
    pub(super) low: f64,
    pub(super) mean: f64,
    pub(super) high: f64,
}

/// The span of each step; none of a step that no seed has a finite figure of. Seeds may have different numbers of steps.
pub(super) fn spans(seeds: &[Vec<f64>]) -> Vec<Option<Span>> {
    let steps = seeds.iter().map(Vec::len).max().unwrap_or(0);
    (0..steps).map(|step| span(seeds, step)).collect()
}

fn span(seeds: &[Vec<f64>], step: usize) -> Option<Span> {
    let there = seeds.iter().filter_map(|seed| seed.get(step).copied());
    let values: Vec<f64> = there.filter(|value| value.is_finite()).collect();
    let count = values.len() as f64;
    (!values.is_empty()).then(|| Span {
        low: values.iter().copied().fold(f64::INFINITY, f64::min),
        // Each is divided first: the sum of large ones may be none.
        mean: values.iter().map(|value| value / count).sum(),
        high: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    })
}

/// The band and the mean of series `index`; steps without a span break both.
pub(super) fn band(
    index: usize,
    spans: &[Option<Span>],
    x: impl Fn(usize) -> f64,
    y: impl Fn(f64) -> f64,
) -> Markup {
    let numbered: Vec<(usize, Option<Span>)> = spans.iter().copied().enumerate().collect();
    let stretches = numbered.chunk_by(|a, b| a.1.is_some() && b.1.is_some());
    let edge = |ends: Vec<(usize, f64)>| {
        let points = ends
            .into_iter()
            .map(|(step, value)| format!("{:.1} {:.1}", x(step), y(value)));
        points.collect::<Vec<_>>().join("L")
    };
    let outline = |stretch: &[(usize, Option<Span>)]| {
        let of = |pick: fn(&Span) -> f64| -> Vec<(usize, f64)> {
            let steps = stretch.iter();
            steps
                .filter_map(|(step, span)| Some((*step, pick(span.as_ref()?))))
                .collect()
        };
        let (mut low, high) = (of(|span| span.low), of(|span| span.high));
        low.reverse();
        // A step alone has no width.
        (high.len() > 1).then(|| format!("M{}L{}z", edge(high), edge(low)))
    };
    let outlines: String = stretches.filter_map(outline).collect();
    let mean = numbered.iter().map(|(step, span)| match span {
        Some(span) => (x(*step), y(span.mean)),
        None => (f64::NAN, f64::NAN),
    });
    html! {
        path.band.(series(index)) d=(outlines) {}
        (line(index, mean))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_has_the_seeds_that_reach_it() {
        let seeds = [vec![1.0, f64::NAN, 5.0], vec![3.0, f64::INFINITY]];
        let found = spans(&seeds);
        let span = |low, mean, high| Some(Span { low, mean, high });
        assert_eq!(found, [span(1.0, 2.0, 3.0), None, span(5.0, 5.0, 5.0)]);
        assert!(spans(&[]).is_empty());
        let large = spans(&[vec![f64::MAX], vec![f64::MAX]]);
        assert!(large[0].unwrap().mean.is_finite());
    }

    #[test]
    fn a_gap_breaks_the_band() {
        let seeds = [
            vec![1.0, 2.0, f64::NAN, 4.0, 5.0, f64::NAN, 6.0],
            vec![2.0, 3.0, f64::NAN, 5.0, 6.0, f64::NAN, 7.0],
        ];
        let drawn = band(0, &spans(&seeds), |step| step as f64, |value| value).into_string();
        assert!(
            drawn.contains(
                "d=\"M0.0 2.0L1.0 3.0L1.0 2.0L0.0 1.0zM3.0 5.0L4.0 6.0L4.0 5.0L3.0 4.0z\""
            ),
            "{drawn}"
        );
        assert!(
            drawn.contains("d=\"M0.0 1.5L1.0 2.5M3.0 4.5L4.0 5.5M6.0 6.5\""),
            "{drawn}"
        );
    }
}
