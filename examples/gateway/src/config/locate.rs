//! From a place in the text to the field's path, and back.
//!
//! serde's errors know the span of what they refused but not its path, and a check over several fields
//! knows the path but not the span. The parsed document knows both.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// The line, counted from 1, in which the byte at `offset` stands.
pub(super) fn line(text: &str, offset: usize) -> usize {
    1 + text
        .bytes()
        .take(offset)
        .filter(|&byte| byte == b'\n')
        .count()
}

/// The path of the field at `span`: the one with this very span, else the narrowest around its start.
///
/// `None` where the text is not TOML, or nothing is there.
pub(super) fn field_at(text: &str, span: &Range<usize>) -> Option<String> {
    let fields = fields(text);
    // A table's header names the table and the ones around it: of equal spans the innermost is meant.
    let exact = fields.iter().rev().find(|(_, at)| at == span);
    let around = || {
        fields
            .iter()
            .filter(|(_, at)| at.contains(&span.start))
            .min_by_key(|(_, at)| at.len())
    };
    exact.or_else(around).map(|(path, _)| path.clone())
}

/// The span of the field at `path`, or of the nearest one around it where it was left out.
pub(super) fn span_of(text: &str, path: &str) -> Option<Range<usize>> {
    let fields = fields(text);
    let mut path = path;
    loop {
        if let Some((_, span)) = fields.iter().find(|(at, _)| at == path) {
            return Some(span.clone());
        }
        path = &path[..path.rfind(['.', '['])?];
    }
}

/// Every key and every value with its path, outermost first; a key before its value.
fn fields(text: &str) -> Vec<(String, Range<usize>)> {
    let mut fields = Vec::new();
    if let Ok(document) = DeTable::parse(text) {
        walk_table("", document.get_ref(), &mut fields);
    }
    fields
}

fn walk_table(path: &str, table: &DeTable<'_>, fields: &mut Vec<(String, Range<usize>)>) {
    for (key, value) in table {
        let path = match path {
            "" => key.get_ref().to_string(),
            path => format!("{path}.{}", key.get_ref()),
        };
        fields.push((path.clone(), key.span()));
        fields.push((path.clone(), value.span()));
        walk_value(&path, value.get_ref(), fields);
    }
}

fn walk_value(path: &str, value: &DeValue<'_>, fields: &mut Vec<(String, Range<usize>)>) {
    match value {
        DeValue::Table(table) => walk_table(path, table, fields),
        DeValue::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let path = format!("{path}[{index}]");
                fields.push((path.clone(), item.span()));
                walk_value(&path, item.get_ref(), fields);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a = 1\n[b.c]\nd = ['x',\n 'é', 'y']\ne = { f = 2 }\n";

    fn at(needle: &str) -> Option<String> {
        let start = TEXT.find(needle).unwrap();
        field_at(TEXT, &(start..start + needle.len()))
    }

    #[test]
    fn a_span_has_a_path() {
        assert_eq!(at("1").as_deref(), Some("a"));
        assert_eq!(at("[b.c]").as_deref(), Some("b.c"));
        assert_eq!(at("'y'").as_deref(), Some("b.c.d[2]"));
        assert_eq!(at("f").as_deref(), Some("b.c.e.f"));
        assert_eq!(field_at("a = ", &(0..1)), None, "not TOML");
    }

    #[test]
    fn a_path_has_a_line() {
        let line_of = |path| span_of(TEXT, path).map(|span| line(TEXT, span.start));
        assert_eq!(line_of("a"), Some(1));
        assert_eq!(line_of("b.c.d[1]"), Some(4));
        assert_eq!(line_of("b.c.e.f"), Some(5));
        assert_eq!(
            line_of("b.c.left_out.too"),
            Some(2),
            "the nearest around it"
        );
        assert_eq!(line_of("left_out"), None);
    }
}
