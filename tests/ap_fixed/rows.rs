//! Reading the golden rows.

use std::path::Path;

use radstream::fixed_point::{Format, Overflow, Quantization};

pub const QUANTIZATIONS: [Quantization; 7] = [
    Quantization::Rnd,
    Quantization::RndZero,
    Quantization::RndMinInf,
    Quantization::RndInf,
    Quantization::RndConv,
    Quantization::Trn,
    Quantization::TrnZero,
];

pub fn overflow(code: usize, saturation_bits: u8) -> Overflow {
    match code {
        0 => Overflow::Sat,
        1 => Overflow::SatZero,
        2 => Overflow::SatSym,
        3 => Overflow::Wrap { saturation_bits },
        4 => Overflow::WrapSm { saturation_bits },
        _ => panic!("no overflow mode {code}"),
    }
}

/// All records of a gzipped CSV file with a header.
pub fn read(folder: &Path, name: &str) -> Vec<Vec<String>> {
    let file = std::fs::File::open(folder.join("ap_fixed").join(name)).unwrap();
    csv::Reader::from_reader(flate2::read::GzDecoder::new(file))
        .records()
        .map(|record| record.unwrap().iter().map(str::to_owned).collect())
        .collect()
}

pub fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse()
        .unwrap_or_else(|_| panic!("`{text}` is not a number"))
}

pub fn hex(text: &str) -> u128 {
    u128::from_str_radix(text, 16).unwrap()
}

/// The format in three columns: width, integer bits, signed.
pub fn plain_format(columns: &[String]) -> Format {
    Format::wide(number(&columns[0]), number(&columns[1]), columns[2] == "1").unwrap()
}

/// The format in six columns: width, integer bits, signed, quantization, overflow, saturated bits.
pub fn target_format(columns: &[String]) -> Format {
    plain_format(columns)
        .with_quantization(QUANTIZATIONS[number::<usize>(&columns[3])])
        .with_overflow(overflow(number(&columns[4]), number(&columns[5])))
        .unwrap()
}
