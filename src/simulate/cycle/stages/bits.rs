//! Strings of bits in limbs.

use super::super::register::mask;

/// `count` bits from bit `at` on, at most 64.
#[inline]
fn read(from: &[u64], at: usize, count: usize) -> u64 {
    let (limb, shift) = (at / 64, at % 64);
    let low = from[limb] >> shift;
    let value = if shift + count > 64 {
        low | from[limb + 1] << (64 - shift)
    } else {
        low
    };
    value & mask(count as u32)
}

/// Copies a string of `count` bits from one word to another.
pub(super) fn copy_bits(from: &[u64], mut from_at: usize, to: &mut [u64], mut to_at: usize, count: usize) {
    let mut left = count;
    while left > 0 {
        let (limb, shift) = (to_at / 64, to_at % 64);
        let take = left.min(64 - shift);
        let cut = mask(take as u32) << shift;
        to[limb] = to[limb] & !cut | read(from, from_at, take) << shift;
        from_at += take;
        to_at += take;
        left -= take;
    }
}

/// Copies a string of `count` bits within a word; where the two places overlap it has to move down.
pub(super) fn move_bits(word: &mut [u64], mut from: usize, mut to: usize, count: usize) {
    let mut left = count;
    while left > 0 {
        let (limb, shift) = (to / 64, to % 64);
        let take = left.min(64 - shift);
        let cut = mask(take as u32) << shift;
        word[limb] = word[limb] & !cut | read(word, from, take) << shift;
        from += take;
        to += take;
        left -= take;
    }
}

/// Moves all bits of a word down by `by`; zeros come in at the top.
pub(super) fn shift_down(word: &mut [u64], by: usize) {
    let (limbs, bits) = (by / 64, by % 64);
    let len = word.len();
    for at in 0..len {
        let low = word.get(at + limbs).copied().unwrap_or(0);
        let high = word.get(at + limbs + 1).copied().unwrap_or(0);
        word[at] = if bits == 0 {
            low
        } else {
            low >> bits | high << (64 - bits)
        };
    }
}

/// Binary logarithm of a count, rounded up: the bits of an address below `count`; 0 for one place.
pub(super) fn address_bits(count: u64) -> u32 {
    u64::BITS - count.saturating_sub(1).leading_zeros()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bit(word: &[u64], at: usize) -> bool {
        word[at / 64] >> (at % 64) & 1 == 1
    }

    proptest! {
        #[test]
        fn copies_and_shifts_are_those_of_single_bits(
            from in prop::collection::vec(any::<u64>(), 5),
            to in prop::collection::vec(any::<u64>(), 5),
            from_at in 0usize..160, to_at in 0usize..160, count in 0usize..160, by in 0usize..330,
        ) {
            let mut copied = to.clone();
            copy_bits(&from, from_at, &mut copied, to_at, count);
            for at in 0..320 {
                let expected = if (to_at..to_at + count).contains(&at) {
                    bit(&from, at - to_at + from_at)
                } else {
                    bit(&to, at)
                };
                prop_assert_eq!(bit(&copied, at), expected, "{}", at);
            }
            let mut moved = from.clone();
            move_bits(&mut moved, to_at.max(from_at), to_at.min(from_at), count);
            let mut expected = from.clone();
            copy_bits(&from, to_at.max(from_at), &mut expected, to_at.min(from_at), count);
            prop_assert_eq!(moved, expected);
            let mut shifted = from.clone();
            shift_down(&mut shifted, by);
            for at in 0..320 {
                prop_assert_eq!(bit(&shifted, at), at + by < 320 && bit(&from, at + by));
            }
        }
    }

    #[test]
    fn address_bits_reach_every_place() {
        let expected = [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (256, 8), (257, 9)];
        for (count, bits) in expected {
            assert_eq!(address_bits(count), bits, "{count}");
        }
    }
}
