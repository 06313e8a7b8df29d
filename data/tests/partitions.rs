//! Partitions and splits: disjoint, complete, of minimum size, reproducible, and skewed as asked.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use promptfed_data::{DataError, Partition, partition, stratified_split};
use proptest::prelude::*;

const DOMAINS: u32 = 4;
const CLASSES: u32 = 6;

fn samples() -> impl Strategy<Value = (Vec<u32>, Vec<u32>)> {
    prop::collection::vec((0..CLASSES, 0..DOMAINS), 0..300).prop_map(|s| s.into_iter().unzip())
}

fn schemes() -> impl Strategy<Value = Partition> {
    prop_oneof![
        (1..12usize).prop_map(|clients| Partition::Iid { clients }),
        (1..12usize, 0.001..50.0f64)
            .prop_map(|(clients, alpha)| Partition::Dirichlet { clients, alpha }),
        Just(Partition::DomainPerClient),
        (0.001..50.0f64, 1..5usize).prop_map(|(alpha, clients_per_domain)| {
            Partition::DomainAndLabelSkew {
                alpha,
                clients_per_domain,
            }
        }),
    ]
}

proptest! {
    #[test]
    fn every_sample_goes_to_one_client_and_no_client_starves(
        (labels, domains) in samples(),
        scheme in schemes(),
        minimum in 0..12usize,
        seed: u64,
    ) {
        let present = domains.iter().collect::<BTreeSet<_>>().len();
        let smallest = domains
            .iter()
            .map(|d| domains.iter().filter(|o| *o == d).count())
            .min()
            .unwrap_or(0);
        let possible = match scheme {
            Partition::Iid { clients } | Partition::Dirichlet { clients, .. } => {
                labels.len() >= clients * minimum
            }
            Partition::DomainPerClient => present == 0 || smallest >= minimum,
            Partition::DomainAndLabelSkew { clients_per_domain, .. } => {
                present == 0 || smallest >= minimum * clients_per_domain
            }
            _ => unreachable!(),
        };
        match partition(&labels, &domains, &scheme, minimum, seed) {
            Ok(clients) => {
                prop_assert!(possible);
                let expected = match scheme {
                    Partition::Iid { clients } | Partition::Dirichlet { clients, .. } => clients,
                    Partition::DomainPerClient => present,
                    Partition::DomainAndLabelSkew { clients_per_domain, .. } => present * clients_per_domain,
                    _ => unreachable!(),
                };
                prop_assert_eq!(clients.len(), expected);
                let mut all = clients.concat();
                all.sort_unstable();
                prop_assert_eq!(all, (0..labels.len()).collect::<Vec<_>>());
                for client in &clients {
                    prop_assert!(client.len() >= minimum);
                    prop_assert!(client.is_sorted());
                }
                if let Partition::Iid { .. } = scheme {
                    let sizes = clients.iter().map(Vec::len);
                    prop_assert!(sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1);
                }
                let per_domain = match scheme {
                    Partition::DomainPerClient => Some(1),
                    Partition::DomainAndLabelSkew { clients_per_domain, .. } => Some(clients_per_domain),
                    _ => None,
                };
                if let Some(per_domain) = per_domain {
                    for group in clients.chunks(per_domain) {
                        let seen: BTreeSet<u32> = group.iter().flatten().map(|&i| domains[i]).collect();
                        prop_assert_eq!(seen.len(), 1);
                    }
                }
                prop_assert_eq!(&clients, &partition(&labels, &domains, &scheme, minimum, seed).unwrap());
            }
            Err(DataError::ImpossiblePartition { .. }) => prop_assert!(!possible),
            Err(other) => return Err(TestCaseError::fail(other.to_string())),
        }
    }

    #[test]
    fn partitions_survive_being_written(scheme in schemes()) {
        prop_assert_eq!(scheme.to_string().parse::<Partition>().unwrap(), scheme);
        let json = serde_json::to_string(&scheme).unwrap();
        prop_assert_eq!(serde_json::from_str::<Partition>(&json).unwrap(), scheme);
    }

    #[test]
    fn any_text_is_a_partition_or_an_error(text in "\\PC{0,30}") {
        if let Ok(scheme) = text.parse::<Partition>() {
            prop_assert_eq!(scheme.to_string().parse::<Partition>().unwrap(), scheme);
        }
    }

    #[test]
    fn splits_hold_out_the_fraction_of_every_class(
        labels in prop::collection::vec(0..CLASSES, 0..300),
        fraction in 0.01..0.99f64,
        seed: u64,
    ) {
        let (kept, held_out) = stratified_split(&labels, fraction, seed);
        let mut all = [kept.clone(), held_out.clone()].concat();
        all.sort_unstable();
        prop_assert_eq!(all, (0..labels.len()).collect::<Vec<_>>());
        prop_assert!(kept.is_sorted() && held_out.is_sorted());
        for class in 0..CLASSES {
            let of_class = |indices: &[usize]| indices.iter().filter(|&&i| labels[i] == class).count();
            let (k, h) = (of_class(&kept), of_class(&held_out));
            let wanted = (k + h) as f64 * fraction;
            prop_assert!((h as f64 - wanted).abs() <= 1.0);
            if k + h >= 2 {
                prop_assert!(k >= 1 && h >= 1);
            } else {
                prop_assert_eq!(h, 0);
            }
        }
        prop_assert_eq!((kept, held_out), stratified_split(&labels, fraction, seed));
    }
}

