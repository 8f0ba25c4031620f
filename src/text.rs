//! Numbers and tables as people write them. It uses no room.

/// Widest line of a table.
const WIDTH: usize = 80;

/// A number with five significant digits, without an exponent where it needs none.
#[must_use]
pub fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if !value.is_finite() {
        return if value.is_nan() {
            "not a number"
        } else {
            "unbounded"
        }
        .to_owned();
    }
    let size = value.abs();
    if (1e-3..1e7).contains(&size) {
        let digits = (4 - size.log10().floor() as i32).clamp(0, 7) as usize;
        let text = format!("{value:.digits$}");
        let text = if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.')
        } else {
            &text
        };
        return grouped(text);
    }
    let text = format!("{value:.4e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    format!("{digits}e{exponent}")
}

/// The digits before the point in groups of three, where there are more than four.
fn grouped(text: &str) -> String {
    let (sign, rest) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (whole, fraction) = rest.split_once('.').map_or((rest, None), |(a, b)| (a, Some(b)));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) && whole.len() > 4 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    match fraction {
        Some(fraction) => format!("{sign}{grouped}.{fraction}"),
        None => format!("{sign}{grouped}"),
    }
}

/// A whole number with its digits in groups of three.
#[must_use]
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share as a percentage; small ones keep their digits.
#[must_use]
pub fn percent(share: f64) -> String {
    let value = 100.0 * share;
    if value == 0.0 || value.abs() >= 0.1 {
        format!("{value:.1} %")
    } else {
        format!("{} %", number(value))
    }
}

/// Two ends of a range.
#[must_use]
pub fn range(low: f64, high: f64) -> String {
    format!("{} .. {}", number(low), number(high))
}

/// A table whose columns are as wide as their widest cell; the first and those without a heading are flush
/// left. Where it is wider than 80 characters, the columns that do not fit follow below, each part with the
/// first column again.
#[must_use]
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([header[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let mut parts: Vec<Vec<usize>> = vec![vec![0]];
    let mut used = widths.first().copied().unwrap_or(0);
    for (column, &width) in widths.iter().enumerate().skip(1) {
        let part = parts.last_mut().expect("at least one part");
        if used + 2 + width > WIDTH && part.len() > 1 {
            parts.push(vec![0, column]);
            used = widths[0] + 2 + width;
        } else {
            part.push(column);
            used += 2 + width;
        }
    }
    let texts: Vec<String> = parts
        .iter()
        .map(|columns| part(header, rows, &widths, columns))
        .collect();
    texts.join("\n\n")
}

fn part(header: &[&str], rows: &[Vec<String>], widths: &[usize], columns: &[usize]) -> String {
    let render = |cell: &dyn Fn(usize) -> String| {
        let cells: Vec<String> = columns
            .iter()
            .map(|&column| {
                let (cell, width) = (cell(column), widths[column]);
                if column == 0 || header[column].is_empty() {
                    format!("{cell:<width$}")
                } else {
                    format!("{cell:>width$}")
                }
            })
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![
        render(&|column| header[column].to_owned()),
        render(&|column| "-".repeat(widths[column])),
    ];
    lines.extend(rows.iter().map(|row| render(&|column| row[column].clone())));
    lines.join("\n")
}

/// A whole number as people write it: `1000000`, `1_000_000`, `1,000,000` or `1e6`.
#[must_use]
pub fn whole(text: &str) -> Option<u64> {
    let plain: String = text.chars().filter(|digit| !matches!(digit, '_' | ',')).collect();
    if let Ok(number) = plain.parse() {
        return Some(number);
    }
    let real = plain.parse::<f64>().ok();
    real.filter(|number| number.fract() == 0.0 && (0.0..=9e15).contains(number))
        .map(|number| number as u64)
}

/// A share as people write it: `0.5%`, `0.5 %` or `0.005`.
#[must_use]
pub fn share(text: &str) -> Option<f64> {
    let share = match text.strip_suffix('%') {
        Some(percent) => percent.trim_end().parse::<f64>().ok()? / 100.0,
        None => text.parse().ok()?,
    };
    (0.0..=1.0).contains(&share).then_some(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_people_do() {
        for (value, text) in [
            (0.0, "0"),
            (2.336, "2.336"),
            (84_122.640_000_000_01, "84,123"),
            (1.0, "1"),
            (1000.0, "1000"),
            (123_456.0, "123,456"),
            (-0.5, "-0.5"),
            (9.202e-4, "9.202e-4"),
            (2e-10, "2e-10"),
            (4.982_4e-6, "4.9824e-6"),
            (1.5e9, "1.5e9"),
            (99.999_99, "100"),
            (f64::INFINITY, "unbounded"),
        ] {
            assert_eq!(number(value), text);
        }
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(percent(0.632), "63.2 %");
        assert_eq!(percent(1e-5), "0.001 %");
    }

    #[test]
    fn a_wide_table_goes_on_below_and_no_line_is_too_long() {
        let header = [
            "design",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "bbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
            "cccccccccc",
            "d",
        ];
        let rows = vec![header.iter().map(|cell| (*cell).to_owned()).collect(); 3];
        let text = table(&header, &rows);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let wanted = header.iter().skip(1).all(|cell| text.matches(*cell).count() >= 4);
        assert!(wanted, "{text}");
        assert_eq!(text.matches("design").count(), 2 * 4);
    }
}
