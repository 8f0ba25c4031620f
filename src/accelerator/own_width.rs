//! Tensors whose elements have widths of their own, in registers that hold one element each.
//!
//! An element keeps the bits of its own format, the narrowest that holds its value: `minimal_kif` of hls4ml
//! (`utils/qinterval.py`), whose largest parts make the tensor's type there. Below the format's last bit the
//! element is 0, above its first bit it repeats the sign, of a value that is not negative 0: these bits have no
//! flip-flop, and no address.

use serde::Serialize;

/// The bits of an element that exist: `width` of them from bit `low` of the tensor's type up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Window {
    /// Bit 0 of the element's own format among the bits of the tensor's type.
    pub(super) low: u32,
    /// Its width; 0 where the element is 0.
    pub(super) width: u32,
}

impl Window {
    /// The window of a mantissa.
    pub(super) fn of(mantissa: i64) -> Self {
        if mantissa == 0 {
            return Self { low: 0, width: 0 };
        }
        let low = mantissa.trailing_zeros();
        let odd = mantissa >> low;
        let width = if odd < 0 {
            65 - (!odd).leading_zeros()
        } else {
            64 - odd.leading_zeros()
        };
        Self { low, width }
    }

    /// One bit past its last.
    pub(super) fn end(self) -> u32 {
        self.low + self.width
    }

    /// The bits of a mantissa that its own format keeps, from bit 0 up.
    pub(super) fn bits_of(self, mantissa: i64) -> u64 {
        if self.width == 0 {
            return 0;
        }
        (mantissa >> self.low) as u64 & (u64::MAX >> (64 - self.width))
    }

    /// The mantissa after the bits of `mask`, counted in the tensor's type, have been inverted. An element whose value
    /// is negative has a signed format.
    pub(super) fn flipped(self, mantissa: i64, mask: u64) -> i64 {
        if self.width == 0 {
            return mantissa;
        }
        let bits = self.bits_of(mantissa) ^ self.bits_of(mask as i64);
        let above = 64 - self.width;
        let number = if mantissa < 0 {
            ((bits << above) as i64) >> above
        } else {
            bits as i64
        };
        number << self.low
    }
}

/// The registers of one window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Group {
    window: Window,
    /// The elements in order.
    elements: Vec<u64>,
}

/// Where the elements of a tensor lie: a memory for every window that occurs, in the order of their last bits, with
/// the elements of that window in order, one per word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct OwnWidths {
    groups: Vec<Group>,
    /// Position of an element's group, and of the element in it; none where no bit of it exists.
    slots: Vec<Option<(u32, u64)>>,
}

impl OwnWidths {
    pub(super) fn of(values: &[i64]) -> Self {
        let windows: Vec<Window> = values.iter().map(|&value| Window::of(value)).collect();
        let mut kinds: Vec<Window> = windows
            .iter()
            .copied()
            .filter(|window| window.width > 0)
            .collect();
        kinds.sort_unstable();
        kinds.dedup();
        let mut groups: Vec<Group> = kinds
            .into_iter()
            .map(|window| Group {
                window,
                elements: Vec::new(),
            })
            .collect();
        let slots = (0u64..)
            .zip(&windows)
            .map(|(element, window)| {
                let group = groups.binary_search_by_key(window, |group| group.window).ok()?;
                let elements = &mut groups[group].elements;
                elements.push(element);
                Some((group as u32, elements.len() as u64 - 1))
            })
            .collect();
        Self { groups, slots }
    }

    pub(super) fn elements(&self) -> u64 {
        self.slots.len() as u64
    }

    pub(super) fn memories(&self) -> u64 {
        self.groups.len() as u64
    }

    /// Words, bits of a word, and what the name of a memory ends in.
    pub(super) fn memory(&self, memory: u64) -> (u64, u32, String) {
        let Group { window, elements } = &self.groups[memory as usize];
        let name = format!("bits{}_{}", window.low, window.end() - 1);
        (elements.len() as u64, window.width, name)
    }

