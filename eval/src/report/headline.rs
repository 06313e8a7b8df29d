//! The result in words, computed from the figures: who is better, by how much, at what cost in bytes.

use maud::{Markup, html};

use super::format::{self, percent, percent_spread, plural};
use crate::comparison::{Comparison, MethodResult, Spread};
use crate::summary::MethodSummary;

/// What a method stands for in the comparison, by its name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Shares prompts, trains on synthetic images.
    Generative,
    /// Shares models: a federated method with another cost.
    Federated,
    /// Trains where all private images are in one place: no federated method, the mark to reach.
    Ceiling,
    /// Learns nothing.
    Floor,
}

impl Role {
    pub(super) fn of(name: &str) -> Self {
        match name {
            "chance" => Self::Floor,
            "centralised" => Self::Ceiling,
            _ if name == "fgl" || name.starts_with("fgl-") => Self::Generative,
            _ => Self::Federated,
        }
    }
}

/// The first sentence of the report, and the remarks that put it in proportion.
pub(super) fn headline(comparison: &Comparison, summary: &[MethodSummary]) -> Markup {
    let (sentence, remarks) = words(comparison, summary);
    html! {
        p.headline { (sentence) }
        @if !remarks.is_empty() {
            ul.remarks { @for remark in &remarks { li { (remark) } } }
        }
    }
}

fn words(comparison: &Comparison, summary: &[MethodSummary]) -> (String, Vec<String>) {
    let Some(subject) =
        best(summary, &[Role::Generative]).or_else(|| best(summary, &[Role::Federated]))
    else {
        return (without_a_subject(summary), Vec::new());
    };
    let rival = best_but(summary, subject, &[Role::Federated, Role::Generative]);
    let sentence = match rival {
        Some(rival) => {
            format!(
                "{}; {}: {}.",
                reaches(subject),
                reaches(rival),
                verdict(subject, rival)
            )
        }
        None => format!(
            "{}; no other federated method was measured beside it.",
            reaches(subject)
        ),
    };
    let same_cost = rival.and_then(|rival| at_equal_bytes(comparison, subject, rival));
    let remarks = [
        same_cost,
        ceiling(summary, subject),
        floor(summary, subject),
        unfinished(summary),
    ];
    (sentence, remarks.into_iter().flatten().collect())
}

fn without_a_subject(summary: &[MethodSummary]) -> String {
    match best(summary, &[Role::Ceiling, Role::Floor]) {
        Some(only) => format!(
            "{}; no federated method has an accuracy to compare with it.",
            reaches(only)
        ),
        None => "No run has a measured accuracy, so there is nothing to compare.".into(),
    }
}

fn best<'a>(summary: &'a [MethodSummary], roles: &[Role]) -> Option<&'a MethodSummary> {
    let measured = summary
        .iter()
        .filter(|m| m.accuracy_mean.is_finite() && roles.contains(&Role::of(&m.name)));
    measured.reduce(|best, next| {
        if next.accuracy_mean > best.accuracy_mean {
            next
        } else {
            best
        }
    })
}

fn best_but<'a>(
    summary: &'a [MethodSummary],
    but: &MethodSummary,
    roles: &[Role],
) -> Option<&'a MethodSummary> {
    // Models first: another setting of the same method is a rival only where there is no other method.
    roles.iter().find_map(|role| {
        let others = summary.iter().filter(|m| {
            !std::ptr::eq(*m, but) && m.accuracy_mean.is_finite() && Role::of(&m.name) == *role
        });
        others.reduce(|best, next| {
            if next.accuracy_mean > best.accuracy_mean {
                next
            } else {
                best
            }
        })
    })
}

fn reaches(method: &MethodSummary) -> String {
    let spread = Spread {
        mean: method.accuracy_mean,
        std: method.accuracy_std,
    };
    let accuracy = percent_spread(spread, method.runs);
    let cost = match method.bytes() {
        0 => "no bytes".into(),
        bytes => format!("{} on the wire", format::bytes(bytes)),
    };
    format!(
        "{} reaches {accuracy} test accuracy with {cost}",
        method.name
    )
}

