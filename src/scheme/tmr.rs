//! Triple modular redundancy of single bits.

/// The majority of three cells.
#[must_use]
pub fn vote(a: bool, b: bool, c: bool) -> bool {
    (a & b) | (a & c) | (b & c)
}

#[cfg(test)]
mod tests {
    use super::vote;

    #[test]
    fn the_majority_wins() {
        for bits in 0..8u8 {
            let [a, b, c] = [bits & 1 != 0, bits & 2 != 0, bits & 4 != 0];
            assert_eq!(vote(a, b, c), bits.count_ones() >= 2);
        }
    }
}
