//! What people should know of a workload before they believe its numbers.

use crate::campaign::Bench;

/// Largest share of input elements that may leave the input's range unremarked.
const SATURATED: f64 = 0.01;

/// What is odd about a design and its workload: `saturated` is the share of input elements beyond the input's range, `labels`
/// the shares of its classes.
pub(super) fn of(bench: &Bench, saturated: Option<f64>, labels: Option<&[f64]>) -> Vec<String> {
    let remarks = bench.accelerator().remarks().iter();
    let mut warnings: Vec<String> = remarks
        .map(|remark| format!("layer `{}` {}", remark.place, remark.text))
        .collect();
    if let Some(share) = saturated.filter(|share| *share > SATURATED) {
        warnings.push(format!(
            "{:.1} % of the input elements lie outside the range of the network's input and are cut off or wrap: look at the ranges of the network on these samples, and at the input scale",
            100.0 * share
        ));
    }
    let most = labels.and_then(|shares| shares.iter().copied().reduce(f64::max));
    if let (Some(accuracy), Some(most)) = (bench.baseline().accuracy, most) {
        let samples = bench.samples() as f64;
        // Two standard errors above always guessing the most frequent class.
        let chance = most + 2.0 * (most * (1.0 - most) / samples).sqrt();
        if most < 1.0 && accuracy <= chance {
            warnings.push(format!(
                "the fault-free accuracy is {:.1} %, no better than always guessing the most frequent class ({:.1} %): look at the ranges of the network on these samples, and check labels, input scale and the order of the samples",
                100.0 * accuracy,
                100.0 * most
            ));
        }
    }
    warnings
}
