use proptest::prelude::*;

use super::*;
use crate::scheme::{Decoded, Hamming};

fn bits(value: u32, width: u32) -> Vec<bool> {
    (0..width).map(|bit| value >> bit & 1 == 1).collect()
}

fn number(word: &[bool]) -> u32 {
    word.iter()
        .enumerate()
        .fold(0, |sum, (at, &set)| sum | u32::from(set) << at)
}

fn cells_of(mask: u32) -> Vec<u32> {
    (0..32).filter(|cell| mask >> cell & 1 == 1).collect()
}

/// Every received word against the definition of a distance-4 code: at most one cell from a codeword it
/// is decoded to that codeword, everything else is reported. Nothing here knows of syndromes.
#[test]
fn secded_decodes_every_word_to_the_codeword_next_to_it() {
    for k in [1u32, 2, 3, 4, 5, 8] {
        let code = Code::new(Scheme::Secded, k);
        let n = code.cells();
        let codewords: Vec<u32> = (0..1 << k)
            .map(|data| number(&code.encode(&bits(data, k))))
            .collect();
        for (at, a) in codewords.iter().enumerate() {
            assert!(
                codewords[..at].iter().all(|b| (a ^ b).count_ones() >= 4),
                "k = {k}"
            );
        }
        let mut seen = [0u32; 3];
        for pattern in 0..1u32 << n {
            let inverted = cells_of(pattern);
            let reading = code.read(&inverted);
            let near = codewords.iter().find(|&&word| (word ^ pattern).count_ones() <= 1);
            let (wrong, verdict) = match near {
                Some(&word) if word == pattern => (word, Verdict::Clean),
                Some(&word) => (word, Verdict::Corrected),
                None => (pattern, Verdict::Detected),
            };
            assert_eq!(reading.verdict, verdict, "k = {k}, pattern {pattern:b}");
            assert_eq!(
                reading.wrong.as_slice(),
                cells_of(wrong & ((1 << k) - 1)),
                "k = {k}, pattern {pattern:b}"
            );
            let rewritten = if verdict == Verdict::Detected {
                pattern
            } else {
                wrong
            };
            assert_eq!(code.rewrite(&inverted).as_slice(), cells_of(rewritten));
            match inverted.len() {
                1 => assert!(!reading.failed()),
                2 => assert_eq!(verdict, Verdict::Detected),
                3 => seen[usize::from(verdict == Verdict::Detected)] += 1,
                _ => {}
            }
            // From two inverted cells on no word is read right without a report.
            assert_eq!(
                reading.failed(),
                inverted.len() > 1,
                "k = {k}, pattern {pattern:b}"
            );
        }
        // Three inverted cells are miscorrected where the code is full, and some are seen where it is not.
        assert!(seen[0] > 0);
        assert_eq!(
            seen[1] == 0,
            (k + hamming_checks(k) + 1).is_power_of_two(),
            "k = {k}"
        );
    }
}

fn hamming_checks(k: u32) -> u32 {
    Code::new(Scheme::Secded, k).row_cells() - k - 1
}

