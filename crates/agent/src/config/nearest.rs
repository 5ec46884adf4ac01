//! The word a person most probably meant: pure, small, and silent where nothing is near.

/// The member of `words` that differs least from `found`, where it differs by at most a third of its letters.
pub(super) fn nearest(found: &str, words: &[String]) -> Option<String> {
    let found = found.to_lowercase();
    words
        .iter()
        .map(|word| (distance(&found, word), word))
        .filter(|(steps, word)| *steps <= word.chars().count().max(found.chars().count()).div_ceil(3))
        .min_by_key(|(steps, _)| *steps)
        .map(|(_, word)| word.clone())
}

/// Letters to insert, drop, change or swap with their neighbour to get from `a` to `b`.
pub fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut steps = change.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                steps = steps.min(rows[i - 2][j - 2] + 1);
            }
            row.push(steps);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_and_nothing_else() {
        let words: Vec<String> = ["sources", "quiesce", "projects", "at"].map(str::to_owned).into();
        assert_eq!(nearest("sorces", &words).as_deref(), Some("sources"));
        assert_eq!(nearest("Quiesce", &words).as_deref(), Some("quiesce"));
        assert_eq!(nearest("ta", &words).as_deref(), Some("at"));
        assert_eq!(nearest("elephant", &words), None);
    }

    #[test]
    fn counts_single_steps() {
        for (a, b, steps) in [("", "abc", 3), ("abc", "abc", 0), ("abc", "acb", 1), ("keep", "kepe", 1), ("a", "b", 1)] {
            assert_eq!(distance(a, b), steps, "{a} {b}");
            assert_eq!(distance(b, a), steps, "{b} {a}");
        }
    }
}
