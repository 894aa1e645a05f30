"""`report.html`: one file that needs nothing else, whatever a trial has written."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from report_sample import complete, failed, job, realistic, trained

from hwnas.budget import Budget
from hwnas.jobs import JobView, TrialRecord
from hwnas.report import write_report

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)><!-- $data & \u2028"


class _Page(HTMLParser):
    """The elements of a page, and the text within its scripts, styles and title."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append((self.elements[-1][0] if self.elements else "", data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def inside(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag and text.strip()]

    @property
    def data(self) -> Any:
        return json.loads(self.inside("script")[0])


def _page(view: JobView, folder: Path) -> _Page:
    path = folder / "reports" / "report.html"
    write_report(view, path)
    return _Page(path.read_text(encoding="utf-8"))


def test_the_page_loads_nothing(tmp_path: Path) -> None:
    page = _page(realistic(20), tmp_path)
    assert not [a for _, a in page.elements if {"src", "href", "srcset", "action"} & a.keys()]
    assert not page.all("link")
    everything = "".join(page.inside("script") + page.inside("style"))
    assert set(re.findall(r"https?://[\w./]+", everything)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"url\(|@import|import\(|fetch\(|XMLHttpRequest|WebSocket", everything)


def test_only_the_pages_own_script_and_style_are_allowed(tmp_path: Path) -> None:
    page = _page(realistic(5), tmp_path)
    (policy,) = [a["content"] for a in page.all("meta") if "content" in a and "http-equiv" in a]
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    _, script = page.inside("script")
    (style,) = page.inside("style")
    for text in (script, style):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


def test_nothing_that_a_trial_wrote_becomes_a_script(tmp_path: Path) -> None:
    trials = (
        complete(0, 0.9, 1.0, 50_000, arch={EVIL: EVIL}, metrics={"accuracy": 0.9, EVIL: 1.0}),
        failed(1, EVIL, EVIL, EVIL),
    )
    page = _page(job(trials, name=EVIL, task=EVIL, strategy=EVIL, versions={EVIL: EVIL}), tmp_path)
    assert [a.get("type") for a in page.all("script")] == ["application/json", None]
    assert not page.all("img")
    assert page.data["name"] == EVIL
    assert page.data["trials"][0]["arch"] == {EVIL: EVIL}
    assert page.data["trials"][1]["failure"]["log"] == [EVIL]


def test_control_characters_are_left_out(tmp_path: Path) -> None:
    page = _page(job((failed(0, "error", "a\x1b[31mb\x00c\u202ed", "x\ty"),)), tmp_path)
    failure = page.data["trials"][0]["failure"]
    assert failure["reason"] == "abcd"
    assert failure["log"] == ["x\ty"]


def test_the_page_says_how_to_show_each_column(tmp_path: Path) -> None:
    budget = Budget.parse("latency@pixel6 <= 1200 us, throughput >= 10 items/s")
    trial = complete(0, 0.9, 1.0, 50_000)
    costs = {**trial.costs, "throughput": trial.costs["params"]}
    page = _page(job((complete(0, 0.9, 1.0, 5e4, costs=costs),), budget=budget), tmp_path)
    columns = {column["name"]: column for column in page.data["columns"]}
    latency = columns["latency@pixel6"]
    assert (latency["unit"], latency["size"], latency["better"]) == ("us", 0.001, "low")
    assert latency["limits"] == [{"op": "<=", "value": 1.2, "text": "1200 us"}]
    assert columns["throughput"]["better"] == "high"
    assert columns["accuracy"]["better"] == "high"
    assert columns["kernel"]["kind"] == "decision"
    assert [c["name"] for c in page.data["columns"]][:3] == [
        "accuracy",
        "latency@pixel6",
        "throughput",
    ]


def test_numbers_that_are_none_become_null(tmp_path: Path) -> None:
    trial = TrialRecord(0, "failed", {}, metrics={"accuracy": math.nan, "loss": math.inf})
    assert _page(job((trial,)), tmp_path).data["trials"][0]["metrics"] == {
        "accuracy": None,
        "loss": None,
    }


def test_it_keeps_the_path_of_the_job_to_itself(tmp_path: Path) -> None:
    hidden = Path("/home/ada/secret-project")
    full = trained([(0.5, 0.8)], folder=hidden)
    for view in (job(folder=hidden), full, job(train_jobs=(full,))):
        assert "secret" not in "".join(_page(view, tmp_path).inside("script"))


def test_a_space_beyond_any_float_is_written_readably(tmp_path: Path) -> None:
    assert _page(job(size=3**2000), tmp_path).data["size_text"] == "1.75e+954"
    assert _page(job(size=5760), tmp_path).data["size_text"] == "5,760"


def test_a_report_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    assert len(_page(realistic(3), tmp_path).data["trials"]) == 3
    assert len(_page(realistic(1000), tmp_path).data["trials"]) == 1000
    files = list((tmp_path / "reports").iterdir())
    assert [file.name for file in files] == ["report.html"]
    assert files[0].stat().st_size < 2_000_000


BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


