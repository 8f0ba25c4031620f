//! Where the elements of a rearranged tensor lie in the tensor that it was made from.

/// Axes of a tensor as products of atoms: extents above 1 that reshapes neither split nor merge. Axes of extent 1
/// have no atom. All axes are the file's, without the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Extent of each atom.
    extents: Vec<usize>,
    /// Atoms of each axis of the original, outermost first.
    source: Vec<Vec<usize>>,
    /// Atoms of each axis as it is now.
    target: Vec<Vec<usize>>,
}

/// For each atom, how far one step along it leads in a constant that spreads over the axes; 0 where the constant does
/// not vary.
pub struct Strides(Vec<usize>);

impl Strides {
    /// Whether the constant varies along an atom.
    pub fn varies(&self, atom: usize) -> bool {
        self.0[atom] != 0
    }

    /// Whether the constant varies at all.
    pub fn any(&self) -> bool {
        self.0.iter().any(|&stride| stride != 0)
    }
}

impl View {
    /// Nothing moved.
    pub fn of(shape: &[usize]) -> Self {
        let mut extents = Vec::new();
        let axes: Vec<Vec<usize>> = shape
            .iter()
            .map(|&extent| {
                if extent == 1 {
                    return Vec::new();
                }
                extents.push(extent);
                vec![extents.len() - 1]
            })
            .collect();
        Self {
            extents,
            source: axes.clone(),
            target: axes,
        }
    }

    /// The shape as it is now.
    pub fn shape(&self) -> Vec<usize> {
        self.target.iter().map(|axis| self.extent(axis)).collect()
    }

    /// Whether nothing moved.
    pub fn is_identity(&self) -> bool {
        self.source == self.target
    }

    /// Atoms of each axis of the original.
    pub fn source(&self) -> &[Vec<usize>] {
        &self.source
    }

    /// Atoms of each axis as it is now.
    pub fn target(&self) -> &[Vec<usize>] {
        &self.target
    }

    /// The product of atoms.
    pub fn extent(&self, atoms: &[usize]) -> usize {
        atoms.iter().map(|&atom| self.extents[atom]).product()
    }

    /// The same elements seen from an original of other axes.
    pub fn onto(self, source: Vec<Vec<usize>>) -> Self {
        Self { source, ..self }
    }

    /// Permutes the axes.
    pub fn transpose(&mut self, perm: &[usize]) {
        self.target = perm.iter().map(|&axis| self.target[axis].clone()).collect();
    }

    /// Another shape for the same elements in the same order; `false`, and nothing done, where its extents have no
    /// common factors with those before.
    pub fn reshape(&mut self, shape: &[usize]) -> bool {
        let mut view = self.clone();
        let mut rest: std::collections::VecDeque<usize> = self.target.iter().flatten().copied().collect();
        let mut target = Vec::with_capacity(shape.len());
        for &extent in shape {
            let mut axis = Vec::new();
            let mut open = extent;
            while open > 1 {
                let Some(atom) = rest.pop_front() else {
                    return false;
                };
                let whole = view.extents[atom];
                if open.is_multiple_of(whole) {
                    open /= whole;
                } else if whole.is_multiple_of(open) {
                    rest.push_front(view.split(atom, open));
                    open = 1;
                } else {
                    return false;
                }
                axis.push(atom);
            }
            target.push(axis);
        }
        if !rest.is_empty() {
            return false;
        }
        view.target = target;
        *self = view;
        true
    }

    /// Leaves `outer` to an atom and gives the inner rest to a new one.
    fn split(&mut self, atom: usize, outer: usize) -> usize {
        let inner = self.extents.len();
        self.extents.push(self.extents[atom] / outer);
        self.extents[atom] = outer;
        for axis in &mut self.source {
            if let Some(at) = axis.iter().position(|&one| one == atom) {
                axis.insert(at + 1, inner);
            }
        }
        inner
    }

