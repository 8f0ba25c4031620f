//! When words pass the stages of FINN's dataflow that nothing holds up: the latencies and rates of the units as
//! measured on their RTL (`shared/facts/finn.md`, C), as recurrences over the words of one frame.
//!
//! A list holds the edges at which the words of a stream pass, in order.

/// `Q_srl`: a word comes out one edge later.
pub fn fifo(words: &[u64]) -> Vec<u64> {
    delayed(words, 1)
}

/// So many registers.
pub fn delayed(words: &[u64], registers: u64) -> Vec<u64> {
    words.iter().map(|edge| edge + registers).collect()
}

/// Results one a cycle at most, each so many edges behind what it needs last.
pub fn paced(needs: impl IntoIterator<Item = u64>, latency: u64) -> Vec<u64> {
    let mut before = None;
    needs
        .into_iter()
        .map(|needs| {
            let edge = before.map_or(0, |before: u64| before + 1).max(needs + latency);
            before = Some(edge);
            edge
        })
        .collect()
}

/// `fmpadding` by one pixel on every side: border words need no input, and the first one passes at edge 1.
pub fn padding(words: &[u64], [rows, columns]: [usize; 2], folds: usize) -> Vec<u64> {
    let inside = |at: usize, extent: usize| (1..=extent).contains(&at);
    let mut pixels = words.iter();
    let positions = (0..rows + 2).flat_map(|y| (0..columns + 2).map(move |x| (y, x)));
    let needs = positions.flat_map(|(y, x)| vec![inside(y, rows) && inside(x, columns); folds]);
    let needs: Vec<u64> = needs
        .map(|is_pixel| if is_pixel { *pixels.next().unwrap() } else { 0 })
        .collect();
    paced(needs, 1)
}

/// The last pixel of each window, or of each tap where a word is one tap.
fn window_pixels([rows, columns]: [usize; 2], kernel: usize, stride: usize, taps: bool) -> Vec<usize> {
    let mut pixels = Vec::new();
    for y in (0..=rows - kernel).step_by(stride) {
        for x in (0..=columns - kernel).step_by(stride) {
            let of_window = (0..kernel * kernel).map(|tap| (y + tap / kernel) * columns + x + tap % kernel);
            let skipped = if taps { 0 } else { kernel * kernel - 1 };
            pixels.extend(of_window.skip(skipped));
        }
    }
    pixels
}

/// `swg_template_parallel`: a window one edge behind its last pixel.
pub fn parallel_windows(words: &[u64], map: [usize; 2], kernel: usize) -> Vec<u64> {
    paced(
        window_pixels(map, kernel, 1, false)
            .iter()
            .map(|&pixel| words[pixel]),
        1,
    )
}

/// `swg_template_default`: a tap two edges behind its pixel.
pub fn serial_windows(words: &[u64], map: [usize; 2], kernel: usize) -> Vec<u64> {
    paced(
        window_pixels(map, kernel, 1, true)
            .iter()
            .map(|&pixel| words[pixel]),
        2,
    )
}

/// A pool of windows side by side: a result so many edges behind its window's last pixel.
pub fn pool(words: &[u64], map: [usize; 2], kernel: usize, latency: u64) -> Vec<u64> {
    paced(
        window_pixels(map, kernel, kernel, false)
            .iter()
            .map(|&pixel| words[pixel]),
        latency,
    )
}

/// `dwc` to words that are so many times as wide: one edge behind the last part.
pub fn wider(words: &[u64], by: usize) -> Vec<u64> {
    delayed(
        &words.chunks(by).map(|parts| parts[by - 1]).collect::<Vec<_>>(),
        1,
    )
}

/// `dwc` to so many parts: the first one two edges behind the word.
pub fn narrower(words: &[u64], by: usize) -> Vec<u64> {
    paced(words.iter().flat_map(|&word| vec![word; by]), 2)
}

/// `mvu_vvu_axi` with the DSP48 core: `sf` words make a vector, which is used `nf` times; a result six edges
/// behind its last step, and a replay buffer of two edges where a vector is used again.
pub fn product(words: &[u64], sf: usize, nf: usize) -> Vec<u64> {
    let needs = words.chunks(sf).flat_map(|vector| vector.repeat(nf));
    let steps = paced(needs, if nf == 1 { 0 } else { 2 });
    let results = steps.chunks(sf).map(|steps| steps[sf - 1] + 6);
    results.collect()
}

/// A product of high-level synthesis, which keeps a vector while it uses it first: a result so many edges behind its
/// last step.
pub fn product_of_synthesis(words: &[u64], sf: usize, nf: usize, latency: u64) -> Vec<u64> {
    let needs = words.chunks(sf).flat_map(|vector| vector.repeat(nf));
    let results = paced(needs, 0);
    results.chunks(sf).map(|steps| steps[sf - 1] + latency).collect()
}
