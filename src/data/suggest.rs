//! Names that are near a name that is none.

/// The known name that is nearest to a name that is none, where it is near: at most a third of the letters, and
/// at least one, inserted, left out, replaced or swapped with their neighbour.
#[must_use]
pub fn suggest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    let length = wanted.chars().count();
    let most = (length / 3).max(1);
    known
        .into_iter()
        // No fewer changes than the lengths differ by; a name of a file may be of any length.
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= most)
        .map(|candidate| {
            (
                strsim::osa_distance(&wanted, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The suggestion as the end of a sentence: `; did you mean ...?`, or nothing.
#[must_use]
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    suggest(name, known).map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KNOWN: [&str; 5] = [
        "kintex7_bram",
        "digits_medium_ae",
        "matmul_1",
        "cross-entropy",
        "secded",
    ];

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn one_wrong_letter_finds_the_name(which in 0usize..5, at in 0usize..20, letter in "[a-z_]") {
            let mut name: Vec<char> = KNOWN[which].chars().collect();
            let at = at % name.len();
            name[at] = letter.chars().next().unwrap();
            let name: String = name.into_iter().collect();
            prop_assert_eq!(suggest(&name, KNOWN), Some(KNOWN[which]));
        }
    }

    #[test]
    fn what_is_far_is_not_suggested() {
        assert_eq!(suggest("conv", KNOWN), None);
        assert_eq!(suggest("", KNOWN), None);
        assert_eq!(
            did_you_mean("kintex7-bram", KNOWN),
            "; did you mean `kintex7_bram`?"
        );
    }
}
