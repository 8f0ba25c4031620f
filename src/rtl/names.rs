//! Identifiers and file names from names of networks and memories.

use std::collections::HashSet;

/// One identifier per name: letters, digits and underscores, a letter first, no two equal even where
/// case does not count.
#[must_use]
pub fn identifiers<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut taken = HashSet::new();
    names
        .into_iter()
        .map(|name| {
            let base = identifier(name);
            let mut candidate = base.clone();
            let mut number = 2;
            while !taken.insert(candidate.to_ascii_lowercase()) {
                candidate = format!("{base}_{number}");
                number += 1;
            }
            candidate
        })
        .collect()
}

/// A name with everything replaced that an identifier cannot hold.
pub(super) fn identifier(name: &str) -> String {
    let mut text: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    if !text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        text.insert(0, 'm');
    }
    text
}

/// A name as it can stand in a comment of one line.
pub(super) fn comment(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_legal_and_distinct() {
        let names = [
            "fc.weight",
            "fc_weight",
            "FC.Weight",
            "fc_weight_2",
            "/conv/1",
            "",
            "0",
            "größe",
        ];
        let made = identifiers(names);
        let expected = [
            "fc_weight",
            "fc_weight_2",
            "FC_Weight_3",
            "fc_weight_2_2",
            "m_conv_1",
            "m",
            "m0",
            "gr__e",
        ];
        assert_eq!(made, expected);
    }
}
