//! One element of many samples.

use crate::simulate::functional::fast::casts::Integer;

/// Samples side by side.
pub const SAMPLES: usize = 64;

/// The mantissas of one element, one lane per sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Row<I>(pub [I; SAMPLES]);

impl<I: Integer> Row<I> {
    /// The same mantissa in all lanes.
    #[must_use]
    #[inline(always)]
    pub fn of(mantissa: i64) -> Self {
        Self([I::of(mantissa); SAMPLES])
    }

    /// In 32 bits; wider mantissas lose their top.
    #[must_use]
    #[inline(always)]
    pub fn codes(&self) -> Row<i32> {
        let mut codes = Row([0; SAMPLES]);
        for lane in 0..SAMPLES {
            codes.0[lane] = self.0[lane].wide() as i32;
        }
        codes
    }

    /// What is above the lower 32 bits.
    #[must_use]
    #[inline(always)]
    pub fn upper(&self) -> Row<i32> {
        let mut upper = Row([0; SAMPLES]);
        for lane in 0..SAMPLES {
            upper.0[lane] = (self.0[lane].wide() >> 32) as i32;
        }
        upper
    }

    /// From 32 bits.
    #[must_use]
    #[inline(always)]
    pub fn from_codes(codes: &Row<i32>) -> Self {
        let mut row = Self::of(0);
        for lane in 0..SAMPLES {
            row.0[lane] = I::of(i64::from(codes.0[lane]));
        }
        row
    }
}

/// Whether any lane is not 0.
#[must_use]
#[inline(always)]
pub fn is_any(row: &Row<i32>) -> bool {
    let mut any = 0;
    for lane in 0..SAMPLES {
        any |= row.0[lane];
    }
    any != 0
}

/// A bit per lane that is not 0, lane 0 in bit 0.
#[must_use]
#[inline(always)]
pub fn lanes_of(row: &Row<i32>) -> u64 {
    let mut flags = [0u8; SAMPLES];
    for lane in 0..SAMPLES {
        flags[lane] = u8::from(row.0[lane] != 0);
    }
    let mut mask = 0;
    for group in 0..SAMPLES / 8 {
        let mut bytes = [0; 8];
        for at in 0..8 {
            bytes[at] = flags[8 * group + at];
        }
        // The product moves the lowest bit of each byte into the top byte, in order.
        mask |= (u64::from_le_bytes(bytes).wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * group);
    }
    mask
}
