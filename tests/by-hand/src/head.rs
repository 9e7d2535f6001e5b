/// A message's first line and fields, one character for each byte.
#[derive(Debug)]
pub struct Head(String);

impl Head {
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        Self(bytes.into_iter().map(char::from).collect())
    }

    /// The first line.
    pub fn first_line(&self) -> &str {
        self.0.lines().next().unwrap()
    }

    /// The values of a field, a line each.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let fields = self.0.lines().filter_map(|line| line.split_once(": "));
        fields
            .filter(|(it, _)| it.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }

    /// The value of a field that is there once, or not at all.
    #[track_caller]
    pub fn get(&self, name: &str) -> Option<&str> {
        match self.all(name)[..] {
            [] => None,
            [value] => Some(value),
            _ => panic!("more than one {name} in {}", self.0),
        }
    }

    /// The value of a field that is there once.
    #[track_caller]
    pub fn one(&self, name: &str) -> &str {
        let value = self.get(name);
        value.unwrap_or_else(|| panic!("no {name} in {}", self.0))
    }
}
