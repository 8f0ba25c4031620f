//! Reading RON files, with errors that point into the file.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use miette::{Diagnostic, SourceSpan};
use ron::extensions::Extensions;
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::{Excerpt, MOST_OF_PROBLEM, shortened};

/// Text of a file together with its name, shared by everything that points into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceText {
    /// Name for people, usually the path as it was given.
    pub name: String,
    /// The whole text.
    pub text: Arc<str>,
}

impl SourceText {
    /// A text that did not come from a file, or whose file has been read already.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
        }
    }

    /// The lines around a place in bytes, as diagnostics quote them.
    #[must_use]
    pub fn excerpt(&self, place: Range<usize>) -> Excerpt {
        Excerpt::new(&self.name, &self.text, place)
    }

    /// Byte range of the first string literal with exactly this content, comments left out.
    #[must_use]
    pub fn find_string(&self, content: &str) -> Option<Range<usize>> {
        let literal = format!("\"{content}\"");
        self.find_token(|token| token == literal)
    }

    /// Byte range of the first field with this name, comments and strings left out.
    #[must_use]
    pub fn find_field(&self, name: &str) -> Option<Range<usize>> {
        self.find_token(|token| token == name)
    }

    /// Byte range of the first string literal or word that is wanted.
    fn find_token(&self, wanted: impl Fn(&str) -> bool) -> Option<Range<usize>> {
        let bytes = self.text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            match bytes[at] {
                b'/' if bytes.get(at + 1) == Some(&b'/') => {
                    at += bytes[at..]
                        .iter()
                        .position(|&b| b == b'\n')
                        .unwrap_or(bytes.len() - at);
                }
                b'/' if bytes.get(at + 1) == Some(&b'*') => {
                    at = self.text[at..]
                        .find("*/")
                        .map_or(bytes.len(), |length| at + length + 2);
                }
                b'"' => {
                    let start = at;
                    at += 1;
                    while at < bytes.len() && bytes[at] != b'"' {
                        at += 1 + usize::from(bytes[at] == b'\\');
                    }
                    at = (at + 1).min(bytes.len());
                    if self.text.get(start..at).is_some_and(&wanted) {
                        return Some(start..at);
                    }
                }
                byte if byte.is_ascii_alphanumeric() || byte == b'_' => {
                    let start = at;
                    at += bytes[at..]
                        .iter()
                        .position(|b| !(b.is_ascii_alphanumeric() || *b == b'_'))
                        .unwrap_or(bytes.len() - at);
                    if self.text.get(start..at).is_some_and(&wanted) {
                        return Some(start..at);
                    }
                }
                _ => at += 1,
            }
        }
        None
    }
}

/// Why a RON file was refused.
#[derive(Debug, Error, Diagnostic)]
pub enum RonError {
    /// The file cannot be opened or is not UTF-8.
    #[error("{}: cannot be read: {reason}", file.display())]
    #[diagnostic(
        code(radstream::ron::unreadable),
        help("expected a readable UTF-8 text file; check the path and its permissions")
    )]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The system's word.
        reason: String,
    },
    /// The text is not what was expected at one place.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Syntax(Box<RonSyntaxError>),
}

/// A place in a RON text that is not what was expected there.
#[derive(Debug, Error, Diagnostic)]
#[error("{name}:{line}:{column}: {problem}")]
#[diagnostic(
    code(radstream::ron::syntax),
    help("expected {expected}; correct the marked place")
)]
pub struct RonSyntaxError {
    /// Name of the file.
    pub name: String,
    /// Line of the place, from 1.
    pub line: usize,
    /// Column of the place in characters, from 1.
    pub column: usize,
    /// What is wrong there.
    pub problem: String,
    /// What the file should hold.
    pub expected: &'static str,
    /// The lines around the place.
    #[source_code]
    pub excerpt: Excerpt,
    /// The place in the excerpt, in bytes.
    #[label("here")]
    pub span: SourceSpan,
}

/// Reads a RON file. An `Option` may be written without `Some(...)`; `expected` says in a few words
/// what the file should hold.
///
/// # Errors
/// [`RonError`] where the file cannot be read or does not parse.
pub fn read_ron<T: DeserializeOwned>(
    file: &Path,
    expected: &'static str,
) -> Result<(T, SourceText), RonError> {
    let text = super::read_text(file).map_err(|error| RonError::Unreadable {
        file: file.to_owned(),
        reason: error.to_string(),
    })?;
    let source = SourceText::new(file.display().to_string(), text);
    Ok((parse_ron(&source, expected)?, source))
}

/// Parses RON text, as [`read_ron`] does.
///
/// # Errors
/// [`RonError::Syntax`] where the text does not parse.
pub fn parse_ron<T: DeserializeOwned>(source: &SourceText, expected: &'static str) -> Result<T, RonError> {
    let options = ron::Options::default().with_default_extension(Extensions::IMPLICIT_SOME);
    options.from_str(&source.text).map_err(|error| {
        let start = byte_offset(&source.text, error.span.start);
        let end = byte_offset(&source.text, error.span.end).max(start);
        let excerpt = source.excerpt(start..end);
        RonError::Syntax(Box::new(RonSyntaxError {
            name: source.name.clone(),
            line: error.span.start.line,
            column: error.span.start.col,
            problem: shortened(&problem(&error.code), MOST_OF_PROBLEM).into_owned(),
            expected,
            span: excerpt.place(),
            excerpt,
        }))
    })
}

/// What is wrong, for people.
fn problem(code: &ron::Error) -> String {
    match code {
        ron::Error::SuggestRawIdentifier(text) if text.starts_with(|first: char| first.is_ascii_digit()) => {
            format!("a bare `{text}`, where the name of a form or unit has to stand")
        }
        code => code.to_string(),
    }
}

/// Byte offset of a position whose column counts characters.
fn byte_offset(text: &str, position: ron::error::Position) -> usize {
    let line_start: usize = text
        .split_inclusive('\n')
        .take(position.line.saturating_sub(1))
        .map(str::len)
        .sum();
    let line = &text[line_start..];
    let column = line
        .char_indices()
        .nth(position.col.saturating_sub(1))
        .map_or(line.len(), |(offset, _)| offset);
    line_start + column
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_counts_characters_and_the_label_counts_bytes() {
        let source = SourceText::new("t.ron", "// Größe\n(\"äöü\", x)");
        let error = parse_ron::<(String, u32)>(&source, "a pair").unwrap_err();
        let RonError::Syntax(error) = error else {
            panic!("not a syntax error")
        };
        assert_eq!(error.line, 2);
        assert_eq!(
            &error.excerpt.window()[error.span.offset()..=error.span.offset()],
            "x"
        );
    }

    #[test]
    fn strings_are_found_outside_comments() {
        let source = SourceText::new("t.ron", "// \"a\"\n/* \"a\" */ {\"x\\\"a\": 1, \"a\": 2}");
        let range = source.find_string("a").unwrap();
        assert_eq!(&source.text[range.start..], "\"a\": 2}");
        assert_eq!(source.find_string("b"), None);
    }

    #[test]
    fn fields_are_found_outside_comments_and_strings() {
        let source = SourceText::new("t.ron", "(// pe\n name: \"pe\", spe: 3, pe: 5)");
        let range = source.find_field("pe").unwrap();
        assert_eq!(&source.text[range.start..], "pe: 5)");
        assert_eq!(source.find_field("p"), None);
    }
}
