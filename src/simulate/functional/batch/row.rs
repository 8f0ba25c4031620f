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
        for (code, lane) in codes.0.iter_mut().zip(&self.0) {
            *code = lane.wide() as i32;
        }
        codes
    }

    /// What is above the lower 32 bits.
    #[must_use]
    #[inline(always)]
    pub fn upper(&self) -> Row<i32> {
        let mut upper = Row([0; SAMPLES]);
        for (upper, lane) in upper.0.iter_mut().zip(&self.0) {
            *upper = (lane.wide() >> 32) as i32;
        }
        upper
    }

    /// From 32 bits.
    #[must_use]
    #[inline(always)]
    pub fn from_codes(codes: &Row<i32>) -> Self {
        let mut row = Self::of(0);
        for (lane, &code) in row.0.iter_mut().zip(&codes.0) {
            *lane = I::of(i64::from(code));
        }
        row
    }
}

/// Whether any lane is not 0.
#[must_use]
#[inline(always)]
pub fn is_any(row: &Row<i32>) -> bool {
    row.0.iter().fold(0, |any, &lane| any | lane) != 0
}

/// A bit per lane that is not 0, lane 0 in bit 0.
#[must_use]
#[inline(always)]
pub fn lanes_of(row: &Row<i32>) -> u64 {
    let mut flags = [0u8; SAMPLES];
    for (flag, &lane) in flags.iter_mut().zip(&row.0) {
        *flag = u8::from(lane != 0);
    }
    let mut mask = 0;
    for (group, flags) in flags.chunks_exact(8).enumerate() {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(flags);
        // The product moves the lowest bit of each byte into the top byte, in order.
        mask |= (u64::from_le_bytes(bytes).wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * group);
    }
    mask
}
