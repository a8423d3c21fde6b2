"""Files become values: labs, regions, skeletons, notebooks, submissions, mutants, releases."""