/// Total variation distance between a client's class distribution and the whole's, averaged over clients with samples.
fn skew(clients: &[Vec<usize>], labels: &[u32]) -> f64 {
    let distribution = |indices: &[usize]| {
        let mut shares = [0.0; CLASSES as usize];
        for &i in indices {
            shares[labels[i] as usize] += 1.0 / indices.len() as f64;
        }
        shares
    };
    let whole = distribution(&(0..labels.len()).collect::<Vec<_>>());
    let with_samples: Vec<&Vec<usize>> = clients.iter().filter(|c| !c.is_empty()).collect();
    let distance = |client: &&Vec<usize>| {
        let own = distribution(client);
        own.iter()
            .zip(whole)
            .map(|(a, b)| (a - b).abs())
            .sum::<f64>()
            / 2.0
    };
    with_samples.iter().map(distance).sum::<f64>() / with_samples.len() as f64
}

#[test]
fn alpha_goes_from_one_class_per_client_to_uniform() {
    let labels: Vec<u32> = (0..6000).map(|i| i % CLASSES).collect();
    let domains: Vec<u32> = (0..6000).map(|i| i / 1500).collect();
    for within_domains in [false, true] {
        let at = |alpha| {
            let scheme = if within_domains {
                Partition::DomainAndLabelSkew {
                    alpha,
                    clients_per_domain: 3,
                }
            } else {
                Partition::Dirichlet { clients: 6, alpha }
            };
            skew(
                &partition(&labels, &domains, &scheme, 0, 3).unwrap(),
                &labels,
            )
        };
        let skews: Vec<f64> = [0.001, 0.1, 1.0, 10.0, 10_000.0].map(at).to_vec();
        assert!(skews.is_sorted_by(|a, b| a > b), "{skews:?}");
        // Three clients share six classes, so that each must hold about two of them.
        let most = if within_domains { 0.55 } else { 0.6 };
        assert!(skews[0] > most && skews[4] < 0.03, "{skews:?}");
    }
}

#[test]
fn seeds_and_schemes_give_different_deals() {
    let labels: Vec<u32> = (0..200).map(|i| i % CLASSES).collect();
    let domains = vec![0; 200];
    let deal = |scheme: &str, seed| {
        partition(&labels, &domains, &scheme.parse().unwrap(), 1, seed).unwrap()
    };
    assert_ne!(deal("iid:4", 1), deal("iid:4", 2));
    assert_ne!(deal("dirichlet:4:0.5", 1), deal("dirichlet:4:0.5", 2));
    assert_ne!(deal("dirichlet:4:0.5", 1), deal("dirichlet:4:0.6", 1));
}

