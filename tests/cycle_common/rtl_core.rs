//! Which register of a matrix-vector unit stands for a register of the RTL's compute core.

/// Words of a register, lanes of a word, bits of a lane.
#[derive(Clone, Copy)]
pub struct Size {
    pub words: usize,
    pub lanes: usize,
    pub bits: u32,
}

/// A register, one of its words, and a bit of the word.
pub type Place = (&'static str, usize, u32);

/// A register without the numbers of its instances.
pub fn kind(register: &str) -> String {
    let mut kind = String::new();
    let mut inside = false;
    for letter in register.chars() {
        inside = letter == '[' || inside && letter != ']';
        if !inside {
            kind.push(letter);
        }
    }
    kind.replace(']', "")
}

/// The numbers of the instances.
pub fn indices(register: &str) -> Vec<usize> {
    let inner = register.split('[').skip(1);
    inner
        .map(|rest| {
            let number = rest.split(']').next().expect("a bracket");
            number.parse().expect("an index")
        })
        .collect()
}

/// The place of a bit of a core: `kind` is the register's path in the core without numbers, `at` are the numbers.
pub fn place(kind: &str, at: &[usize], bit: u32, sizes: &dyn Fn(&str) -> Option<Size>) -> Option<Place> {
    match sizes("canary_1") {
        Some(_) => dsp48(kind, at, bit, sizes),
        None => dsp58(kind, at, bit, sizes),
    }
}

/// The last name of a path.
fn name(kind: &str) -> &str {
    kind.rsplit('.').next().unwrap_or(kind)
}

/// `mvu_8sx8u_dsp48` and `mvu_4sx4u`: pipe first, then input lane or lane of the slice.
fn dsp48(kind: &str, at: &[usize], bit: u32, sizes: &dyn Fn(&str) -> Option<Size>) -> Option<Place> {
    let first = at.first().copied().unwrap_or(0);
    let second = at.get(1).copied().unwrap_or(0);
    let lanes = sizes("canary_1")?.lanes + 1;
    let results = sizes("results")?;
    let pipes = results.words / lanes;
    let slice = first * (sizes("products")?.words / pipes) + second;
    // Unpacked [3:1], of one element for two lanes.
    let canary = || match (lanes, at.get(2)) {
        (2, None) => Some(bit),
        (_, Some(&lane)) => Some(2 * (lane as u32 - 1) + bit),
        _ => None,
    };
    const LOW: [&str; 3] = ["low_sums_0", "low_sums_1", "low_sums_2"];
    const HIGH: [&str; 3] = ["high_sums_0", "high_sums_1", "high_sums_2"];
    // The lowest lanes of the last pipe may have no sums.
    Some(match name(kind) {
        // The first register is the highest bit.
        "L" => ("last", 0, 4 - bit),
        "B1" => ("activation_operands", slice, bit),
        "AD1" => ("weight_operands", slice, bit),
        "M2" => ("products", slice, bit),
        "P3" => ("running_sums", slice, bit),
        "X1" => ("canary_1", slice, canary()?),
        "X2" => ("canary_2", slice, canary()?),
        "X3" => ("canary_3", slice, canary()?),
        "Hi4" if lanes == 2 => ("high_sums", first, bit),
        "Hi4" => (HIGH[second], first, bit),
        "Lo4" if second == lanes - 1 => ("upper_sums", first, bit),
        "Lo4" if lanes == 2 => ("low_sums", first, bit),
        "Lo4" => (LOW[second], first, bit),
        "Res5" => {
            let lane = (bit / results.bits) as usize;
            ("results", lanes * first + lane, bit % results.bits)
        }
        _ => return None,
    })
}

/// `mvu_vvu_8sx9_dsp58`: row first, then place in the chain.
fn dsp58(kind: &str, at: &[usize], bit: u32, sizes: &dyn Fn(&str) -> Option<Size>) -> Option<Place> {
    let first = at.first().copied().unwrap_or(0);
    let second = at.get(1).copied().unwrap_or(0);
    let third = at.get(2).copied().unwrap_or(0);
    let words = |name: &str| sizes(name).map_or(0, |size| size.words);
    let rows = words("running_sums");
    let chain = words("products") / rows;
    // The slices of the first segment have one register of operands, the others two.
    let segment = 2 * chain - words("activation_operands") / rows;
    let segments = chain.div_ceil(segment);
    let delays = |at: usize| (at / segment).saturating_sub(1);
    let delays_of_row = words("weight_delays") / rows;
    let of_whole_slices: usize = (0..chain - 1).map(|at| 3 * delays(at)).sum();
    let ways = |at: usize| match at + 1 == chain {
        true => (delays_of_row - of_whole_slices) / delays(at).max(1),
        false => 3,
    };
    // The first register is the highest word.
    let delayed = |name: &'static str, bits: u32| {
        let (ways, word) = (ways(second), (bit / bits) as usize);
        let (stage, way) = (word / ways, word % ways);
        let before: usize = (0..second).map(|at| 3 * delays(at)).sum();
        Some((
            name,
            first * delays_of_row + before + stage * ways + way,
            bit % bits,
        ))
    };
    let slice = first * chain + second;
    let operand = || {
        let before = second + second.saturating_sub(segment);
        first * (2 * chain - segment) + before + third
    };
    let sums_of_row = (chain - 1) / segment;
    Some(match name(kind) {
        "L" => ("last", 0, (1 + segments - first) as u32),
        "Z" => ("missing", 0, first as u32),
        // Packed [0:n]: register 0, the oldest, is highest.
        "A" | "XA" => delayed("activation_delays", sizes("activation_delays")?.bits)?,
        "B" | "XB" => delayed("weight_delays", sizes("weight_delays")?.bits)?,
        "Areg" => ("activation_operands", operand(), bit),
        "Breg" => ("weight_operands", operand(), bit),
        "InmodeZero" => ("zeroed", slice, bit),
        "Mreg" => ("products", slice, bit),
        "Preg" if second + 1 == chain => ("running_sums", first, bit),
        "Preg" => ("chain_sums", first * sums_of_row + second / segment, bit),
        "Opmode" if second + 1 == chain => ("restarts", first, bit),
        _ => return None,
    })
}