/// Extended Hamming codes by their textbook parity check equations on positions 1..n: check bit `j` makes
/// the ones at positions with bit `j` set even, the overall parity those of all positions.
fn textbook_word(data: &[bool], checks: usize) -> Vec<bool> {
    let n = data.len() + checks;
    let mut positions = vec![false; n + 1];
    let mut next = data.iter();
    for (position, cell) in positions.iter_mut().enumerate().skip(1) {
        if !position.is_power_of_two() {
            *cell = *next.next().expect("a data bit");
        }
    }
    for j in 0..checks {
        let even = (1..=n).filter(|p| p >> j & 1 == 1 && positions[*p]).count() % 2;
        positions[1 << j] = even == 1;
    }
    let mut word: Vec<bool> = data.to_vec();
    word.extend((0..checks).map(|j| positions[1 << j]));
    word.push(word.iter().filter(|set| **set).count() % 2 == 1);
    word
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn real_words_decode_as_their_patterns_say(
        data in proptest::collection::vec(any::<bool>(), 1..150),
        hits in proptest::collection::vec(0u32..1000, 0..6),
    ) {
        let k = data.len() as u32;
        let code = Code::new(Scheme::Secded, k);
        let hamming = Hamming::new(k);
        let clean = code.encode(&data);
        prop_assert_eq!(&clean, &textbook_word(&data, hamming.check_bits() as usize - 1));
        let inverted: Pattern = hits.iter().map(|hit| hit % code.cells()).collect();
        let mut word = clean.clone();
        for &cell in inverted.as_slice() {
            word[cell as usize] ^= true;
        }
        let received = word.clone();
        let decoded = hamming.decode_word(&word);
        prop_assert_eq!(decoded, hamming.decode(inverted.as_slice()));
        if let Decoded::Inverts(cell) = decoded {
            word[cell as usize] ^= true;
        }
        let reading = code.read(inverted.as_slice());
        for bit in 0..k {
            prop_assert_eq!(word[bit as usize] != data[bit as usize], reading.wrong.contains(bit));
        }
        let written = code.rewrite(inverted.as_slice());
        for cell in 0..code.cells() {
            prop_assert_eq!(word[cell as usize] != clean[cell as usize], written.contains(cell));
        }
        prop_assert_eq!(decoded == Decoded::Clean, code.encode(&received[..k as usize]) == received);
    }

    #[test]
    fn copies_are_read_as_their_definitions_say(
        data in proptest::collection::vec(any::<bool>(), 1..8),
        hits in proptest::collection::vec(0u32..1000, 0..9),
    ) {
        let k = data.len();
        for scheme in [Scheme::None, Scheme::Tmr, Scheme::TmrWord, Scheme::Dmr, Scheme::Parity] {
            let code = Code::new(scheme, k as u32);
            let inverted: Pattern = hits.iter().map(|hit| hit % code.cells()).collect();
            let mut word = code.encode(&data);
            for &cell in inverted.as_slice() {
                word[cell as usize] ^= true;
            }
            let copies: Vec<&[bool]> = word.chunks(code.row_cells() as usize).collect();
            let (read, detected): (Vec<bool>, bool) = match scheme {
                Scheme::Tmr => (
                    (0..k).map(|bit| copies.iter().filter(|copy| copy[bit]).count() >= 2).collect(),
                    false,
                ),
                Scheme::TmrWord => {
                    let agreed = copies.iter().find(|a| copies.iter().filter(|b| a == b).count() >= 2);
                    (agreed.unwrap_or(&copies[0]).to_vec(), agreed.is_none())
                }
                Scheme::Dmr => (copies[0].to_vec(), copies[0] != copies[1]),
                Scheme::Parity => (
                    copies[0][..k].to_vec(),
                    copies[0].iter().filter(|set| **set).count() % 2 == 1,
                ),
                _ => (copies[0].to_vec(), false),
            };
            let reading = code.read(inverted.as_slice());
            prop_assert_eq!(reading.verdict == Verdict::Detected, detected, "{}", scheme);
            for bit in 0..k {
                prop_assert_eq!(read[bit] != data[bit], reading.wrong.contains(bit as u32), "{}", scheme);
            }
            let expected: Vec<bool> = match scheme {
                Scheme::Tmr => code.encode(&read),
                Scheme::TmrWord if !detected => code.encode(&read),
                Scheme::Parity if detected => code.encode(&data),
                _ => word.clone(),
            };
            let mut written = code.encode(&data);
            for &cell in code.rewrite(inverted.as_slice()).as_slice() {
                written[cell as usize] ^= true;
            }
            prop_assert_eq!(written, expected, "{}", scheme);
        }
    }
}

#[test]
fn wide_words_correct_one_and_detect_two() {
    for k in [16u32, 64] {
        let code = Code::new(Scheme::Secded, k);
        let n = code.cells();
        for a in 0..n {
            let reading = code.read(&[a]);
            assert_eq!((reading.verdict, reading.wrong.len()), (Verdict::Corrected, 0));
            for b in a + 1..n {
                let reading = code.read(&[a, b]);
                let data = [a, b].iter().filter(|cell| **cell < k).count();
                assert_eq!((reading.verdict, reading.wrong.len()), (Verdict::Detected, data));
            }
        }
    }
}
