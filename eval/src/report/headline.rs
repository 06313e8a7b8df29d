//! The result in words, computed from the figures: who is better, by how much, at what cost in bytes.

use maud::{Markup, html};

use super::format::{self, percent, percent_spread};
use super::role::Role;
use super::verdict::verdict;
use crate::comparison::{Comparison, Spread};
use crate::pairs::Pair;
use crate::summary::MethodSummary;

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
                verdict(subject, rival, &comparison.pairs)
            )
        }
        None => format!(
            "{}; no other federated method was measured beside it.",
            reaches(subject)
        ),
    };
    let same_cost = rival.and_then(|rival| at_equal_bytes(comparison, subject, rival));
    let remarks = [
        chosen_by_test(summary, subject),
        same_cost,
        other_generative(&comparison.pairs, summary, subject, rival),
        ceiling(summary, subject),
        floor(summary, subject),
        unseen(comparison),
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

/// The subject is the best of its kind by the images that the sentence is about.
fn chosen_by_test(summary: &[MethodSummary], subject: &MethodSummary) -> Option<String> {
    let role = Role::of(&subject.name);
    let alike = summary
        .iter()
        .filter(|m| m.accuracy_mean.is_finite() && Role::of(&m.name) == role);
    (alike.count() > 1).then(|| {
        format!(
            "{} stands here because it is the best of its kind on these test images, which flatters it a little.",
            subject.name
        )
    })
}

/// What the rival had reached by the time it had moved as many bytes as the subject did in all.
fn at_equal_bytes(
    comparison: &Comparison,
    subject: &MethodSummary,
    rival: &MethodSummary,
) -> Option<String> {
    let method = comparison.methods.iter().find(|m| m.name == rival.name)?;
    let runs: Vec<_> = method
        .runs
        .iter()
        // One point is the end, and no course.
        .filter(|run| run.accuracy_by_bytes.len() > 1)
        .collect();
    if runs.is_empty() || subject.bytes() == 0 || subject.bytes() >= rival.bytes() {
        return None;
    }
    let by_then = runs.iter().filter_map(|run| {
        let within = run
            .accuracy_by_bytes
            .iter()
            .filter(|(bytes, _)| *bytes > 0 && *bytes <= subject.bytes());
        within
            .max_by_key(|(bytes, _)| *bytes)
            .map(|(_, accuracy)| *accuracy)
    });
    let by_then: Vec<f64> = by_then.collect();
    if !by_then.iter().all(|accuracy| accuracy.is_finite()) {
        return None;
    }
    let budget = format::bytes(subject.bytes());
    Some(if by_then.len() < runs.len() {
        format!(
            "After {budget}, all that {} needs, {} has not finished its first round.",
            subject.name, rival.name
        )
    } else {
        let accuracy = percent_spread(Spread::of(by_then.iter().copied()), by_then.len());
        format!(
            "After {budget}, all that {} needs, {} is at {accuracy}.",
            subject.name, rival.name
        )
    })
}

/// How the subject compares with another method of its kind: one engine beside several.
fn other_generative(
    pairs: &[Pair],
    summary: &[MethodSummary],
    subject: &MethodSummary,
    rival: Option<&MethodSummary>,
) -> Option<String> {
    let other = best_but(summary, subject, &[Role::Generative])?;
    let is_said = rival.is_some_and(|rival| std::ptr::eq(rival, other));
    (!is_said && Role::of(&subject.name) == Role::Generative)
        .then(|| format!("{}: {}.", reaches(other), verdict(subject, other, pairs)))
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
    let what = match floor.name.as_str() {
        "majority" => "Always naming the most frequent class gives",
        _ => "Chance is",
    };
    Some(if subject.accuracy_mean > floor.accuracy_mean {
        format!("{what} {mean}.")
    } else {
        format!(
            "{what} {mean}: {} has learned nothing that the test set shows.",
            subject.name
        )
    })
}

/// What the generator cannot draw is no measure of what prompts are worth.
fn unseen(comparison: &Comparison) -> Option<String> {
    let unseen = &comparison.unseen_classes;
    (!unseen.is_empty()).then(|| {
        format!(
            "The generator was never shown the words of {} of {} classes ({}): its images of them need not look like them, and what is trained on them is measured with that.",
            unseen.len(),
            comparison.data.classes.len(),
            unseen.join(", ")
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::report) fn method(
        name: &str,
        accuracy: f64,
        std: f64,
        bytes: u64,
    ) -> MethodSummary {
        MethodSummary {
            name: name.into(),
            runs: 3,
            accuracy_mean: accuracy,
            accuracy_std: std,
            accuracy_interval: None,
            balanced_accuracy: accuracy,
            balanced_accuracy_std: std,
            balanced_accuracy_interval: None,
            collapsed: false,
            macro_f1: accuracy,
            macro_f1_std: std,
            macro_f1_interval: None,
            expected_calibration_error: None,
            negative_log_likelihood: None,
            bytes_up: bytes,
            bytes_down: 0,
            bytes_up_per_client: bytes,
            bytes_down_per_client: 0,
            bytes_by_kind: Vec::new(),
            seconds: 1.0,
            jobs: 1,
            simulated_seconds: None,
            seconds_to_target: None,
            runs_at_target: None,
            synthetic: None,
        }
    }

    #[test]
    fn the_better_of_fused_and_single_is_the_subject_and_the_other_is_told() {
        let mut all = vec![
            method("fgl", 0.5, 0.01, 1_000),
            method("fused", 0.45, 0.01, 1_010),
            method("fedavg", 0.4, 0.01, 9_000),
        ];
        let told = |all: &[MethodSummary]| {
            let subject = best(all, &[Role::Generative]).unwrap();
            let rival = best_but(all, subject, &[Role::Federated, Role::Generative]);
            other_generative(&[], all, subject, rival)
        };
        let said = told(&all).unwrap();
        assert!(
            said.contains("fgl is 5.0 points above fused") && said.contains("about as many bytes"),
            "{said}"
        );
        all[1].accuracy_mean = 0.6;
        assert!(
            told(&all)
                .unwrap()
                .contains("fused is 10.0 points above fgl")
        );
        // Where nothing else is there, the first sentence has said it.
        assert_eq!(told(&all[..2]), None);
    }

    #[test]
    fn a_choice_by_the_test_images_is_told_where_there_was_one() {
        let mut all = vec![
            method("fgl", 0.5, 0.0, 1),
            method("fedavg", 0.4, 0.0, 1),
            method("fedprox", 0.3, 0.0, 1),
        ];
        assert_eq!(chosen_by_test(&all, &all[0]), None);
        all.push(method("fused", f64::NAN, 0.0, 1));
        assert_eq!(chosen_by_test(&all, &all[0]), None);
        all[3].accuracy_mean = 0.45;
        let said = chosen_by_test(&all, &all[0]).unwrap();
        assert!(said.starts_with("fgl stands here"), "{said}");
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
