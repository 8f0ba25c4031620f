//! A few lines of a text around a place, as diagnostics quote them.

use std::borrow::Cow;
use std::ops::Range;

use miette::{MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

/// Lines before and after the place.
const CONTEXT: usize = 2;

/// Longest line that is quoted in full, in characters.
const LINE: usize = 200;

/// Characters of a longer line before the place.
const BEFORE: usize = 80;

/// Stands for what is left out.
const CUT: char = '…';

/// A window of a text around a place: a few lines, long ones cut around the place. Lines and columns are those of
/// the whole text, byte positions those of the window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    name: String,
    window: String,
    first_line: usize,
    line: usize,
    column: usize,
    place: Range<usize>,
}

impl Excerpt {
    /// The window of `text`, which is called `name`, around a place in bytes. Of a place of several lines, the
    /// first counts.
    #[must_use]
    pub fn new(name: impl Into<String>, text: &str, place: Range<usize>) -> Self {
        let start = text.floor_char_boundary(place.start);
        let end = text.floor_char_boundary(place.end).max(start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line = text[..start].bytes().filter(|&byte| byte == b'\n').count();
        let column = text[line_start..start].chars().count();
        let first_start = (0..CONTEXT).fold(line_start, |from, _| {
            let before = &text[..from.saturating_sub(1)];
            before.rfind('\n').map_or(0, |at| at + 1)
        });
        let above = text[first_start..line_start].matches('\n').count();

        let mut excerpt = Self {
            name: name.into(),
            window: String::new(),
            first_line: line - above,
            line,
            column,
            place: 0..0,
        };
        let lines = text[first_start..].split('\n').take(above + 1 + CONTEXT);
        for (at, content) in lines.enumerate() {
            if at > 0 {
                excerpt.window.push('\n');
            }
            let content = content.strip_suffix('\r').unwrap_or(content);
            let marked = if at == above {
                start - line_start..end - line_start
            } else {
                let near = content.char_indices().nth(column);
                let near = near.map_or(content.len(), |(offset, _)| offset);
                near..near
            };
            let marked = excerpt.push_line(content, marked);
            if at == above {
                excerpt.place = marked;
            }
        }
        excerpt
    }

    /// Appends a line, cut around a place in its bytes; where that place lies in the window.
    fn push_line(&mut self, content: &str, place: Range<usize>) -> Range<usize> {
        let start = place.start.min(content.len());
        let end = place.end.min(content.len());
        let (mut from, mut to) = (0, content.len());
        if content.chars().nth(LINE).is_some() {
            let before = content[..start].char_indices().rev().take(BEFORE).last();
            from = before.map_or(start, |(offset, _)| offset);
            let after = content[from..].char_indices().nth(LINE);
            to = after.map_or(content.len(), |(offset, _)| from + offset);
        }
        if from > 0 {
            self.window.push(CUT);
        }
        let mut marked = self.window.len()..self.window.len();
        for (offset, character) in content[from..to].char_indices() {
            if from + offset < start {
                marked.start += printed(character).len_utf8();
            }
            if from + offset < end {
                marked.end += printed(character).len_utf8();
            }
            self.window.push(printed(character));
        }
        marked.end = marked.end.max(marked.start);
        if to < content.len() {
            self.window.push(CUT);
        }
        marked
    }

    /// Name of the text for people, usually a path.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The window.
    #[must_use]
    pub fn window(&self) -> &str {
        &self.window
    }

    /// Line of the place in the whole text, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line + 1
    }

    /// Column of the place in the whole text in characters, from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        self.column + 1
    }

    /// The place in bytes of the window, as far as the window has it: what a label points at.
    #[must_use]
    pub fn place(&self) -> SourceSpan {
        self.place.clone().into()
    }
}

/// A character as a quoted line shows it: what would move the cursor is a blank.
fn printed(character: char) -> char {
    if character.is_control() && character != '\t' {
        ' '
    } else {
        character
    }
}

impl SourceCode for Excerpt {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        context_lines_before: usize,
        context_lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let window = self.window.as_str();
        let contents = window.read_span(span, context_lines_before, context_lines_after)?;
        let column = if contents.span().offset() == self.place.start {
            self.column
        } else {
            contents.column()
        };
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            contents.data(),
            *contents.span(),
            self.first_line + contents.line(),
            column,
            contents.line_count(),
        )))
    }
}

/// Longest description of what is wrong with a text, in characters: it may quote a string of the text.
pub const MOST_OF_PROBLEM: usize = 600;

