"""Facts become verdicts: explanations, the check fixtures, the judge, and the proof of a lab."""
