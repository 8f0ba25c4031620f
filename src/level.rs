//! Which vector instructions are used.

use std::fmt;
use std::sync::LazyLock;

/// A set of vector instructions that this machine has. All levels compute the same values.
///
/// A level can only be made where its instructions exist, so that holding one proves that they may
/// be executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level(Instructions);

/// From the fewest to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Instructions {
    /// What every machine of the architecture has.
    Baseline,
    /// AVX2 and POPCNT.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 F, BW, DQ and VL.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// Also AVX-512 VNNI (8-bit products) and VPOPCNTDQ (population counts).
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
}

static WIDEST: LazyLock<Level> = LazyLock::new(|| {
    let available = Level::available();
    available[available.len() - 1]
});

impl Level {
    /// Plain code only.
    #[must_use]
    pub fn scalar() -> Self {
        Self(Instructions::Baseline)
    }

    /// The widest of [`Level::available`]; asked of the machine once.
    #[must_use]
    pub fn widest() -> Self {
        *WIDEST
    }

    /// Every level of this machine, the scalar one first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        #[allow(unused_mut)]
        let mut levels = vec![Self::scalar()];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt") {
                levels.push(Self(Instructions::Avx2));
                if is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                {
                    levels.push(Self(Instructions::Avx512));
                    if is_x86_feature_detected!("avx512vnni") && is_x86_feature_detected!("avx512vpopcntdq") {
                        levels.push(Self(Instructions::Avx512Vnni));
                    }
                }
            }
        }
        levels
    }

    /// The instructions; their presence is proved by the level.
    pub(crate) fn instructions(self) -> Instructions {
        self.0
    }

    /// Whether products of bytes have an instruction of their own; other levels widen them to 16 bits.
    pub(crate) fn multiplies_bytes(self) -> bool {
        match self.0 {
            // The scalar twin takes the path of the widest level, so that it is its twin.
            Instructions::Baseline => true,
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 | Instructions::Avx512 => false,
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512Vnni => true,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Instructions::Baseline => "scalar",
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512Vnni => "avx512-vnni-vpopcntdq",
        })
    }
}

/// Defines a safe function that runs a copy of an `#[inline(always)]` body compiled for the level.
///
/// ```text
/// at_level!(/// doc
///     pub fn name(argument: Type, ...) = body);
/// ```
macro_rules! at_level {
    ($(#[$doc:meta])* $visible:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) = $body:expr) => {
        $(#[$doc])*
        #[allow(clippy::too_many_arguments)]
        $visible fn $name(level: $crate::level::Level, $($argument: $type),*) {
            #[cfg(target_arch = "x86_64")]
            #[allow(clippy::too_many_arguments)]
            #[target_feature(enable = "avx2")]
            fn avx2($($argument: $type),*) {
                $body($($argument),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[allow(clippy::too_many_arguments)]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
            fn avx512($($argument: $type),*) {
                $body($($argument),*)
            }
            #[cfg(target_arch = "x86_64")]
            use $crate::level::Instructions;
            match level.instructions() {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: the level proves that the machine has these instructions.
                Instructions::Avx512 | Instructions::Avx512Vnni => unsafe { avx512($($argument),*) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: as above.
                Instructions::Avx2 => unsafe { avx2($($argument),*) },
                _ => $body($($argument),*),
            }
        }
    };
}
pub(crate) use at_level;
