"""`hwnas vertex list_trials`: the trials of a job as JSON."""

from __future__ import annotations

from hwnas.cli._console import print_json, say
from hwnas.cli._vertex_flags import Cloud, Listing, Root


def list_trials(listing: Listing, root: Root, cloud: Cloud) -> None:
    """List the trials of a job that succeeded, the best first, as Vertex's client does."""
    from hwnas._files import write_json
    from hwnas.vertex import job_index, trial_rows, view_of_job

    index = job_index(root.root_output_dir)
    job = index.find(listing.job_id)
    rows = trial_rows(index, job, view_of_job(index, job), listing.max_trials)
    if listing.trials_output_file is None:
        print_json(rows)
        return
    write_json(listing.trials_output_file, rows)
    say(f"{len(rows)} trials written to {listing.trials_output_file}")
