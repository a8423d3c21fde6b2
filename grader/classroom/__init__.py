"""A whole class: who handed in what, graded in parallel, and the gradebook."""
