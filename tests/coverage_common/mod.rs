//! Coverage: how often intervals hold the truth, and how sure that is.

#![allow(dead_code, reason = "each test uses a part")]

use serde_json::Value;

/// How often intervals held the truth.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Coverage {
    /// Replications.
    pub replications: u64,
    /// Those whose interval held the truth.
    pub held: u64,
}

impl Coverage {
    /// Counts intervals (low, high) that hold `truth`, ends included. Rounding of an end that equals the
    /// truth (all values the same) does not count against the interval.
    pub fn of(intervals: impl IntoIterator<Item = (f64, f64)>, truth: f64) -> Self {
        let rounding = 1e-12 * truth.abs();
        let mut coverage = Self::default();
        for (low, high) in intervals {
            coverage.replications += 1;
            coverage.held += u64::from(low <= truth + rounding && truth - rounding <= high);
        }
        coverage
    }

    pub fn share(self) -> f64 {
        self.held as f64 / self.replications.max(1) as f64
    }

    /// The probability of at most so many held intervals where each holds with probability `nominal`: the
    /// first-kind error of calling the coverage too low. The exact binomial sum.
    pub fn error(self, nominal: f64) -> f64 {
        let n = self.replications;
        let log_term = |k: u64| {
            libm::lgamma(n as f64 + 1.0) - libm::lgamma(k as f64 + 1.0) - libm::lgamma((n - k) as f64 + 1.0)
                + k as f64 * nominal.ln()
                + (n - k) as f64 * (1.0 - nominal).ln()
        };
        (0..=self.held).map(|k| log_term(k).exp()).sum::<f64>().min(1.0)
    }
}

/// Rows of a table whose coverage is below `nominal`, where one such row among all of true coverage
/// `nominal` has at most probability `table_error` (Bonferroni).
pub fn too_low(rows: &[(String, Coverage)], nominal: f64, table_error: f64) -> Vec<String> {
    let per_row = table_error / rows.len().max(1) as f64;
    rows.iter()
        .filter(|(_, coverage)| coverage.error(nominal) < per_row)
        .map(|(name, coverage)| format!("{name}: {:.3}", coverage.share()))
        .collect()
}

/// An interval of a report.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its JSON pointer.
    pub path: String,
    pub low: f64,
    /// Infinite where the report says `null`.
    pub high: f64,
    pub method: String,
    /// The estimate that it belongs to, in the report of the long run.
    pub truth: f64,
}

/// Every interval of `small` with its estimate in `long`, a report of the same shape.
///
/// An interval is an object with the keys low, high, confidence and method. Its estimate is the number
/// whose key is the interval's without `_interval` (or with `_share` in its place); for the key `interval`, the
/// sibling `mean`, `value` or `share`. Elements of lists that have a `group`, a `register`, a `unit`, a `class`, a
/// `layer` or an `outcome` belong together by that name, others by their position. For another key, or for two estimates, that is an error. So is an estimate that the long run
/// does not have; null in both is no interval.
pub fn intervals(small: &Value, long: &Value) -> Result<Vec<Found>, String> {
    let mut found = Vec::new();
    walk(small, long, "", &mut found)?;
    Ok(found)
}

fn walk(small: &Value, long: &Value, path: &str, found: &mut Vec<Found>) -> Result<(), String> {
    match (small, long) {
        (Value::Object(small), Value::Object(other)) => {
            for (key, value) in small {
                let path = format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
                if is_interval(value) {
                    found.push(read(key, value, other, path)?);
                } else {
                    let partner = other.get(key).ok_or(format!("{path}: not in the long run"))?;
                    walk(value, partner, &path, found)?;
                }
            }
            Ok(())
        }
        (Value::Array(small), Value::Array(long)) if small.iter().all(|value| name(value).is_some()) => {
            for value in small {
                let named = name(value);
                let partner = long.iter().find(|other| name(other) == named);
                let path = format!("{path}/{}", named.unwrap_or_default());
                walk(
                    value,
                    partner.ok_or(format!("{path}: not in the long run"))?,
                    &path,
                    found,
                )?;
            }
            Ok(())
        }
        (Value::Array(small), Value::Array(long)) => {
            if small.len() != long.len() {
                return Err(format!("{path}: {} and {} elements", small.len(), long.len()));
            }
            for (i, (value, partner)) in small.iter().zip(long).enumerate() {
                if is_interval(value) {
                    return Err(format!("{path}/{i}: an interval without an estimate"));
                }
                walk(value, partner, &format!("{path}/{i}"), found)?;
            }
            Ok(())
        }
        (Value::Object(_) | Value::Array(_), other) => Err(format!("{path}: {other} in the long run")),
        _ => Ok(()),
    }
}

/// What an element of a list is called.
fn name(value: &Value) -> Option<&str> {
    ["group", "register", "unit", "class", "layer", "outcome"]
        .iter()
        .find_map(|key| value.get(key)?.as_str())
}

fn is_interval(value: &Value) -> bool {
    ["low", "high", "confidence", "method"]
        .iter()
        .all(|key| value.get(key).is_some())
}

fn read(
    key: &str,
    value: &Value,
    long: &serde_json::Map<String, Value>,
    path: String,
) -> Result<Found, String> {
    let names: Vec<String> = match key.strip_suffix("_interval") {
        Some(name) => vec![name.to_owned(), format!("{name}_share")],
        None if key == "interval" => ["mean", "value", "share"].map(str::to_owned).into(),
        None => return Err(format!("{path}: whose interval is this?")),
    };
    let estimates: Vec<f64> = names.iter().filter_map(|name| long.get(name)?.as_f64()).collect();
    let [truth] = estimates[..] else {
        return Err(format!("{path}: {} estimates among {names:?}", estimates.len()));
    };
    Ok(Found {
        low: value["low"].as_f64().ok_or(format!("{path}/low: no number"))?,
        high: match &value["high"] {
            Value::Null => f64::INFINITY,
            high => high.as_f64().ok_or(format!("{path}/high: no number"))?,
        },
        method: value["method"].as_str().unwrap_or_default().to_owned(),
        truth,
        path,
    })
}