/// Results must not change between releases: seeds are published beside results.
#[test]
fn deals_stay_as_they_are() {
    let labels: Vec<u32> = (0..24).map(|i| i % 3).collect();
    let domains: Vec<u32> = (0..24).map(|i| i / 12).collect();
    let deal =
        |scheme: &str| partition(&labels, &domains, &scheme.parse().unwrap(), 2, 42).unwrap();
    assert_eq!(
        deal("domain"),
        [(0..12).collect::<Vec<_>>(), (12..24).collect()]
    );
    assert_text(&deal("iid:3"), IID);
    assert_text(&deal("dirichlet:3:0.3"), DIRICHLET);
    assert_text(&deal("domain+dirichlet:0.3:2"), DOMAIN_AND_LABEL);
    assert_text(&[stratified_split(&labels, 0.25, 42).1], HELD_OUT);
}

fn assert_text(clients: &[Vec<usize>], expected: &str) {
    assert_eq!(format!("{clients:?}"), expected);
}

const IID: &str =
    "[[1, 3, 5, 7, 16, 18, 19, 23], [0, 4, 11, 12, 13, 15, 20, 22], [2, 6, 8, 9, 10, 14, 17, 21]]";
const DIRICHLET: &str =
    "[[1, 4, 7, 10, 13], [2, 5, 8, 11, 14, 16, 19, 20, 22, 23], [0, 3, 6, 9, 12, 15, 17, 18, 21]]";
const DOMAIN_AND_LABEL: &str = "[[0, 1, 3, 4, 6, 7, 9, 10], [2, 5, 8, 11], [13, 16, 17, 19, 20, 22], [12, 14, 15, 18, 21, 23]]";
const HELD_OUT: &str = "[[7, 15, 18, 19, 20, 23]]";

#[test]
fn numbers_out_of_range_are_named() {
    for (text, expected) in [
        ("iid:0", "0 clients"),
        ("iid", "too few"),
        ("iid:5:1", "too few or too many"),
        ("iid:-1", "no number of clients"),
        ("dirichlet:5:0", "alpha 0"),
        ("dirichlet:5:-1", "alpha -1"),
        ("dirichlet:5:nan", "alpha NaN"),
        ("dirichlet:5:inf", "alpha inf"),
        ("dirichlet:5:x", "`x` is no number"),
        ("domain+dirichlet:0.5:0", "0 clients"),
        ("iid:9999999999", "clients, expected 1 to"),
        ("by-colour", "no such scheme"),
    ] {
        let error = text.parse::<Partition>().unwrap_err().to_string();
        assert!(
            error.contains(expected) && error.contains("write iid:CLIENTS"),
            "{error}"
        );
    }
    let invalid = Partition::Dirichlet {
        clients: 2,
        alpha: f64::NAN,
    };
    assert!(matches!(
        partition(&[0, 1], &[0, 0], &invalid, 0, 0),
        Err(DataError::BadPartition { .. })
    ));
    assert!(matches!(
        partition(&[0, 1], &[0], &Partition::DomainPerClient, 0, 0),
        Err(DataError::ImpossiblePartition { .. })
    ));
    let error = partition(&[0, 1], &[0, 0], &Partition::Iid { clients: 2 }, 2, 0).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("2 samples cannot give 2 clients 2 each"),
        "{error}"
    );
    assert!(partition(&[0], &[0], &Partition::Iid { clients: 2 }, usize::MAX, 0).is_err());
}

#[test]
fn split_fractions_are_clamped() {
    let labels = [0, 0, 1];
    assert_eq!(stratified_split(&labels, 0.0, 1), (vec![0, 1, 2], vec![]));
    assert_eq!(stratified_split(&labels, -3.0, 1), (vec![0, 1, 2], vec![]));
    assert_eq!(
        stratified_split(&labels, f64::NAN, 1),
        (vec![0, 1, 2], vec![])
    );
    assert_eq!(stratified_split(&labels, 7.0, 1), (vec![], vec![0, 1, 2]));
}
