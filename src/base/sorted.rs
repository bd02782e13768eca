//! [`Sorted`]: a set as a sorted list, for sets that are small or seldom changed. A tree is made of
//! much more code, once for each kind of member.

/// A set, as a sorted list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sorted<T>(Vec<T>);

impl<T> Default for Sorted<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Sorted<T> {
    /// Nothing in it.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Its members, ascending.
    pub fn members(&self) -> &[T] {
        &self.0
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Ord + Copy> Sorted<T> {
    /// Whether it is a member.
    pub fn contains(&self, member: T) -> bool {
        self.0.binary_search(&member).is_ok()
    }

    /// Makes it a member. Those that come in order, or the same again, are soon put in.
    pub fn insert(&mut self, member: T) {
        match self.0.last() {
            Some(last) if *last == member => {}
            Some(last) if *last > member => {
                if let Err(at) = self.0.binary_search(&member) {
                    self.0.insert(at, member);
                }
            }
            _ => self.0.push(member),
        }
    }

    /// Takes it out; whether it was a member.
    pub fn remove(&mut self, member: T) -> bool {
        let found = self.0.binary_search(&member);
        found.map(|at| self.0.remove(at)).is_ok()
    }
}

impl<T: Ord + Copy> FromIterator<T> for Sorted<T> {
    fn from_iter<I: IntoIterator<Item = T>>(members: I) -> Self {
        let mut all = Self::new();
        members.into_iter().for_each(|member| all.insert(member));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const STEP: (std::ops::Range<u8>, proptest::bool::Any) = (0..20, proptest::bool::ANY);

    proptest! {
        #[test]
        fn it_is_what_a_tree_is(steps in proptest::collection::vec(STEP, 0..200)) {
            let (mut sorted, mut tree) = (Sorted::new(), BTreeSet::new());
            for (member, put) in steps {
                prop_assert_eq!(sorted.contains(member), tree.contains(&member));
                if put {
                    sorted.insert(member);
                    tree.insert(member);
                } else {
                    prop_assert_eq!(sorted.remove(member), tree.remove(&member));
                }
                prop_assert!(sorted.members().iter().eq(&tree));
                prop_assert_eq!((sorted.len(), sorted.is_empty()), (tree.len(), tree.is_empty()));
            }
        }
    }
}
