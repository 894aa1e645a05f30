"""`hwnas vertex search_resume`: more trials of a search."""

from __future__ import annotations

from hwnas.cli._vertex_flags import Cloud, Previous, Root, Trials
from hwnas.cli._vertex_progress import watched_search
from hwnas.cli._vertex_search import tell_best


def search_resume(previous: Previous, root: Root, trials: Trials, cloud: Cloud) -> None:
    """Go on with a search, with --max_nas_trial more trials; all else is as it was started."""
    from hwnas.vertex import job_index, vertex_resume

    index = job_index(root.root_output_dir)
    changes = {
        "trials": trials.max_nas_trial,
        "parallel": trials.max_parallel_nas_trial,
        "max_failed": trials.most_failed,
    }
    before = index.find(previous.previous_nas_job_id)
    with watched_search() as watch:
        view = vertex_resume(index, before, trials.job_name, changes, watch=watch)
    tell_best(view)
