//! What does a number in records depend on? A linear model of some of their columns.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use miette::Diagnostic;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::StudyError;
use crate::campaign::statistics::{LinearModel, interactions, least_squares};
use crate::data::{did_you_mean, open_file};

/// A table, and columns that are the same in all of its rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableSource {
    /// A CSV file with a header.
    pub file: PathBuf,
    /// Further columns, with their one value.
    #[serde(default)]
    pub values: BTreeMap<String, f64>,
}

/// A text that names no table.
#[derive(Clone, Debug, Error, Diagnostic, PartialEq, Eq)]
#[error("`{text}` names no table")]
#[diagnostic(
    code(radstream::regression::table),
    help("expected FILE.csv, or FILE.csv:name=value,name=value with a number for each further column")
)]
pub struct TableSourceError {
    text: String,
}

impl FromStr for TableSource {
    type Err = TableSourceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || TableSourceError {
            text: text.to_owned(),
        };
        let (file, list) = match text.rsplit_once(':') {
            Some((file, list)) if list.contains('=') => (file, list),
            _ => (text, ""),
        };
        let mut values = BTreeMap::new();
        for item in list.split(',').filter(|item| !item.is_empty()) {
            let (name, value) = item.split_once('=').ok_or_else(bad)?;
            let value: f64 = value.trim().parse().map_err(|_| bad())?;
            if !value.is_finite() || name.trim().is_empty() {
                return Err(bad());
            }
            values.insert(name.trim().to_owned(), value);
        }
        if file.is_empty() {
            return Err(bad());
        }
        Ok(Self {
            file: file.into(),
            values,
        })
    }
}

/// Fits a linear model to the rows of tables.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegressRequest {
    /// The tables.
    pub tables: Vec<TableSource>,
    /// The column that is explained.
    pub response: String,
    /// The columns that explain it.
    pub factors: Vec<String>,
    /// Most factors that are multiplied with each other; all of them where no number is stated.
    pub interactions: Option<usize>,
}

impl Default for RegressRequest {
    fn default() -> Self {
        Self {
            tables: Vec::new(),
            response: "accuracy".to_owned(),
            factors: vec!["flips".to_owned()],
            interactions: None,
        }
    }
}

/// A fitted model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RegressReport {
    /// The column that is explained.
    pub response: String,
    /// How the model was fitted.
    pub method: &'static str,
    /// The model.
    #[serde(flatten)]
    pub model: LinearModel,
}

/// Most factors: their products double with each.
const MOST_FACTORS: usize = 8;

impl RegressRequest {
    /// Fits the model.
    ///
    /// # Errors
    /// [`StudyError::Request`] where a table cannot be read, a column is missing or holds something else than
    /// numbers, or the rows do not determine the model.
    pub fn run(&self) -> Result<RegressReport, StudyError> {
        if self.factors.is_empty() || self.factors.len() > MOST_FACTORS {
            return Err(StudyError::refused_about(
                "factors",
                format!("{} factors are out of range", self.factors.len()),
                format!("1 to {MOST_FACTORS} columns"),
            ));
        }
        if self.tables.is_empty() {
            return Err(StudyError::refused("there is no table", "one or more CSV files"));
        }
        let mut response = Vec::new();
        let mut factors: Vec<(String, Vec<f64>)> = (self.factors.iter())
            .map(|name| (name.trim().to_owned(), Vec::new()))
            .collect();
        for table in &self.tables {
            read(table, self.response.trim(), &mut response, &mut factors)?;
        }
        let order = self.interactions.unwrap_or(factors.len()).max(1);
        let model = least_squares(&interactions(&factors, order), &response)?;
        Ok(RegressReport {
            response: self.response.clone(),
            method: "ordinary least squares; p is two-sided by Student's distribution, for residuals that are independent and normal with one variance",
            model,
        })
    }
}

/// Appends the rows of a table.
fn read(
    table: &TableSource,
    response_name: &str,
    response: &mut Vec<f64>,
    factors: &mut [(String, Vec<f64>)],
) -> Result<(), StudyError> {
    let file: &Path = &table.file;
    let unreadable = |error: String| {
        StudyError::refused(
            format!("{}: cannot be read: {error}", file.display()),
            "a CSV file with a header; check the path and its permissions",
        )
    };
    let opened = open_file(file).map_err(|error| unreadable(error.to_string()))?;
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(std::io::BufReader::new(opened));
    let header = reader
        .headers()
        .map_err(|error| unreadable(error.to_string()))?
        .clone();
    let column = |name: &str| -> Result<Result<usize, f64>, StudyError> {
        let here = header.iter().position(|column| column == name);
        match (here, table.values.get(name)) {
            (None, Some(value)) => Ok(Err(*value)),
            (Some(at), None) => Ok(Ok(at)),
            (Some(_), Some(_)) => Err(StudyError::refused(
                format!(
                    "{}: has a column `{name}`, and another value is given for it",
                    file.display()
                ),
                "one of the two",
            )),
            (None, None) => {
                let known: Vec<&str> = header
                    .iter()
                    .chain(table.values.keys().map(String::as_str))
                    .collect();
                let hint = did_you_mean(name, known.iter().copied());
                Err(StudyError::refused(
                    format!("{}: has no column `{name}`{hint}", file.display()),
                    format!(
                        "one of {}, or a value for it behind the file's name",
                        known.join(", ")
                    ),
                ))
            }
        }
    };
    let of_response = column(response_name)?;
    let of_factors = factors
        .iter()
        .map(|(name, _)| column(name))
        .collect::<Result<Vec<_>, _>>()?;
    for record in reader.records() {
        let record = record.map_err(|error| unreadable(error.to_string()))?;
        let line = record.position().map_or(0, csv::Position::line);
        let value = |of: &Result<usize, f64>, name: &str| match of {
            Err(value) => Ok(*value),
            Ok(at) => {
                let text = record.get(*at).unwrap_or("");
                let number: Option<f64> = text.parse().ok();
                number.filter(|number| number.is_finite()).ok_or_else(|| {
                    StudyError::refused(
                        format!(
                            "{}: line {line}: `{text}` in the column `{name}` is no number",
                            file.display()
                        ),
                        "a finite number in every row",
                    )
                })
            }
        };
        response.push(value(&of_response, response_name)?);
        for ((name, values), of) in factors.iter_mut().zip(&of_factors) {
            values.push(value(of, name)?);
        }
    }
    Ok(())
}
