use promptfed_kernels::{InstructionSet, Kernels, Precision, Unavailable};

#[test]
fn portable_is_everywhere_and_the_best_is_available() {
    println!("available: {:?}", InstructionSet::available());
    assert!(InstructionSet::Portable.is_available());
    assert!(InstructionSet::best().is_available());
    assert_eq!(
        InstructionSet::available().last(),
        Some(&InstructionSet::best())
    );
}

#[test]
fn a_set_that_is_not_here_is_an_error_that_lists_those_that_are() {
    let Some(absent) = InstructionSet::ALL
        .into_iter()
        .find(|set| !set.is_available())
    else {
        return;
    };
    let error = Kernels::with(absent).unwrap_err();
    assert_eq!(error, Unavailable::Here(absent));
    assert!(error.to_string().contains("portable"), "{error}");
}

#[test]
fn names_are_read_back_and_others_refused() {
    for set in InstructionSet::ALL {
        assert_eq!(set.to_string().parse(), Ok(set));
    }
    let error = "avx3".parse::<InstructionSet>().unwrap_err();
    assert!(error.to_string().contains("avx512"), "{error}");
}

#[test]
fn bf16_is_preferred_only_where_it_is_multiplied() {
    let portable = Kernels::with(InstructionSet::Portable).unwrap();
    assert_eq!(portable.preferred_precision(), Precision::F32);
    for set in InstructionSet::available() {
        let preferred = Kernels::with(set).unwrap().preferred_precision();
        assert!(
            preferred == Precision::F32 || set.multiplies_bf16(),
            "{set}"
        );
        assert!(preferred == Precision::Bf16 || set != InstructionSet::Amx);
    }
}