@pytest.mark.skipif(BROWSER is None, reason="needs a Chromium browser")
@pytest.mark.parametrize(
    "name", ["realistic", "empty", "infeasible", "no budget", "evil", "one", "train", "stages"]
)
def test_a_browser_draws_it_without_an_error(name: str, tmp_path: Path) -> None:
    evil = (complete(0, 0.9, 1.0, 5e4, arch={EVIL: EVIL}), failed(1, EVIL, EVIL, EVIL))
    view = {
        "realistic": realistic(40),
        "empty": job(),
        "infeasible": job((complete(0, 0.9, 9.0, 50_000), failed(1, "exit", "exit code 1"))),
        "no budget": job((complete(0, 0.9, 9.0, 50_000, budget=Budget()),), budget=Budget()),
        "evil": job(evil, name=EVIL, versions={EVIL: EVIL}),
        "one": job((complete(0, 0.9, 1.0, 50_000),)),
        "train": trained([(0.5, 0.8), (0.6, 0.9), (0.7, 0.95)]),
        "stages": job(evil, train_jobs=(trained([(0.5, 0.8)], name=EVIL), trained([]))),
    }[name]
    write_report(view, tmp_path / "report.html")
    dom, log = _browse(tmp_path / "report.html", tmp_path / "profile")
    assert "CONSOLE" not in log
    page = _Page(dom)
    classes = [(attributes.get("class") or "").split() for _, attributes in page.elements]
    rows = [a for a in page.all("tr") if (a.get("id") or "").startswith("trial-")]
    assert len(rows) == len(view.trials)
    assert ["mark", "winner"] in classes if view.winner is not None else True
    assert classes.count(["failure"]) == len(view.failed)
    assert not page.all("img")
    sections = [found for found in classes if found == ["card", "stages"]]
    assert len(sections) == {"train": 1, "stages": 2}.get(name, 0)
    if view.complete:
        # Each ended trial stands in both charts (failed ones in one); the legends have the rest.
        marks = sum(found[:1] == ["mark"] for found in classes)
        assert marks >= 2 * len(view.complete) + len(view.failed)
        assert rows[0]["id"] == f"trial-{view.complete[0].number}"
        heads = [a for a in page.all("th") if "aria-sort" in a]
        assert [a["aria-sort"] for a in heads] == ["descending"]


@pytest.mark.skipif(BROWSER is None, reason="needs a Chromium browser")
def test_a_reader_can_sort_filter_and_choose_axes(tmp_path: Path) -> None:
    trials = (
        complete(0, 0.90, 1.0, 50_000, arch={"op": "conv", "constructor": 9}),
        complete(1, 0.97, 0.8, 70_000, arch={"op": "pool"}),
        complete(2, 0.80, 0.5, 20_000, arch={"op": "conv"}),
        failed(3, "exit", "exit code 1"),
    )
    path = tmp_path / "report.html"
    write_report(job(trials), path)
    text = path.read_text(encoding="utf-8")
    # A reader's hand: the page's own policy would not let this script run.
    hand = """<script>
        const all = (selector) => [...document.querySelectorAll(selector)];
        const press = (name) =>
            all("th button").find((button) => button.textContent.startsWith(name)).click();
        const rows = () => all("tbody tr").map((row) => row.id.slice(6)).join();
        const say = (name, value) => document.body.setAttribute("data-" + name, value);
        press("latency"); say("up", rows());
        press("latency"); say("down", rows());
        press("constructor"); say("choice", rows());
        const search = document.querySelector("input[type=search]");
        search.value = "conv FEASIBLE"; search.dispatchEvent(new Event("input"));
        say("found", rows());
        const [y, x] = all("#tradeoff select");
        x.value = "cost params"; x.dispatchEvent(new Event("change"));
        all("#tradeoff input")[0].click();
        say("axes", all("#tradeoff .name").map((text) => text.textContent).join());
        all("#progress input")[0].click();
        const marks = all("#progress .chart .mark");
        say("kept", marks.length);
        marks[0].dispatchEvent(new Event("click"));
        say("lit", all("tr.lit").map((row) => row.id).join());
    </script></body>"""
    text = re.sub(r'<meta http-equiv="Content-Security-Policy".*?>', "", text)
    path.write_text(text.replace("</body>", hand), encoding="utf-8")
    dom, log = _browse(path, tmp_path / "profile")
    assert "CONSOLE" not in log
    (body,) = _Page(dom).all("body")
    told = {name: value for name, value in body.items() if name.startswith("data-")}
    assert told == {
        "data-up": "2,1,0,3",
        "data-down": "0,1,2,3",
        "data-choice": "0,1,2,3",
        "data-found": "0,2",
        "data-axes": "params (k),accuracy",
        "data-kept": "2",
        "data-lit": "trial-2",
    }


def _browse(path: Path, profile: Path) -> tuple[str, str]:
    assert BROWSER is not None
    quiet = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    quiet += ["--disable-component-update", "--disable-sync", "--disable-quic"]
    quiet += [f"--user-data-dir={profile}", "--enable-logging=stderr"]
    done = subprocess.run(
        [BROWSER, "--headless", *quiet, "--dump-dom", path.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout, done.stderr