/// How the subject compares with the rival, in accuracy and in bytes.
fn verdict(subject: &MethodSummary, rival: &MethodSummary) -> String {
    let difference = subject.accuracy_mean - rival.accuracy_mean;
    let noise = subject.accuracy_std.hypot(rival.accuracy_std);
    let points = format!("{:.1} points", difference.abs() * 100.0);
    let accuracy = if format!("{:.1}", difference.abs() * 100.0) == "0.0" {
        format!("{} is equally accurate", subject.name)
    } else {
        let side = if difference > 0.0 { "better" } else { "worse" };
        let weight = match () {
            () if subject.runs < 2 || rival.runs < 2 => "with too few seeds to know the spread",
            () if difference.abs() > noise => "more than the spread over seeds",
            () => "within the spread over seeds, so no clear difference",
        };
        format!("{} is {points} {side} ({weight})", subject.name)
    };
    format!(
        "{accuracy} and {}",
        relative_cost(subject.bytes(), rival.bytes())
    )
}

fn relative_cost(subject: u64, rival: u64) -> String {
    match (subject, rival) {
        (0, 0) => "neither sends a byte".into(),
        (0, _) => "sends nothing".into(),
        (_, 0) => "is the only one of the two to send anything".into(),
        (s, r) if s == r => "sends as many bytes".into(),
        (s, r) if s < r => format!("sends {} fewer bytes", times(r as f64 / s as f64)),
        (s, r) => format!("sends {} more bytes", times(s as f64 / r as f64)),
    }
}

fn times(ratio: f64) -> String {
    if ratio < 9.95 {
        return format!("{ratio:.1} times");
    }
    // Two significant digits are all that a ratio of bytes is worth.
    let unit = 10f64.powf(ratio.log10().floor() - 1.0);
    format!(
        "{} times",
        format::count(((ratio / unit).round() * unit).round() as u64)
    )
}

/// What the rival had reached by the time it had sent as much as the subject did in all.
fn at_equal_bytes(
    comparison: &Comparison,
    subject: &MethodSummary,
    rival: &MethodSummary,
) -> Option<String> {
    let method = comparison.methods.iter().find(|m| m.name == rival.name)?;
    let runs: Vec<_> = method
        .runs
        .iter()
        .filter(|run| !run.accuracy_by_bytes.is_empty())
        .collect();
    if runs.is_empty() || subject.bytes() == 0 || subject.bytes() >= rival.bytes() {
        return None;
    }
    let by_then = runs.iter().filter_map(|run| {
        let within = run
            .accuracy_by_bytes
            .iter()
            .filter(|(bytes, _)| *bytes > 0 && *bytes <= subject.bytes());
        within.last().map(|(_, accuracy)| *accuracy)
    });
    let by_then: Vec<f64> = by_then.collect();
    let budget = format::bytes(subject.bytes());
    Some(if by_then.len() < runs.len() {
        format!(
            "After {budget}, all that {} sends, {} has not finished its first round.",
            subject.name, rival.name
        )
    } else {
        let accuracy = percent_spread(Spread::of(by_then.iter().copied()), by_then.len());
        format!(
            "After {budget}, all that {} sends, {} is at {accuracy}.",
            subject.name, rival.name
        )
    })
}

fn ceiling(summary: &[MethodSummary], subject: &MethodSummary) -> Option<String> {
    let ceiling = best(summary, &[Role::Ceiling])?;
    let gap = ceiling.accuracy_mean - subject.accuracy_mean;
    let side = if gap >= 0.0 { "above" } else { "below" };
    Some(format!(
        "With every private image in one place, which federated learning is there to avoid, {} reaches {}: {:.1} points {side} {}.",
        ceiling.name,
        percent_spread(
            Spread {
                mean: ceiling.accuracy_mean,
                std: ceiling.accuracy_std
            },
            ceiling.runs
        ),
        gap.abs() * 100.0,
        subject.name,
    ))
}

