//! Subsets, joins and hashes of labelled images.
#![allow(clippy::unwrap_used)]

use promptfed_data::LabelledImages;
use proptest::prelude::*;

fn images(labels: &[u32]) -> LabelledImages {
    LabelledImages {
        size: 2,
        pixels: labels
            .iter()
            .enumerate()
            .flat_map(|(i, &l)| [i as u8 ^ l as u8; 12])
            .collect(),
        labels: labels.to_vec(),
        domains: labels.iter().map(|l| l % 2).collect(),
        class_names: vec!["a".into(), "b".into(), "c".into()],
        domain_names: vec!["x".into(), "y".into()],
    }
}

proptest! {
    #[test]
    fn subsets_joined_again_are_the_whole(labels in prop::collection::vec(0..3u32, 1..30), cut in 0.0..1.0f64) {
        let all = images(&labels);
        let cut = (labels.len() as f64 * cut) as usize;
        let head = all.subset(&(0..cut).collect::<Vec<_>>());
        let tail = all.subset(&(cut..labels.len()).collect::<Vec<_>>());
        let joined = LabelledImages::concat(&[&head, &tail]).unwrap();
        prop_assert_eq!(&joined, &all);
        prop_assert_eq!(joined.hash(), all.hash());
    }
}

#[test]
fn the_hash_sees_every_field() {
    let base = images(&[0, 1, 2]);
    let mut hashes = vec![base.hash()];
    let changes: [fn(&mut LabelledImages); 6] = [
        |i| i.pixels[5] ^= 1,
        |i| i.labels[1] = 0,
        |i| i.domains[0] = 1,
        |i| i.class_names[0] = "z".into(),
        |i| i.domain_names[0] = "z".into(),
        |i| std::mem::swap(&mut i.labels, &mut i.domains),
    ];
    for change in changes {
        let mut changed = base.clone();
        change(&mut changed);
        hashes.push(changed.hash());
    }
    // Moving a letter from one name to the next must not cancel out.
    let mut shifted = base.clone();
    shifted.class_names = vec!["ab".into(), String::new(), "c".into()];
    hashes.push(shifted.hash());
    let count = hashes.len();
    hashes.sort_by_key(|h| *h.as_bytes());
    hashes.dedup();
    assert_eq!(hashes.len(), count);
}

#[test]
fn what_does_not_fit_is_not_joined() {
    let base = images(&[0, 1]);
    let changes: [fn(&mut LabelledImages); 3] = [
        |i| i.size = 3,
        |i| i.class_names[0] = "z".into(),
        |i| i.domain_names.clear(),
    ];
    for change in changes {
        let mut other = base.clone();
        change(&mut other);
        assert!(LabelledImages::concat(&[&base, &other]).is_err());
    }
    assert!(LabelledImages::concat(&[]).is_err());
}