    /// Strides of a constant that spreads from the right over the axes as they are now, or over those of the original;
    /// `None` where it does not spread. One more axis of extent 1 may stand for the batch.
    pub fn strides(&self, axes: &[Vec<usize>], shape: &[usize]) -> Option<Strides> {
        let extra = shape.len().saturating_sub(axes.len());
        if extra > 1 || shape[..extra].iter().any(|&extent| extent != 1) {
            return None;
        }
        let shape = &shape[extra..];
        let mut strides = vec![0; self.extents.len()];
        let mut step = 1usize;
        for (&extent, axis) in shape.iter().rev().zip(axes.iter().rev()) {
            if extent == 1 {
                continue;
            }
            if extent != self.extent(axis) {
                return None;
            }
            for &atom in axis.iter().rev() {
                strides[atom] = step;
                step *= self.extents[atom];
            }
        }
        Some(Strides(strides))
    }

    /// Positions in a constant along some atoms, the last one fastest.
    pub fn positions(&self, atoms: &[usize], strides: &Strides) -> Vec<usize> {
        let mut positions = vec![0];
        for &atom in atoms {
            positions = positions
                .iter()
                .flat_map(|&at| (0..self.extents[atom]).map(move |step| at + step * strides.0[atom]))
                .collect();
        }
        positions
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All elements of the original by their position now, the slow way: an array that is moved itself.
    fn moved(values: &[usize], shape: &[usize], perm: &[usize]) -> (Vec<usize>, Vec<usize>) {
        let to: Vec<usize> = perm.iter().map(|&axis| shape[axis]).collect();
        let len: usize = shape.iter().product();
        let of = |index: usize| {
            let mut rest = index;
            let mut at = vec![0; to.len()];
            for axis in (0..to.len()).rev() {
                at[perm[axis]] = rest % to[axis];
                rest /= to[axis];
            }
            (0..shape.len()).fold(0, |sum, axis| sum * shape[axis] + at[axis])
        };
        ((0..len).map(|index| values[of(index)]).collect(), to)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

        /// A constant on the rearranged axes leads each element of the original to the number that the moved array has.
        #[test]
        fn constants_find_their_elements(
            shape in proptest::collection::vec(prop_oneof![Just(1usize), Just(2), Just(3), Just(4)], 1..4),
            moves in proptest::collection::vec((any::<bool>(), any::<u64>()), 0..5),
            spread in any::<u64>(),
        ) {
            let len: usize = shape.iter().product();
            let mut view = View::of(&shape);
            let (mut now, mut array) = (shape.clone(), (0..len).collect::<Vec<usize>>());
            for (transposes, seed) in moves {
                if transposes {
                    let mut perm: Vec<usize> = (0..now.len()).collect();
                    let by = seed as usize % now.len();
                    perm.rotate_left(by);
                    view.transpose(&perm);
                    (array, now) = moved(&array, &now, &perm);
                } else {
                    // Divisors taken off one after the other.
                    let (mut rest, mut to, mut seed) = (len, Vec::new(), seed);
                    while to.len() < 3 {
                        let divisors: Vec<usize> = (1..=rest).filter(|d| rest % d == 0).collect();
                        let divisor = divisors[seed as usize % divisors.len()];
                        to.push(divisor);
                        rest /= divisor;
                        seed /= 7;
                    }
                    to.push(rest);
                    if view.reshape(&to) {
                        now = to;
                    }
                }
                prop_assert_eq!(view.shape(), now.clone());
            }
            let constant: Vec<usize> = now.iter().enumerate()
                .map(|(axis, &extent)| if spread >> axis & 1 == 1 { extent } else { 1 }).collect();
            let strides = view.strides(view.target(), &constant).unwrap();
            let atoms: Vec<usize> = view.source().iter().flatten().copied().collect();
            let positions = view.positions(&atoms, &strides);
            prop_assert_eq!(positions.len(), len);
            for (index, &element) in array.iter().enumerate() {
                let (mut rest, mut at, mut step) = (index, 0, 1);
                for axis in (0..now.len()).rev() {
                    if constant[axis] != 1 {
                        at += rest % now[axis] * step;
                        step *= constant[axis];
                    }
                    rest /= now[axis];
                }
                prop_assert_eq!(positions[element], at);
            }
        }
    }
}