    /// The bits of an element that exist, in the tensor's type.
    pub(super) fn window(&self, element: u64) -> Option<Window> {
        let slot = self.slots.get(usize::try_from(element).ok()?)?;
        Some(slot.map_or(Window { low: 0, width: 0 }, |(group, _)| {
            self.groups[group as usize].window
        }))
    }

    /// Memory, word and bit of a bit that exists.
    pub(super) fn place(&self, element: u64, bit: u64) -> Option<(u64, u64, u64)> {
        let (group, word) = (*self.slots.get(usize::try_from(element).ok()?)?)?;
        let window = self.groups[group as usize].window;
        let bit = bit.checked_sub(u64::from(window.low))?;
        (bit < u64::from(window.width)).then_some((u64::from(group), word, bit))
    }

    /// Element and bit at a place within the memories.
    pub(super) fn logical(&self, memory: u64, word: u64, bit: u64) -> (u64, u64) {
        let Group { window, elements } = &self.groups[memory as usize];
        let element = elements.get(word as usize).copied().unwrap_or(self.elements());
        (element, bit + u64::from(window.low))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_rational::BigRational;
    use num_traits::{Signed, Zero};
    use proptest::prelude::*;

    /// `minimal_kif` on exact numbers: sign, integer bits without it, fractional bits.
    fn minimal_kif(value: &BigRational) -> (bool, i32, i32) {
        let power = |exponent: i32| {
            let two = BigRational::from_integer(2.into());
            let magnitude = num_traits::pow(two, exponent.unsigned_abs() as usize);
            if exponent < 0 {
                magnitude.recip()
            } else {
                magnitude
            }
        };
        if value.is_zero() {
            return (false, 0, 0);
        }
        // The fewest fractional bits that make it whole, negative ones included.
        let f = (-70..70)
            .find(|&f| (value * power(f)).is_integer())
            .expect("a dyadic number");
        // ceil(log2(max(value + 2^-f, -value)))
        let reach = (value + power(-f)).max(-value);
        let i = (-70..71).find(|&i| power(i) >= reach).expect("a small number");
        (value.is_negative(), i, f)
    }

    proptest! {
        #[test]
        fn a_window_is_the_minimal_format_of_hls4ml(
            mantissa in prop_oneof![-40i64..40, any::<i32>().prop_map(i64::from), (any::<i16>(), 0u32..40).prop_map(
                |(value, shift)| i64::from(value) << shift)],
            frac in -8i32..20,
            mask: u64,
        ) {
            let unit = BigRational::from_integer(2.into());
            let step = if frac < 0 {
                num_traits::pow(unit, frac.unsigned_abs() as usize)
            } else {
                num_traits::pow(unit, frac as usize).recip()
            };
            let value = BigRational::from_integer(mantissa.into()) * &step;
            let (k, i, f) = minimal_kif(&value);
            let window = Window::of(mantissa);
            prop_assert_eq!(window.width as i32, i32::from(k) + i + f, "{}", mantissa);
            if mantissa != 0 {
                prop_assert_eq!(window.low as i32, frac - f);
            }
            // Every pattern of its own bits is a number k, i, f; bits of weight 2^(bit - frac), the first of a
            // signed one negative.
            let flipped = window.flipped(mantissa, mask);
            let mut number = BigRational::zero();
            for bit in window.low..window.end() {
                let was = value_bit(mantissa, bit);
                let is = was ^ (mask >> bit & 1 == 1);
                let weight = BigRational::from_integer(num_traits::pow(num_bigint::BigInt::from(2), bit as usize)) * &step;
                if is {
                    if k && bit + 1 == window.end() {
                        number -= weight;
                    } else {
                        number += weight;
                    }
                }
            }
            prop_assert_eq!(BigRational::from_integer(flipped.into()) * &step, number);
            prop_assert_eq!(window.flipped(mantissa, 0), mantissa);
        }
    }

    fn value_bit(mantissa: i64, bit: u32) -> bool {
        num_bigint::BigInt::from(mantissa).bit(u64::from(bit))
    }
}