fn floor(summary: &[MethodSummary], subject: &MethodSummary) -> Option<String> {
    let floor = best(summary, &[Role::Floor])?;
    let mean = percent(floor.accuracy_mean);
    Some(if subject.accuracy_mean > floor.accuracy_mean {
        format!("Chance is {mean}.")
    } else {
        format!(
            "Chance is {mean}: {} has learned nothing that the test set shows.",
            subject.name
        )
    })
}

fn unfinished(summary: &[MethodSummary]) -> Option<String> {
    let missing: Vec<_> = summary
        .iter()
        .filter(|m| !m.accuracy_mean.is_finite())
        .map(|m| m.name.as_str())
        .collect();
    (!missing.is_empty()).then(|| {
        format!(
            "Without a finite accuracy in every run: {}.",
            missing.join(", ")
        )
    })
}

/// The size of the comparison in a row of figures.
pub(super) fn facts(comparison: &Comparison) -> Markup {
    let data = &comparison.data;
    let private: usize = data.clients.iter().flat_map(|c| &c.images_per_class).sum();
    let runs = comparison
        .methods
        .iter()
        .map(|m: &MethodResult| m.runs.len())
        .max()
        .unwrap_or(0);
    html! {
        ul.facts {
            li { (plural(comparison.methods.len(), "method", "methods")) }
            li { (plural(runs, "seed", "seeds")) }
            li { (plural(data.clients.len(), "client", "clients")) }
            li { (plural(data.classes.len(), "class", "classes")) }
            li { (plural(private, "private image", "private images")) }
            li { (plural(data.test_images, "test image", "test images")) }
            li { "measured in " (format::seconds(comparison.seconds)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn method(name: &str, accuracy: f64, std: f64, bytes: u64) -> MethodSummary {
        MethodSummary {
            name: name.into(),
            runs: 3,
            accuracy_mean: accuracy,
            accuracy_std: std,
            macro_f1: accuracy,
            macro_f1_std: std,
            bytes_up: bytes,
            bytes_down: 0,
            bytes_up_per_client: bytes,
            bytes_down_per_client: 0,
            bytes_by_kind: Vec::new(),
            seconds: 1.0,
        }
    }

    #[test]
    fn a_loss_is_called_a_loss() {
        let said = verdict(
            &method("fgl", 0.4, 0.01, 1_000),
            &method("fedavg", 0.5, 0.02, 9_640_000),
        );
        assert_eq!(
            said,
            "fgl is 10.0 points worse (more than the spread over seeds) and sends 9,600 times fewer bytes"
        );
    }

    #[test]
    fn a_difference_within_the_spread_is_no_win() {
        let said = verdict(
            &method("fgl", 0.51, 0.02, 10),
            &method("fedavg", 0.5, 0.02, 10),
        );
        assert!(
            said.contains(
                "1.0 points better (within the spread over seeds, so no clear difference)"
            ),
            "{said}"
        );
        assert!(said.ends_with("sends as many bytes"));
    }

    #[test]
    fn more_bytes_are_not_called_fewer() {
        assert_eq!(relative_cost(5000, 1000), "sends 5.0 times more bytes");
        assert_eq!(relative_cost(0, 1000), "sends nothing");
    }

    #[test]
    fn the_rival_is_a_federated_method_not_the_ceiling() {
        let all = [
            method("centralised", 0.9, 0.0, 1),
            method("fgl", 0.5, 0.0, 1),
            method("fgl-instance", 0.6, 0.0, 1),
            method("fedavg", 0.4, 0.0, 1),
            method("chance", 0.1, 0.0, 0),
        ];
        let subject = best(&all, &[Role::Generative]).unwrap();
        assert_eq!(subject.name, "fgl-instance");
        assert_eq!(
            best_but(&all, subject, &[Role::Federated, Role::Generative])
                .unwrap()
                .name,
            "fedavg"
        );
        assert!(without_a_subject(&[method("x", f64::NAN, 0.0, 0)]).starts_with("No run"));
    }
}
