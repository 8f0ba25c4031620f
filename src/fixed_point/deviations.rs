//! Where the `ap_fixed` headers that hls4ml compiles leave the textbook.
//!
//! The textbook is the default everywhere in this room. What must reproduce hls4ml's emulation asks
//! for [`Deviations::HEADERS`], or for the deviations it means by name.

use std::fmt;

/// One rule by which the headers give another value than the textbook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Deviation {
    /// `AP_WRAP_SM` without saturated bits takes the new sign from the source *before* rounding.
    ///
    /// Where rounding carries into the lowest deleted bit the result is inverted relative to the
    /// definition.
    WrapSmSignBeforeRounding,
    /// `AP_SAT_SYM` to one signed bit clamps negative values to -1.
    ///
    /// The symmetric range of one signed bit holds 0 alone.
    SatSymWidthOne,
    /// A double is taken apart by its bit fields, whatever they mean.
    ///
    /// The hidden bit is always set, so that a subnormal `f * 2^-1022` counts as
    /// `(1 + f) * 2^-1023`, an infinity as `2^1024` and a NaN as `(1 + f) * 2^1024`, all with
    /// their sign. The textbook has no value for infinities and NaNs.
    DoubleByItsFields,
    /// A comparison between a signed and an unsigned value may read a negative value as unsigned.
    ///
    /// It does where, with the binary points aligned by zeros below, the unsigned operand has at
    /// least 32 bits and at least as many as the signed one; the negative value then counts as
    /// the larger. A left operand that gets such zeros counts with one bit more.
    MixedSignComparison,
}

impl Deviation {
    /// All deviations.
    pub const ALL: [Self; 4] = [
        Self::WrapSmSignBeforeRounding,
        Self::SatSymWidthOne,
        Self::DoubleByItsFields,
        Self::MixedSignComparison,
    ];

    /// The deviation's name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::WrapSmSignBeforeRounding => "wrap_sm_sign_before_rounding",
            Self::SatSymWidthOne => "sat_sym_width_one",
            Self::DoubleByItsFields => "double_by_its_fields",
            Self::MixedSignComparison => "mixed_sign_comparison",
        }
    }

    const fn flag(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of deviations from the textbook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Deviations(u8);

impl Deviations {
    /// None: IEEE 1666 as written.
    pub const TEXTBOOK: Self = Self(0);

    /// All of them: as the headers compute.
    pub const HEADERS: Self = Self::TEXTBOOK
        .with(Deviation::WrapSmSignBeforeRounding)
        .with(Deviation::SatSymWidthOne)
        .with(Deviation::DoubleByItsFields)
        .with(Deviation::MixedSignComparison);

    /// The set with one more deviation.
    #[must_use]
    pub const fn with(self, deviation: Deviation) -> Self {
        Self(self.0 | deviation.flag())
    }

    /// Whether a deviation is in the set.
    #[must_use]
    pub const fn contains(self, deviation: Deviation) -> bool {
        self.0 & deviation.flag() != 0
    }
}

impl From<Deviation> for Deviations {
    fn from(deviation: Deviation) -> Self {
        Self::TEXTBOOK.with(deviation)
    }
}

impl FromIterator<Deviation> for Deviations {
    fn from_iter<I: IntoIterator<Item = Deviation>>(deviations: I) -> Self {
        deviations
            .into_iter()
            .fold(Self::TEXTBOOK, |set, deviation| set.with(deviation))
    }
}