/// Longest name from a text, in characters.
pub const MOST_OF_NAME: usize = 120;

/// A text of at most about `most` characters in one line: of a longer one the beginning and the end.
#[must_use]
pub fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    let head = text.char_indices().nth(most * 2 / 3).map(|(end, _)| end);
    let tail = text.char_indices().rev().take(most / 3).last().map(|(at, _)| at);
    let cut = match (head, tail) {
        (Some(head), Some(tail)) if tail > head => {
            Cow::Owned(format!("{}{CUT}{}", &text[..head], &text[tail..]))
        }
        _ => Cow::Borrowed(text),
    };
    if cut.contains(|character| printed(character) != character) {
        return Cow::Owned(cut.chars().map(printed).collect());
    }
    cut
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan};
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug)]
    struct Quoted(Excerpt);

    impl fmt::Display for Quoted {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("quoted")
        }
    }

    impl std::error::Error for Quoted {}

    impl Diagnostic for Quoted {
        fn source_code(&self) -> Option<&dyn SourceCode> {
            Some(&self.0)
        }

        fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
            let label = LabeledSpan::new_with_span(Some("here".to_owned()), self.0.place());
            Some(Box::new(std::iter::once(label)))
        }
    }

    fn rendered(excerpt: &Excerpt) -> String {
        let mut text = String::new();
        GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
            .render_report(&mut text, &Quoted(excerpt.clone()))
            .unwrap();
        text
    }

    fn marked(excerpt: &Excerpt) -> &str {
        &excerpt.window[excerpt.place.clone()]
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let text = format!("first\n{}here{}\nlast\n", "ä".repeat(50_000), "b".repeat(50_000));
        let at = text.find("here").unwrap();
        let excerpt = Excerpt::new("t.ron", &text, at..at + 4);
        assert_eq!(marked(&excerpt), "here");
        assert_eq!((excerpt.line(), excerpt.column()), (2, 50_001));
        assert!(
            excerpt
                .window()
                .lines()
                .all(|line| line.chars().count() <= LINE + 2)
        );
        let said = rendered(&excerpt);
        assert!(said.contains("[t.ron:2:50001]"), "{said}");
        assert!(said.len() < 2000, "{said}");
    }

    #[test]
    fn a_label_ends_with_its_first_line() {
        let text = "(\n".repeat(1000);
        let excerpt = Excerpt::new("t.ron", &text, 1000..2000);
        assert_eq!(marked(&excerpt), "(");
        assert_eq!(excerpt.line(), 501);
        let said = rendered(&excerpt);
        assert!(said.contains("501 │ ("), "{said}");
        assert!(said.lines().count() < 12, "{said}");
    }

    #[test]
    fn ends_of_lines_and_control_characters_do_not_move_the_cursor() {
        let excerpt = Excerpt::new("t", "a\r\nb\rc\x1b[2J\r\nd", 5..6);
        assert_eq!(excerpt.window(), "a\nb c [2J\nd");
        assert_eq!(marked(&excerpt), "c");
    }

    #[test]
    fn long_texts_lose_their_middle() {
        assert_eq!(shortened("abc", 3), "abc");
        let text = shortened(&"ä".repeat(1000), 90).into_owned();
        assert_eq!(text.chars().count(), 91);
        assert!(text.contains(CUT));
        assert_eq!(shortened("a\nb", 9), "a b");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// The place, its line and its column are those that counting in the whole text gives.
        #[test]
        fn places_are_those_of_the_whole_text(
            lines in proptest::collection::vec("[a-zäß€\t ]{0,300}", 1..12),
            at in any::<prop::sample::Index>(),
            length in 0usize..40,
        ) {
            let text = lines.join("\n");
            let starts: Vec<usize> = text.char_indices().map(|(offset, _)| offset).chain([text.len()]).collect();
            let start = starts[at.index(starts.len())];
            let end = text.floor_char_boundary((start + length).min(text.len())).max(start);
            let excerpt = Excerpt::new("t", &text, start..end);
            let before: Vec<&str> = text[..start].split('\n').collect();
            prop_assert_eq!(excerpt.line(), before.len());
            prop_assert_eq!(excerpt.column(), before.last().unwrap().chars().count() + 1);
            let wanted = text[start..end].split('\n').next().unwrap();
            prop_assert_eq!(marked(&excerpt), wanted);
            let said = rendered(&excerpt);
            let header = format!("[t:{}:{}]", excerpt.line(), excerpt.column());
            prop_assert!(said.contains(&header), "{}", said);
        }
    }
}
